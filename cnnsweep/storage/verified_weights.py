"""Verification of a run's best weights against its sweep's journal.

A checkpoint proves that its weights are those that it was written with. Only the journal proves their run: it has the
digest of the weights of every epoch that was a run's best so far.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cnnsweep.errors import CheckpointError
from cnnsweep.storage.best_weights import BestCheckpoint, load_best
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.run_state import RunState
from cnnsweep.storage.state import SweepState, read_state

_SHOWN = 12  # characters of a digest


def load_known_best(path: Path) -> BestCheckpoint:
    """Read a best checkpoint before its use, and compare it with the journal of its sweep.

    A checkpoint outside of any sweep has no journal: its model card is the only source.

    Raises:
        CheckpointError: see `load_best`; or its weights differ from those in the journal.
        ResultsError: the journal is damaged.
    """
    checkpoint = load_best(path)
    for place in _places(path):  # after the file: the journal names weights before they are written
        sweep = SweepPaths(place.parent.parent)
        history = _history_of(sweep)
        run = None if history is None else _run_of(history, place)
        if history is None or run is None:
            continue
        if (problem := why_not_of(checkpoint.description, history, run)) is not None:
            raise CheckpointError(
                f"{path}: {problem}; it is not used. Put the run's own file back, or have the run trained again: "
                f"cnnsweep doctor {sweep.folder} --repair, then the same 'cnnsweep run'"
            )
    return checkpoint


def why_not_of(about: Mapping[str, Any], history: SweepState, run: RunState) -> str | None:
    """Return why weights are not the best of a run, in words; None if they are.

    An active run may have those of an earlier epoch than its best: a crash, or this very moment, may lie between the
    journal and the file.

    Args:
        about: the model card; its digest of the weights was checked.
    """
    selected = history.objective.selected(run.records)
    epochs = [record.epoch for record in run.records]
    if run.status.is_final and selected is not None:
        epochs = [selected.epoch]
    return why_weights_of_others(about, history, run) or (
        None if about["epoch"] in epochs else f"is of epoch {about['epoch']}, which is not the best of run {run.name}"
    )


def why_weights_of_others(about: Mapping[str, Any], history: SweepState, run: RunState) -> str | None:
    """Return why weights are not those of a run after the epoch in their model card; None if they are."""
    found, expected = about["weights_sha256"], run.best_weights.get(about["epoch"])
    is_of_run = about.get("run_id", run.id) == run.id and about["run"] == run.name
    if is_of_run and expected in (None, found):  # a journal of an earlier version does not say
        return None
    wanted = "" if expected is None else f", the journal says {expected[:_SHOWN]}…"
    return f"holds weights {_whose(history, str(found), about)} (SHA-256 {str(found)[:_SHOWN]}…{wanted})"


def _whose(history: SweepState, digest: str, about: Mapping[str, Any]) -> str:
    for run in history.runs.values():
        if digest in run.best_weights.values() or about.get("run_id") == run.id:
            return f"of run {run.name}"
    return "of no run of this sweep"


def _places(path: Path) -> Iterator[Path]:
    """Yield the places of a checkpoint: the given path, and the target of links."""
    given = Path(os.path.abspath(path))  # noqa: PTH100 - `absolute` keeps "..", `resolve` follows links
    yield given
    if (real := Path(os.path.realpath(path))) != given:
        yield real


def _run_of(history: SweepState, place: Path) -> RunState | None:
    if history.sweep is None or place.name != SweepPaths(place).run("").best_weights.name:
        return None
    return next((run for run in history.runs.values() if run.name == place.parent.name), None)


def _history_of(sweep: SweepPaths) -> SweepState | None:
    """Return the state by a journal, None if it is missing."""
    try:
        about = sweep.journal.stat()
    except OSError:
        return None
    return _read(sweep.journal, about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)


@functools.lru_cache(maxsize=1)  # all seeds of a trial lie in one sweep
def _read(journal: Path, *_version: int) -> SweepState:
    return read_state(journal)
