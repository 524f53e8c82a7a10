"""The callback that writes a sweep's folder: the journal first, then everything that follows from it.

The order within an epoch decides what a crash leaves behind. The journal names the checkpoint before it exists, the
batch losses and the trackers' files follow, and `last.safetensors` comes last: it is the epoch's commit. On a resume
everything newer is dropped. `best.safetensors` follows it, since the weights of the epoch that should have
become the best are then still in `last.safetensors`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar

from torch import Tensor

from cnnsweep.callbacks import Callback, ErrorPolicy
from cnnsweep.errors import FolderError
from cnnsweep.storage.atomic_files import remove_leftovers, replace_files, to_json
from cnnsweep.storage.checkpoint import LastCheckpoint, on_cpu
from cnnsweep.storage.encoded_epoch import EncodedEpoch, describe_epoch, encode_epoch, measured_metrics
from cnnsweep.storage.environment import describe_environment
from cnnsweep.storage.journal import VERSION, Journal
from cnnsweep.storage.lock import Hold
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.results_tables import DueTables
from cnnsweep.storage.resume_point import find_resume_point
from cnnsweep.storage.rows import event_from_decision, event_from_run
from cnnsweep.storage.state import SweepState
from cnnsweep.storage.trial_files import RunFiles
from cnnsweep.storage.write_guard import WriteGuard
from cnnsweep.types import (
    PLAIN,
    EpochRecord,
    EpochReport,
    PruneDecision,
    Run,
    RunGroup,
    RunOutcome,
    RunStatus,
    end_words,
)

P = ParamSpec("P")
R = TypeVar("R")


def _undisturbed(method: Callable[Concatenate[SweepWriter, P], R]) -> Callable[Concatenate[SweepWriter, P], R]:
    """Have a method of the writer run within `WriteGuard.writing`."""

    @functools.wraps(method)
    def call(writer: SweepWriter, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with writer.writing():
            return method(writer, *args, **kwargs)

    return call


class SweepWriter(Callback):
    """The one writer of a sweep's folder."""

    error_policy: ClassVar[ErrorPolicy] = ErrorPolicy.RAISE

    def __init__(
        self,
        paths: SweepPaths,
        history: SweepState,
        describe: Callable[[Run], Mapping[str, Any]],
        warn: Callable[[str], None],
        deferred: Callable[[], AbstractContextManager[None]] = nullcontext,
        hold: Hold | None = None,
    ) -> None:
        """Open the journal.

        Args:
            history: the state of the sweep by its journal; it is kept up to date.
            describe: returns the model card of a run's best checkpoint, without its metrics.
            warn: takes a line about a problem that does not stop the sweep.
            deferred: returns a context that a second Ctrl-C does not cut short, see `StopRequest.deferred`.
            hold: of the folder.

        Raises:
            FolderError: the journal cannot be written.
        """
        self.paths = paths
        self.history = history
        self._describe = describe
        self._warn = warn
        self._journal = Journal(paths.journal)
        self._guard = WriteGuard(paths, self._journal, hold, deferred)
        self.writing = self._guard.writing
        self.refuse_if_lost = self._guard.refuse_if_lost
        self._runs: dict[str, Run] = {}
        self._tables = DueTables(paths, history)
        self._began: float | None = None  # when training was first planned, by a clock that cannot be set

    @_undisturbed
    def begin_sweep(self, facts: Mapping[str, Any], runs: Sequence[Run], parameters: Mapping[str, int]) -> None:
        """Journal the start of a command, and freeze its sweep file: an edit from now on changes nothing.

        Args:
            facts: see `tuner.sweep_event.sweep_facts`.
            runs: every run of the sweep.
            parameters: the number of parameters of each run's model, by run id.
        """
        ids = {run.id for run in runs}
        former = [run for run in self.history.runs if run not in ids]
        self._append({"event": "sweep", "version": VERSION, **facts, "former": former})
        self._append(*self._announcements(runs, parameters))  # together: ten thousand runs are one wait for the disk
        remove_leftovers(self.paths.folder)
        about = {**describe_environment(), "device": facts["device"], "threads": facts["threads"]}
        environment = to_json({**about, "data_sha256": facts["fingerprint"]}, indent=2) + "\n"
        replace_files({self.paths.frozen_spec: facts["spec"], self.paths.environment: environment})

    @_undisturbed
    def settle(self, runs: Sequence[Run]) -> list[tuple[Run, EpochRecord | None]]:
        """Take back epochs that a crash left in the journal without their checkpoints.

        Pruning and grouping need the progress of the runs, and so come after this.

        Returns:
            The runs that were brought back to their last whole checkpoint, with its epoch.
        """
        settled = []
        for run in runs:
            known = self.history.runs[run.id]
            # An interrupted run may lack its checkpoint too, after a third Ctrl-C.
            if known.records and (known.outcome is None or known.outcome.status is RunStatus.INTERRUPTED):
                last = self._resume(run)
                settled.append((run, None if last is None else last.record))
        return settled

    @_undisturbed
    def record_round(self, event: Mapping[str, Any], runs: Sequence[Run], parameters: Mapping[str, int]) -> None:
        """Journal the trials that a sampler suggested, and announce their runs.

        Args:
            event: see `tuner.sampling.Round`.
        """
        self._append({"event": "asked", **event}, *self._announcements(runs, parameters))

    @_undisturbed
    def record_decisions(self, decisions: Sequence[PruneDecision]) -> None:
        """Journal the pruner's decisions, before anything follows from them."""
        self._append({"event": "judged", "verdicts": [event_from_decision(decision) for decision in decisions]})

    @_undisturbed
    def record_groups(self, event: Mapping[str, Any]) -> None:
        """Journal which runs train together, so that a resume groups them alike.

        Args:
            event: see `tuner.group_cache.event_from_groups`.
        """
        if self._began is None:
            self._began = time.monotonic()
        self._append({"event": "planned", **event})

    @_undisturbed
    def start_run(self, run: Run) -> LastCheckpoint | None:
        """Prepare a run's files for training; return the checkpoint to resume from, or None to start over."""
        last = self._resume(run)
        files = self._files(run)
        files.make_folder()
        files.log(f"started on {self.history.sweep['device'] if self.history.sweep else '?'}")
        return last

    @contextlib.contextmanager
    def writing_epoch(self, reports: Sequence[EpochReport]) -> Iterator[None]:
        """Write an epoch of the runs of a group: the journal first, and the checkpoints when the context is left.

        In between the trackers write their files, so that a crash leaves no gap in them.

        Raises:
            FolderError: the disk is full or gone; everything written before stays whole.
        """
        with self.writing():
            epochs = [encode_epoch(report, self.history) for report in reports]
            self._append(*(epoch.event for epoch in epochs))  # together: a group is one wait for the disk
            for report in reports:
                files = self._files(self._runs[report.record.run_id])
                files.log(describe_epoch(report))
                files.add_batch_losses(report)
            yield
            for epoch in epochs:
                self._save_checkpoints(epoch)
            self._tables.write_if_due()

    @_undisturbed
    def on_group_lost(self, group: RunGroup, cause: str) -> None:
        """Log the loss of a worker; in the journal its runs are still running."""
        for run in group.runs:
            self._files(run).log(cause)

    @_undisturbed
    def on_run_end(self, outcome: RunOutcome) -> None:
        """Journal the end of a run; in the journal, a run that waits at a rung is still running."""
        run = self._runs[outcome.run_id]
        if outcome.status is RunStatus.WAITING:
            self._files(run).log("waits for the other trials")
            return
        words = end_words(outcome.status, outcome.failure)
        self._files(run).log(words + (f": {outcome.cause}" if outcome.cause else ""), outcome.details)
        how = {"status": str(outcome.status), "kind": outcome.failure, "cause": outcome.cause}
        self._append({"event": "ended", "run": run.id, **how})
        if outcome.status is RunStatus.FINISHED:  # nothing resumes from there
            self._files(run).remove_previous()
        self._tables.write_if_due()

    def abandon(self, run_ids: Sequence[str], cause: str) -> None:
        """Log, as far as possible, that the folder can no longer be written.

        Runs that train are left as a crash leaves them: an epoch may be in the journal without its checkpoint.
        """
        with contextlib.suppress(FolderError, OSError):
            self.refuse_if_lost()
            for run_id in run_ids:
                self._files(self._runs[run_id]).log(f"{RunStatus.INTERRUPTED}: {cause}")
        with contextlib.suppress(FolderError, OSError):
            self.on_sweep_end("interrupted")

    @_undisturbed
    def on_sweep_end(self, status: str) -> None:
        """Journal the end of the command, and bring the tables up to date."""
        elapsed = None if self._began is None else round(time.monotonic() - self._began, 3)
        self._append({"event": "left", "status": status, "elapsed": elapsed})
        self._tables.write()

    def close(self) -> None:
        """Close every file; what was recorded stays."""
        self._journal.close()

    def _resume(self, run: Run) -> LastCheckpoint | None:
        """Bring a run's files back to its last whole checkpoint and return that, or None for a run from the start."""
        known, files = self.history.runs[run.id], self._files(run)
        point = find_resume_point(self.history, known, files)
        for problem in point.problems:
            self._warn(f"{problem}; the run {point.text}")
        if len(known.records) > point.epoch or known.outcome is not None:
            self._append({"event": "resumed", "run": run.id, "epoch": point.epoch})
        files.go_back(point.last, point.damaged)
        if point.last is not None and point.missing_best is not None:
            self._save_best(run, point.missing_best, on_cpu(point.last.chosen_weights))
        if point.last is None:
            return None
        return dataclasses.replace(point.last, history=tuple(record.plain_metrics for record in known.records))

    def _announcements(self, runs: Sequence[Run], parameters: Mapping[str, int]) -> list[Mapping[str, Any]]:
        """Return the events for runs that the journal does not know, or knows with other columns or without epochs."""
        self._runs.update((run.id, run) for run in runs)

        def is_known(run: Run) -> bool:
            known = self.history.runs.get(run.id)
            return known is not None and known.epochs is not None and to_json(known.params) == to_json(run.params)

        return [{"event": "run", **event_from_run(run, parameters[run.id])} for run in runs if not is_known(run)]

    def _append(self, *events: Mapping[str, Any]) -> None:
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        stamped = [{**event, "time": stamp} for event in events]
        self._journal.append(*stamped)
        for event in stamped:
            self.history.apply(event)

    def _files(self, run: Run) -> RunFiles:
        return RunFiles(self.paths.run(run.name))

    def _save_checkpoints(self, epoch: EncodedEpoch) -> None:
        run = self._runs[epoch.record.run_id]
        if epoch.last is not None:
            self._files(run).save_last(epoch.last)
        if epoch.is_best:
            self._save_best(run, epoch.record, epoch.weights)

    def _save_best(self, run: Run, selected: EpochRecord, weights: Mapping[str, Tensor]) -> None:
        about = {"run": run.name, "run_id": run.id, "epoch": selected.epoch, "figures": measured_metrics(selected)}
        averaged = {} if selected.weights == PLAIN else {"weights": selected.weights}
        self._files(run).save_best(weights, {**about, **averaged, **self._describe(run)})
