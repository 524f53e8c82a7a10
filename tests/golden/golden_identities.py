"""The ids of the runs and settings of every sweep file of `golden_specs`, and what follows from them.

    python tests/golden/golden_identities.py        writes identities.json anew

Write it anew only where a sweep file was added: a line that changes means that finished runs are no longer recognised.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from golden_specs import CODE, PICKS, sweep_files

from cnnsweep.config.load import parse_sweep
from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import expand_runs
from cnnsweep.planning.batching import family
from cnnsweep.storage.remembered import SuggestedRound
from cnnsweep.storage.state import SweepState
from cnnsweep.tuner.sampling import TrialSource
from cnnsweep.types import Run

EXPECTED = Path(__file__).with_name("identities.json")


def write_code(folder: Path) -> None:
    """Write the files of a person's own that the sweep files name."""
    for name, text in CODE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def identities(name: str, text: str) -> dict[str, Any]:
    """Return what a sweep file comes to, as plain JSON; the files of `write_code` lie in the current folder."""
    spec = parse_sweep(text, f"{name}.yaml")
    runs: Sequence[Run] = expand_runs(spec).runs
    found: dict[str, Any] = {}
    if spec.search is not None:
        trial_source = TrialSource(spec)
        space = trial_source._space
        history = SweepState()
        if name in PICKS:
            history.rounds.append(SuggestedRound(space, len(PICKS[name]), tuple(PICKS[name]), ()))
            asked = trial_source.known_runs(history)
        else:
            first = trial_source.ask(history, runs)
            assert first is not None
            found["picks"] = first.event["picks"]
            asked = first.runs
        found["space"] = space
        runs = [*runs, *asked]
    return {**found, "runs": {run.id: _about(run, spec) for run in runs}}


def _about(run: Run, spec: SweepSpec) -> dict[str, Any]:
    about = {"name": run.name, "configuration": run.trial_id, "settings": run.params}
    if "/" not in run.model.name:  # else it has the folder in it
        about["family"] = family(run)
    if spec.early_stop is not None and spec.early_stop.has_rungs:
        about["rungs"] = spec.early_stop.rungs(run.hyperparameters.epochs, run.trial_id)
    return about


def every_identity() -> dict[str, Any]:
    """Return what all sweep files come to; the current folder is one with the files of `write_code`."""
    return {name: identities(name, text) for name, text in sweep_files().items()}


def as_lines(content: Mapping[str, Any]) -> str:
    """Return JSON with a line for each run, so that a difference shows what moved."""
    files = []
    for name, found in content.items():
        runs = ",\n".join(f"    {json.dumps(id_)}: {json.dumps(about)}" for id_, about in found["runs"].items())
        rest = "".join(f"   {json.dumps(key)}: {json.dumps(found[key])},\n" for key in found if key != "runs")
        files.append(f'  {json.dumps(name)}: {{\n{rest}   "runs": {{\n{runs}\n   }}\n  }}')
    return "{\n" + ",\n".join(files) + "\n}\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.path.insert(0, folder)
        write_code(Path(folder))
        EXPECTED.write_text(as_lines(every_identity()), encoding="utf-8")
