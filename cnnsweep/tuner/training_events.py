"""The events of training as an executor reports them: written and passed on, and answered with decisions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from cnnsweep.callbacks import INFO
from cnnsweep.errors import DiskFullError, ExecutionError, FolderError, FolderLostError
from cnnsweep.formatting.numbers import count_text
from cnnsweep.planning.stage import TO_THE_ENDS, Stage
from cnnsweep.pruners.base import Pruner
from cnnsweep.storage.checkpoint import LastCheckpoint
from cnnsweep.storage.writer import SweepWriter
from cnnsweep.tuner.callbacks import CallbackList
from cnnsweep.tuner.group_cache import PlannedGroup, event_from_groups
from cnnsweep.tuner.pruning import PrunerDriver
from cnnsweep.tuner.stop_signal import StopRequest
from cnnsweep.types import Decision, EpochReport, FailureKind, Run, RunGroup, RunOutcome, RunStatus


class TrainingEvents:
    """The `ExecutorCallback` of a sweep: active runs, and their stops by the pruner, a callback or a signal."""

    def __init__(
        self,
        writer: SweepWriter,
        callbacks: CallbackList,
        stop: StopRequest,
        pruner: Pruner | None,
    ) -> None:
        self.writer = writer
        self.callbacks = callbacks
        self.stop = stop
        self.pruner = PrunerDriver(pruner, writer.history)
        self._running: dict[str, Run] = {}
        stop.running = self._running
        self._waiting: dict[str, int] = {}  # at a rung: epochs done by run id
        self._stage = TO_THE_ENDS
        self._grouped_under: Mapping[str, Any] = {}
        self._is_interrupted = False  # by a callback's decision
        self.on_batch_end = callbacks.on_batch_end

    @property
    def is_interrupted(self) -> bool:
        """True if a signal or a callback stops the sweep."""
        return self.stop.is_made or self._is_interrupted or self.callbacks.error is not None

    @property
    def is_stopping(self) -> bool:
        """True if no further group may start."""
        return self.is_interrupted or self.callbacks.failures.reason is not None

    def begin_stage(self, planned: Sequence[PlannedGroup], under: Mapping[str, Any], stage: Stage) -> None:
        """Journal the groups of a stage."""
        self._stage = stage
        self._grouped_under = under
        self.writer.record_groups(event_from_groups(planned, under, stage))

    def on_group_start(self, group: RunGroup) -> Mapping[str, LastCheckpoint] | None:
        if self.is_stopping:
            return None
        checkpoints = {}
        for run in group.runs:
            with self.stop.deferred():  # a run that counts as running has its files
                self._running[run.id] = run
                self._waiting.pop(run.id, None)
                last = self.writer.start_run(run)
                record = None if last is None else last.record
                self.callbacks.on_rewind(run, record)
                self.callbacks.on_run_start(run, record)
            self.pruner.run_changed(run.id)
            if last is not None:
                checkpoints[run.id] = last
        return checkpoints

    def on_group_split(self, parts: Sequence[RunGroup], cause: str) -> None:
        for run in (run for part in parts for run in part.runs):  # until their part starts
            self._running.pop(run.id, None)
        planned = [PlannedGroup(part, f"a larger group failed: {cause}") for part in parts]
        self.writer.record_groups(event_from_groups(planned, self._grouped_under, self._stage))
        self.callbacks.on_group_split(parts, cause)
        self.callbacks.on_log(_split_words(parts, cause))

    def on_group_lost(self, group: RunGroup, cause: str) -> None:
        for run in group.runs:  # until their group starts again
            self._running.pop(run.id, None)
        self.callbacks.on_group_lost(group, cause)
        runs = "its run resumes from its" if len(group.runs) == 1 else f"its {len(group.runs)} runs resume from their"
        self.callbacks.on_log(f"{cause}; {runs} last epoch")

    def log_detail(self, text: str) -> None:
        self.callbacks.on_log(text, INFO)

    def on_log(self, text: str) -> None:
        self.callbacks.on_log(text)

    def on_resume(self, run_ids: Sequence[str]) -> Mapping[str, Decision]:
        return self._pruned(run_ids) if self.pruner.decides_every_epoch else {}

    def on_epoch_end(self, reports: Sequence[EpochReport]) -> Mapping[str, Decision]:
        decisions = self.callbacks.on_epoch_end(reports)
        for report in reports:
            self.pruner.run_changed(report.record.run_id)
        self._is_interrupted |= Decision.INTERRUPT in decisions.values()
        if self.is_interrupted:
            return {report.record.run_id: Decision.INTERRUPT for report in reports}
        if not self.pruner.decides_every_epoch:
            return decisions
        # After a crash some of the group may have been there before, and have nothing to report.
        return {**decisions, **self._pruned(self.writer.history.at_epoch(reports[0].record.epoch, self._running))}

    def on_run_end(self, outcome: RunOutcome) -> None:
        if outcome.status is RunStatus.WAITING:
            self._waiting[outcome.run_id] = len(self.writer.history.runs[outcome.run_id].records)
        elif outcome.status is RunStatus.STOPPED:
            outcome = dataclasses.replace(outcome, cause=self.pruner.why_stopped(outcome.run_id) or outcome.cause)
        with self.stop.deferred():
            self._running.pop(outcome.run_id, None)
            self.callbacks.on_run_end(outcome)
        if outcome.status is not RunStatus.WAITING:
            self.pruner.run_changed(outcome.run_id)

    def prune_waiting(self, run_ids: Sequence[str]) -> list[str]:
        """Have the pruner compare the trials of runs at a rung; end the pruned runs, and return their ids."""
        self._pruned(run_ids)
        return self.end_pruned(run_ids)

    def end_pruned(self, run_ids: Sequence[str]) -> list[str]:
        """End the runs that a decision in the journal stops, and return their ids."""
        pruned = self.pruner.stopped(run_ids)
        for run_id in pruned:
            self._waiting.pop(run_id, None)
            self.on_run_end(RunOutcome(run_id, RunStatus.STOPPED))
        return pruned

    def interrupt(self, why: str = "interrupted in the middle of an epoch") -> None:
        """Mark all active and waiting runs as interrupted: they resume with the next command.

        Args:
            why: the cause for the active ones.
        """
        for run_id in list(self._running):
            self.on_run_end(RunOutcome(run_id, RunStatus.INTERRUPTED, why))
        for run_id, epochs in self._waiting.items():
            self.on_run_end(RunOutcome(run_id, RunStatus.INTERRUPTED, f"interrupted after epoch {epochs}"))
        self._waiting.clear()

    def end(self, *, is_complete: bool) -> None:
        """Mark active runs as interrupted, and handle the end of the command."""
        with self.stop.deferred():
            self.interrupt()
            self.callbacks.on_sweep_end("finished" if is_complete else "interrupted")

    @contextmanager
    def work_may_fail(self) -> Iterator[None]:
        """If the folder becomes unwritable or no worker is left, mark active runs as interrupted."""
        try:
            yield
        except ExecutionError:
            with self.stop.deferred():
                self.interrupt("no worker available")
                self.callbacks.on_sweep_end("interrupted")
            raise
        except FolderError as error:
            cause = _cause(error)
            cut_short = [*self._running, *self._waiting]
            self.callbacks.stop_writing()
            for run_id in cut_short:
                self.callbacks.on_run_end(RunOutcome(run_id, RunStatus.INTERRUPTED, cause, failure=FailureKind.DISK))
            self.writer.abandon(cut_short, cause)
            self.callbacks.on_sweep_end("interrupted")
            raise

    def _pruned(self, run_ids: Sequence[str]) -> Mapping[str, Decision]:
        decisions = self.pruner.new_decisions(run_ids)
        if decisions:
            self.writer.record_decisions(decisions)
        return dict.fromkeys(self.pruner.stopped(run_ids), Decision.STOP)


def _split_words(parts: Sequence[RunGroup], cause: str) -> str:
    sizes = " and ".join(str(len(part.trajectories)) for part in parts)
    left = sum(len(part.runs) for part in parts)
    how = "one by one" if all(len(part.trajectories) == 1 for part in parts) else f"in groups of {sizes}"
    return f"{count_text(left, 'run')} {'goes' if left == 1 else 'go'} on {how}: {cause}"


def _cause(error: FolderError) -> str:
    if isinstance(error, DiskFullError):
        return "disk full"
    is_lost = isinstance(error, FolderLostError)
    return "its folder or journal was replaced" if is_lost else "its folder cannot be written"
