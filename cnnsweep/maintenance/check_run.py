"""Checks of the files of one run against the journal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cnnsweep.errors import CheckpointError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text
from cnnsweep.maintenance.diagnostic import Diagnostic, note, problem
from cnnsweep.storage.best_weights import describe_best, read_description
from cnnsweep.storage.checkpoint import LastCheckpoint, load_last
from cnnsweep.storage.paths import RunPaths, SweepPaths, is_leftover
from cnnsweep.storage.read_limited import MOST_BYTES, read_bounded
from cnnsweep.storage.run_state import RunState
from cnnsweep.storage.self_digest import evaluation_is_whole
from cnnsweep.storage.state import SweepState
from cnnsweep.storage.trial_files import RunFiles
from cnnsweep.trackers.event_files import EventFile, read_event_file
from cnnsweep.types import EpochRecord

_HEADING = "epoch,step,loss\n"
_EVENTS = "events.out.tfevents."


@dataclass
class RunCheck:
    """Checks of the files of one run; everything is read once.

    Attributes:
        remedy: the next step for repairable problems.
    """

    paths: RunPaths
    run: RunState
    history: SweepState
    remedy: str

    @classmethod
    def of(cls, sweep: SweepPaths, history: SweepState, run: RunState, remedy: str) -> RunCheck:
        return cls(sweep.run(run.name), run, history, remedy)

    @property
    def name(self) -> str:
        return safe_text(self.run.name)

    @property
    def is_over(self) -> bool:
        return self.run.status.is_final

    @cached_property
    def selected(self) -> EpochRecord | None:
        """The selected record of the run, whose weights are its best."""
        return self.history.objective.selected(self.run.records)

    @cached_property
    def last(self) -> tuple[LastCheckpoint | None, dict[Path, str]]:
        """The newest intact checkpoint, and the problems of others."""
        return load_last(self.paths, self.run.checkpoints)

    @cached_property
    def problem_of_best(self) -> str | None:
        """Difference between the best weights and the journal, in words; None if there is none."""
        if self.selected is None or (self.run.id in self.history.cleaned and not self.paths.best_weights.exists()):
            return None
        return RunFiles(self.paths).problem_of_best(self.history, self.run, self.selected.epoch)

    @property
    def description_is_right(self) -> bool:
        """True if `best.json` equals the model card of `best.safetensors`."""
        if not self.paths.best_weights.exists():
            return not self.paths.best_description.exists()
        try:
            text = describe_best(read_description(self.paths.best_weights))
        except CheckpointError:
            return True  # reported already
        return _read_text(self.paths.best_description) == text

    @property
    def expected_batches(self) -> Iterator[tuple[int, int]]:
        """Epoch and number of every batch of the run's records; a hostile record has any number of them."""
        for record in self.run.records:
            first = (record.epoch - 1) * record.steps + 1
            yield from ((record.epoch, first + step) for step in range(record.steps))

    @property
    def problem_of_batch_losses(self) -> str | None:
        """Problem of `batch_loss.csv`, in words."""
        text = _read_text(self.paths.batch_losses)
        if text is None:
            return "is missing or cannot be read"
        lines = text.splitlines(keepends=True)
        if lines[:1] != [_HEADING]:
            return "has another heading"
        rows = lines[1:]
        for number, (line, pair) in enumerate(zip(rows, self.expected_batches, strict=False), start=2):
            if not _is_loss(line, pair):
                return f"line {number} is damaged"
        expected = sum(record.steps for record in self.run.records)
        if len(rows) != expected:
            return f"has {count_text(len(rows), 'batch', 'batches')}, and the journal {expected:,}"
        if self.recorded_batch_losses not in (None, text):
            return "differs from TensorBoard's files"
        return None

    @property
    def has_damaged_evaluation(self) -> bool:
        """True for an `evaluation.json` that differs from its digest."""
        if not os.path.lexists(self.paths.evaluation):
            return False
        try:
            content = read_bounded(self.paths.evaluation, MOST_BYTES)
        except OSError:
            return True
        return not (content.endswith(b"}\n") and evaluation_is_whole(content))

    @cached_property
    def events(self) -> dict[Path, EventFile]:
        """Contents of TensorBoard's files, the oldest first."""
        return {path: read_event_file(path) for path in self.paths.event_files if path.is_file()}

    @property
    def recorded_batch_losses(self) -> str | None:
        """Batch losses by TensorBoard's files, which have checksums; None if those have none."""
        losses: dict[int, float] = {}
        for file in self.events.values():
            losses.update(file.batch_losses)
        if not all(step in losses for _, step in self.expected_batches):
            return None
        return _HEADING + "".join(f"{epoch},{step},{losses[step]!r}\n" for epoch, step in self.expected_batches)

    @property
    def damaged_events(self) -> dict[Path, int]:
        """Damaged event files, with the number of readable bytes of each."""
        read = {path: file.whole_bytes for path, file in self.events.items()}
        return {path: whole for path, whole in read.items() if whole < path.stat().st_size}

    def diagnostics(self) -> Iterator[Diagnostic]:
        """Yield a diagnostic for each problem."""
        folder = self.paths.folder
        if folder.is_symlink():
            yield problem(self.name, "its folder is a symbolic link", "put the folder itself in its place")
            return
        if not folder.is_dir():
            if self.run.records:
                yield self._diagnostic(f"its folder {'is not a directory' if folder.exists() else 'is missing'}")
            return
        yield from self._diagnostics_of_checkpoints()
        if self.run.records and self.is_over:
            wrong = self.problem_of_batch_losses
            if wrong is not None:
                yield self._diagnostic(f"batch_loss.csv {wrong}")
            if not self.paths.log.is_file():
                yield note(self.name, "log.txt is missing", "nothing else needs it")
        if self.has_damaged_evaluation:
            yield self._diagnostic("evaluation.json is damaged")
        for path, whole in self.damaged_events.items() if self.is_over else ():
            words = f"{safe_text(path.name)}: only the first {whole:,} of {path.stat().st_size:,} bytes can be read"
            yield self._diagnostic(words)
        yield from self._diagnostics_of_others()

    def _diagnostics_of_checkpoints(self) -> Iterator[Diagnostic]:
        last, damaged = self.last
        for words in damaged.values():
            if self.is_over:
                yield note(self.name, safe_text(words), "it is no longer needed; 'cnnsweep clean' removes it")
            elif self.run.records:
                resumption = "starts over" if last is None else f"resumes after epoch {last.record.epoch}"
                yield note(self.name, f"{safe_text(words)}; the run {resumption} when the sweep is run again")
        if not self.is_over and self.run.records and last is None and not damaged:
            yield note(self.name, "no checkpoint to resume from; the run starts over when the sweep is run again")
        if self.problem_of_best is not None and self.is_over:
            yield self._diagnostic(safe_text(self.problem_of_best))
        elif not self.description_is_right and self.is_over:
            yield self._diagnostic("best.json differs from the description in best.safetensors")

    def _diagnostics_of_others(self) -> Iterator[Diagnostic]:
        for entry in sorted(os.scandir(self.paths.folder), key=lambda entry: entry.name):
            name = safe_text(entry.name)
            if entry.is_symlink():
                yield problem(self.name, f"{name} is a symbolic link", "put the file itself in its place")
            elif is_leftover(Path(entry.path)):
                yield note(self.name, f"{name} was left by a killed process", self.remedy)
            elif not _is_ours(self.paths, entry.name):
                yield note(self.name, f"{name} is not cnnsweep's")

    def _diagnostic(self, words: str) -> Diagnostic:
        return problem(self.name, words, self.remedy)


def _is_loss(line: str, pair: tuple[int, int]) -> bool:
    epoch, _, rest = line.partition(",")
    step, _, loss = rest.partition(",")
    try:
        return (epoch, step) == (str(pair[0]), str(pair[1])) and repr(float(loss)) + "\n" == loss
    except ValueError:
        return False


def _is_ours(paths: RunPaths, name: str) -> bool:
    ours = (
        *(paths.best_weights, paths.best_description, paths.last_checkpoint, paths.previous_checkpoint),
        *(paths.pickled_checkpoint, paths.batch_losses, paths.log, paths.evaluation),
    )
    return name in {path.name for path in ours} or name.startswith(_EVENTS)


def _read_text(path: Path) -> str | None:
    try:
        return read_bounded(path, MOST_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
