"""Hears how training goes, has it written down and shown, and decides what becomes of each run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from cnnsweep.errors import DiskFullError, ExecutionError, FolderError, FolderLostError
from cnnsweep.formatting.numbers import count_text
from cnnsweep.planning.stage import TO_THE_ENDS, Leg
from cnnsweep.progress.base import SweepDisplay
from cnnsweep.storage.checkpoint import LastCheckpoint
from cnnsweep.storage.writer import Recorder
from cnnsweep.tuner.failure_limit import FailureStreak
from cnnsweep.tuner.group_cache import PlannedGroup, event_from_groups
from cnnsweep.tuner.pruning import Judge
from cnnsweep.tuner.stop_signal import StopRequest
from cnnsweep.types import Decision, EpochReport, FailureKind, Run, RunGroup, RunOutcome, RunStatus


class Supervisor:
    """The `SweepWatcher` of a sweep: passes on what training reports, and stops what is not worth going on with."""

    def __init__(
        self, recorder: Recorder, display: SweepDisplay, stop: StopRequest, judge: Judge, failures: FailureStreak
    ) -> None:
        self.recorder = recorder
        self.display = display
        self.stop = stop
        self.judge = judge
        self.failures = failures
        self._running: dict[str, Run] = {}
        stop.running = self._running
        self._waiting: dict[str, int] = {}  # at a rung, by run id, after so many epochs
        self._leg = TO_THE_ENDS
        self._grouped_under: Mapping[str, Any] = {}
        self.batches_done = display.batches_done

    @property
    def is_stopping(self) -> bool:
        """True if nothing further is to start: a person stops the sweep, or it gives up."""
        return self.stop.is_made or self.failures.reason is not None

    def begin_leg(self, planned: Sequence[PlannedGroup], under: Mapping[str, Any], leg: Leg) -> None:
        """Write down which runs are going to train together, and how far."""
        self._leg = leg
        self._grouped_under = under
        self.recorder.record_groups(event_from_groups(planned, under, leg))

    def group_starts(self, group: RunGroup) -> Mapping[str, LastCheckpoint] | None:
        if self.is_stopping:
            return None
        checkpoints = {}
        for run in group.runs:
            with self.stop.deferred():  # a run that counts as running has its files
                self._running[run.id] = run
                self._waiting.pop(run.id, None)
                last = self.recorder.start_run(run)
            self.judge.run_changed(run.id)
            if last is not None:
                checkpoints[run.id] = last
            self.display.run_started(run.id)
        return checkpoints

    def group_splits(self, parts: Sequence[RunGroup], cause: str) -> None:
        for run in (run for part in parts for run in part.runs):  # until their part's turn comes
            self._running.pop(run.id, None)
            self.display.run_ended(RunOutcome(run.id, RunStatus.WAITING))
        planned = [PlannedGroup(part, f"a larger group failed: {cause}") for part in parts]
        self.recorder.record_groups(event_from_groups(planned, self._grouped_under, self._leg))
        sizes = " and ".join(str(len(part.trajectories)) for part in parts)
        left = sum(len(part.runs) for part in parts)
        how = "one by one" if all(len(part.trajectories) == 1 for part in parts) else f"in groups of {sizes}"
        self.display.message(f"{count_text(left, 'run')} {'goes' if left == 1 else 'go'} on {how}: {cause}")

    def group_lost(self, group: RunGroup, cause: str) -> None:
        for run in group.runs:  # until their turn comes again
            self._running.pop(run.id, None)
            self.recorder.pause_run(run.id, cause)
            self.display.run_ended(RunOutcome(run.id, RunStatus.WAITING))
        runs = "its run goes on from its" if len(group.runs) == 1 else f"its {len(group.runs)} runs go on from their"
        self.display.message(f"{cause}; {runs} last epoch")

    def worker_said(self, text: str) -> None:
        self.display.message(text)

    def resumed(self, run_ids: Sequence[str]) -> Mapping[str, Decision]:
        return self._stops(run_ids) if self.judge.judges_every_epoch else {}

    def epoch_ended(self, reports: Sequence[EpochReport]) -> Mapping[str, Decision]:
        for report, standing in zip(reports, self.recorder.record_epochs(reports), strict=True):
            self.judge.run_changed(report.record.run_id)
            self.display.epoch_ended(report.record, standing)
        if self.stop.is_made:
            return {report.record.run_id: Decision.INTERRUPT for report in reports}
        if not self.judge.judges_every_epoch:
            return {}
        # After a crash some of the group may have been there before, and have nothing to report.
        return self._stops(self.recorder.history.at_epoch(reports[0].record.epoch, self._running))

    def run_ended(self, outcome: RunOutcome) -> None:
        with self.stop.deferred():
            self._run_ended(outcome)

    def _run_ended(self, outcome: RunOutcome) -> None:
        self._running.pop(outcome.run_id, None)
        self.failures.note(outcome)
        if outcome.status is RunStatus.WAITING:
            self._waiting[outcome.run_id] = len(self.recorder.history.runs[outcome.run_id].records)
            self.recorder.pause_run(outcome.run_id, "waits for the other settings")
            self.display.run_ended(outcome)
            return
        if outcome.status is RunStatus.STOPPED:
            outcome = dataclasses.replace(outcome, cause=self.judge.why_stopped(outcome.run_id))
        self.recorder.end_run(outcome)
        self.judge.run_changed(outcome.run_id)
        self.display.run_ended(outcome)

    def judge_waiting(self, run_ids: Sequence[str]) -> list[str]:
        """Hold settings whose runs have come to a rung against each other; end the runs that lose, and return them."""
        self._stops(run_ids)
        return self.end_losers(run_ids)

    def end_losers(self, run_ids: Sequence[str]) -> list[str]:
        """End those of some runs that the journal has a verdict against, and return them."""
        losers = self.judge.stopped(run_ids)
        for run_id in losers:
            self._waiting.pop(run_id, None)
            self.run_ended(RunOutcome(run_id, RunStatus.STOPPED))
        return losers

    def interrupt(self, why: str = "interrupted in the middle of an epoch") -> None:
        """End what trains or waits, because a person stops the sweep; it goes on when the sweep is run again.

        Args:
            why: in words, of what trains.
        """
        for run_id in list(self._running):
            self.run_ended(RunOutcome(run_id, RunStatus.INTERRUPTED, why))
        for run_id, epochs in self._waiting.items():
            self.run_ended(RunOutcome(run_id, RunStatus.INTERRUPTED, f"interrupted after epoch {epochs}"))
        self._waiting.clear()

    @contextmanager
    def work_may_fail(self) -> Iterator[None]:
        """Where the folder can no longer be written, or nobody can train, leave every run so that it can go on."""
        try:
            yield
        except ExecutionError:
            with self.stop.deferred():
                self.interrupt("there was nobody to train it")
                self.recorder.finish("interrupted")
            raise
        except FolderError as error:
            cause = _cause(error)
            cut_short = [*self._running, *self._waiting]
            for run_id in cut_short:
                self.display.run_ended(RunOutcome(run_id, RunStatus.INTERRUPTED, cause, failure=FailureKind.DISK))
            self.recorder.abandon(cut_short, cause)
            raise

    def _stops(self, run_ids: Sequence[str]) -> Mapping[str, Decision]:
        verdicts = self.judge.new_verdicts(run_ids)
        if verdicts:
            self.recorder.record_verdicts(verdicts)
        return dict.fromkeys(self.judge.stopped(run_ids), Decision.STOP)


def _cause(error: FolderError) -> str:
    if isinstance(error, DiskFullError):
        return "disk full"
    is_lost = isinstance(error, FolderLostError)
    return "its folder or journal was replaced" if is_lost else "its folder cannot be written"
