"""The epoch from which a run resumes: that of its last whole checkpoint, if its best weights are there too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cnnsweep.storage.checkpoint import LastCheckpoint
from cnnsweep.storage.run_state import RunState
from cnnsweep.storage.state import SweepState
from cnnsweep.storage.trial_files import RunFiles
from cnnsweep.types import EpochRecord


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """The checkpoint from which a run resumes, and the files that it could not use.

    Attributes:
        last: the checkpoint; None if the run starts over.
        damaged: the problem of each damaged checkpoint file.
        problems: lines for the user.
        missing_best: the record of `last`, if its weights are the best ones and their file is missing or damaged.
    """

    last: LastCheckpoint | None
    damaged: Mapping[Path, str]
    problems: tuple[str, ...] = ()
    missing_best: EpochRecord | None = None

    @property
    def epoch(self) -> int:
        return 0 if self.last is None else self.last.record.epoch

    @property
    def text(self) -> str:
        return "starts over" if self.last is None else f"resumes after epoch {self.epoch}"


def find_resume_point(history: SweepState, known: RunState, files: RunFiles) -> ResumePoint:
    """Check the files of a run, and return the checkpoint from which it resumes; nothing is written."""
    last, damaged = files.load_last(known.checkpoints)
    # Without an epoch in the journal there should be no checkpoint: a start over was interrupted.
    problems = tuple(damaged.values()) if known.records else ()
    records = [record for record in known.records if last is not None and record.epoch <= last.record.epoch]
    selected = history.objective.selected(records)
    if last is None or selected is None:
        return ResumePoint(last, damaged, problems)
    problem = files.problem_of_best(history, known, selected.epoch)
    if problem is None:
        return ResumePoint(last, damaged, problems)
    if selected.epoch == last.record.epoch:
        return ResumePoint(last, damaged, problems, missing_best=selected)
    return ResumePoint(None, damaged, (*problems, problem))  # the best epoch's weights are lost
