"""Search for the results of a sweep, and for a run by part of its name."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from cnnsweep.analysis.json_reader import REBUILD
from cnnsweep.errors import ResultsError, UsageError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text
from cnnsweep.storage.paths import SweepPaths


class _Named(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def id(self) -> str: ...


Named = TypeVar("Named", bound=_Named)


def find_named(runs: Sequence[Named], wanted: str, sweep: str) -> Named:
    """Return the run with this name or id, or the only one with a name or id that begins with it.

    Raises:
        UsageError: no run, or several, have this name; the message suggests the closest.
    """
    exact = [run for run in runs if wanted in (run.name, run.id)]
    if exact:
        return exact[0]
    begun = [run for run in runs if wanted and (run.name.startswith(wanted) or run.id.startswith(wanted))]
    if len(begun) == 1:
        return begun[0]
    if begun:
        listed = ", ".join(safe_text(run.name) for run in begun[:3])
        raise UsageError(
            f"{count_text(len(begun), 'run')} begin with '{safe_text(wanted)}': {listed}; give more of the name"
        )
    close = difflib.get_close_matches(wanted, [run.name for run in runs], n=1)
    hint = f"; did you mean '{safe_text(close[0])}'?" if close else ""
    raise UsageError(f"no run '{safe_text(wanted)}' in sweep '{safe_text(sweep)}'{hint}")


def find_results_file(path: Path) -> Path:
    """Return the `results.json` in a folder, or `path` itself if it is not a folder.

    Raises:
        ResultsError: the folder has none; the message suggests others.
    """
    if not path.is_dir():
        return path
    file = SweepPaths(path).results_json
    if file.exists():
        return file
    place = safe_text(path)
    if SweepPaths(path).journal.exists():
        raise ResultsError(f"{place}: this sweep has no {file.name} yet; {REBUILD}")
    sweeps = sorted(entry.parent.name for entry in path.glob(f"*/{file.name}"))
    if sweeps:
        listed = ", ".join(map(safe_text, sweeps[:5])) + (f" and {len(sweeps) - 5} more" if len(sweeps) > 5 else "")
        raise ResultsError(
            f"{place}: holds no {file.name}, but folders that do: {listed}; give one of them, "
            f"as in: cnnsweep report {safe_text(path / sweeps[0])}"
        )
    raise ResultsError(f"{place}: holds no {file.name}; give the folder that 'cnnsweep run' named, runs/<sweep name>")
