"""Where a sweep's results are: a `results.json`, or the folder that holds one."""

from pathlib import Path

from cnnsweep.display.safe_text import safe_text
from cnnsweep.errors import ResultsError
from cnnsweep.recording.paths import SweepPaths
from cnnsweep.report.json_reader import REBUILD


def find_results_file(path: Path) -> Path:
    """Return the `results.json` in a folder, or `path` itself where it is no folder.

    Raises:
        ResultsError: the folder holds none; the message says what may have been meant.
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
