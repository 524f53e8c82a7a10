"""Writes down what happens in a sweep: the journal first, then everything that follows from it.

The order within an epoch decides what a crash leaves behind. The journal names the checkpoint before it exists, the
event file and batch losses follow, and `last.pt` comes last: it is the epoch's commit. On a resume whatever is newer
than `last.pt` is dropped. `best.safetensors` follows it, since the weights of the epoch that should have become the
best are then still in `last.pt`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.summary_pb2 import Summary

from cnnsweep.errors import CheckpointError
from cnnsweep.recording.checkpoints import LastCheckpoint, digest, encode_last, load_last, read_description, save_best
from cnnsweep.recording.environment import describe_environment
from cnnsweep.recording.files import replace_file, to_json, unwritable
from cnnsweep.recording.history import SweepHistory, event_from_record, event_from_run
from cnnsweep.recording.journal import VERSION, Journal
from cnnsweep.recording.paths import RunPaths, SweepPaths
from cnnsweep.recording.tables import write_tables
from cnnsweep.recording.tensorboard import BoardContent, RunBoard, drop_later_events
from cnnsweep.records import EpochRecord, EpochReport, Run, RunOutcome, RunStatus, Verdict

_TABLES_SHARE = 0.01  # of the time, at most, goes into tables while a sweep runs


@dataclass(frozen=True, slots=True)
class RecordingTask:
    """What the recorder needs beside the events.

    `describe` gives what a best checkpoint says of itself beside its figures; `graph` and `images` what a run's board
    begins with.
    """

    board: BoardContent
    describe: Callable[[Run], Mapping[str, Any]]
    graph: Callable[[Run], GraphDef | None]
    images: Summary | None


class Recorder:
    """The one writer of a sweep's folder."""

    def __init__(
        self, paths: SweepPaths, history: SweepHistory, task: RecordingTask, warn: Callable[[str], None]
    ) -> None:
        """Open the journal.

        Args:
            history: what the journal holds already; it is kept up to date.
            warn: is told, once, of what goes wrong without stopping the sweep.

        Raises:
            FolderError: the journal cannot be written.
        """
        self.paths = paths
        self.history = history
        self._task = task
        self._warn = warn
        self._journal = Journal(paths.journal)
        self._runs: dict[str, Run] = {}
        self._boards: dict[str, RunBoard] = {}
        self._board_works = True
        self._tables_due = 0.0

    def begin_sweep(self, facts: Mapping[str, Any], runs: Sequence[tuple[Run, int]]) -> None:
        """Journal that a command began, and freeze what it is to do: an edit from now on changes nothing.

        Args:
            facts: see `preparation.sweep_facts`.
            runs: every run of the sweep with its number of parameters.
        """
        self._append({"event": "sweep", "version": VERSION, **facts})
        self._append(*self._announcements(runs))  # together: ten thousand runs are one wait for the disk
        replace_file(self.paths.frozen_spec, facts["spec"])
        about = {**describe_environment(), "device": facts["device"], "threads": facts["threads"]}
        replace_file(self.paths.environment, to_json({**about, "data_sha256": facts["fingerprint"]}, indent=2) + "\n")

    def settle(self, runs: Sequence[Run]) -> None:
        """Take back epochs that a crash left in the journal without their checkpoints.

        Whoever asks how far runs are, to judge them or to choose what trains together, asks after this.
        """
        for run in runs:
            known = self.history.runs[run.id]
            if known.records and known.outcome is None:
                self._resume(run)

    def record_round(self, event: Mapping[str, Any], runs: Sequence[tuple[Run, int]]) -> None:
        """Journal what a search chose, and announce the runs that it comes to.

        Args:
            event: see `asking.Round`.
        """
        self._append({"event": "asked", **event}, *self._announcements(runs))

    def record_verdicts(self, verdicts: Sequence[Verdict]) -> None:
        """Journal what an early-stopping rule found, before anything follows from it."""
        self._append({"event": "judged", "verdicts": [dataclasses.asdict(verdict) for verdict in verdicts]})

    def record_groups(self, event: Mapping[str, Any]) -> None:
        """Journal which runs train together, so that a resume groups them alike.

        Args:
            event: see `grouping.event_from_groups`.
        """
        self._append({"event": "planned", **event})

    def start_run(self, run: Run) -> LastCheckpoint | None:
        """Make a run's files ready for training; return where it goes on, or None for a run from the start."""
        self._close_board(run.id)  # open where its group could not go on
        last = self._resume(run)
        self._open(run)
        return last

    def record_epoch(self, report: EpochReport) -> EpochRecord | None:
        """Write down an epoch of a run; return the record that stands for the run now.

        Raises:
            FolderError: the disk is full or gone; what was written before stays whole.
        """
        record = report.record
        run = self._runs[record.run_id]
        paths, known = self._run_paths(run), self.history.runs[run.id]
        is_sound = record.divergence is None  # the last finite checkpoint is worth more than a diverged one
        content = encode_last(LastCheckpoint(record, report.weights, report.optimizer)) if is_sound else None
        self._append({"event": "epoch", **event_from_record(record, None if content is None else digest(content))})
        standing = self.history.objective.standing(known.records)
        self._log(run, _describe_epoch(report))
        _append_batch_losses(paths, report)
        with self._board_may_fail():
            if run.id in self._boards:
                self._boards[run.id].add_epoch(report)
        if content is not None:
            replace_file(paths.last_checkpoint, content)
        if standing is not None and standing.epoch == record.epoch:
            self._save_best(run, report.weights)
        self._write_tables_if_due()
        return standing

    def pause_run(self, run_id: str) -> None:
        """Close the files of a run that waits at a rung; to the journal it is under way."""
        self._log(self._runs[run_id], "waits for the other settings")
        self._close_board(run_id)

    def end_run(self, outcome: RunOutcome) -> None:
        """Write down how a run ended."""
        run = self._runs[outcome.run_id]
        known = self.history.runs[run.id]
        if outcome.status is not RunStatus.INTERRUPTED:
            best = self.history.objective.standing(known.records)
            epoch = known.records[-1].epoch if known.records else 0
            with self._board_may_fail():
                if run.id not in self._boards and self._board_works:  # it was waiting
                    self._boards[run.id] = RunBoard(self._run_paths(run).folder, self._task.board)
                if run.id in self._boards:
                    self._boards[run.id].add_end(outcome.status, run.settings, _figures(best), epoch)
        self._log(run, f"{outcome.status}" + (f": {outcome.cause}" if outcome.cause else ""), outcome.details)
        self._close_board(run.id)
        self._append({"event": "ended", "run": run.id, "status": str(outcome.status), "cause": outcome.cause})
        self._write_tables_if_due()

    def finish(self, status: str) -> None:
        """Write down that the command ends, and bring the tables up to date."""
        self._append({"event": "left", "status": status})
        write_tables(self.paths, self.history)

    def close(self) -> None:
        """Close every file; what was recorded stays."""
        for run_id in list(self._boards):
            self._close_board(run_id)
        self._journal.close()

    def _resume(self, run: Run) -> LastCheckpoint | None:
        """Bring a run's files back to its last checkpoint and return that, or None for a run from the start."""
        known, paths = self.history.runs[run.id], self._run_paths(run)
        try:
            last = load_last(paths.last_checkpoint, known.checkpoints)
        except CheckpointError as error:
            self._warn(f"{error}; the run starts over")
            last = None
        epoch = 0 if last is None else last.record.epoch
        if len(known.records) > epoch or known.outcome is not None:
            self._append({"event": "resumed", "run": run.id, "epoch": epoch})
        batches = 0 if last is None else epoch * last.record.steps
        self._drop_later(paths, epoch, batches)
        if last is not None and self._best_is_missing(run, paths, epoch):
            self._save_best(run, last.weights)
        return last

    def _open(self, run: Run) -> None:
        paths = self._run_paths(run)
        try:
            paths.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise unwritable(paths.folder, error) from error
        self._log(run, f"started on {self.history.sweep['device'] if self.history.sweep else '?'}")
        with self._board_may_fail():
            if self._board_works:
                is_new = not any(paths.folder.glob("events.out.tfevents.*"))
                self._boards[run.id] = RunBoard(paths.folder, self._task.board)
                if is_new:
                    self._boards[run.id].introduce(self._task.graph(run), self._task.images)

    def _announcements(self, runs: Sequence[tuple[Run, int]]) -> list[Mapping[str, Any]]:
        """Return the events for runs that the journal does not know, or knows with other columns or without epochs."""
        self._runs.update((run.id, run) for run, _ in runs)

        def is_known(run: Run) -> bool:
            known = self.history.runs.get(run.id)
            return known is not None and known.epochs is not None and to_json(known.settings) == to_json(run.settings)

        return [{"event": "run", **event_from_run(run, parameters)} for run, parameters in runs if not is_known(run)]

    def _append(self, *events: Mapping[str, Any]) -> None:
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        stamped = [{**event, "time": stamp} for event in events]
        self._journal.append(*stamped)
        for event in stamped:
            self.history.apply(event)

    def _run_paths(self, run: Run) -> RunPaths:
        return self.paths.run(run.name)

    def _save_best(self, run: Run, weights: Mapping[str, Any]) -> None:
        best = self.history.objective.standing(self.history.runs[run.id].records)
        assert best is not None
        about = {"run": run.name, "run_id": run.id, "epoch": best.epoch, "figures": _figures(best)}
        description = {**about, **self._task.describe(run)}
        save_best(self._run_paths(run), weights, description)

    def _best_is_missing(self, run: Run, paths: RunPaths, epoch: int) -> bool:
        """True if the epoch of `last.pt` is the best, and a crash came before `best.safetensors`."""
        best = self.history.objective.standing(self.history.runs[run.id].records)
        if best is None or best.epoch != epoch:
            return False
        try:
            return bool(read_description(paths.best_weights)["epoch"] != epoch)
        except CheckpointError:
            return True

    def _drop_later(self, paths: RunPaths, epoch: int, batches: int) -> None:
        """Take back from a run's files what is newer than an epoch."""
        if epoch == 0:
            for path in (paths.last_checkpoint, paths.best_weights, paths.best_description, paths.batch_losses):
                path.unlink(missing_ok=True)
            for path in paths.folder.glob("events.out.tfevents.*"):
                path.unlink()
            return
        if paths.batch_losses.exists():
            lines = paths.batch_losses.read_text().splitlines(keepends=True)
            replace_file(paths.batch_losses, "".join(lines[: batches + 1]))  # and the heading
        with self._board_may_fail():
            drop_later_events(paths.folder, epoch, batches)

    def _log(self, run: Run, line: str, details: str | None = None) -> None:
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            with self._run_paths(run).log.open("a", encoding="utf-8") as file:
                file.write(f"{stamp}  {line}\n" + (f"{details}\n" if details else ""))
        except OSError as error:
            raise unwritable(self._run_paths(run).log, error) from error

    def _close_board(self, run_id: str) -> None:
        with self._board_may_fail():
            if run_id in self._boards:
                self._boards.pop(run_id).close()

    @contextlib.contextmanager
    def _board_may_fail(self) -> Any:
        """TensorBoard is a view: when its file cannot be written, the sweep goes on without it and says so once."""
        try:
            yield
        except OSError as error:
            if self._board_works:
                self._warn(f"TensorBoard: cannot write ({error.strerror or error}); the sweep goes on without it")
            self._board_works = False
            for board in self._boards.values():
                with contextlib.suppress(OSError):  # what it still held goes nowhere either
                    board.close()
            self._boards.clear()

    def _write_tables_if_due(self) -> None:
        """Keep the tables current while the sweep runs, as often as their growing cost allows."""
        start = time.monotonic()
        if start < self._tables_due:
            return
        write_tables(self.paths, self.history)
        now = time.monotonic()
        self._tables_due = now + (now - start) / _TABLES_SHARE


_FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")


def _figures(record: EpochRecord | None) -> dict[str, float]:
    """Return the figures of an epoch that were measured."""
    if record is None:
        return {}
    return {name: value for name in _FIGURES if (value := getattr(record, name)) is not None}


def _append_batch_losses(paths: RunPaths, report: EpochReport) -> None:
    record = report.record
    first = (record.epoch - 1) * record.steps + 1
    lines = [f"{record.epoch},{step},{loss!r}\n" for step, loss in enumerate(report.batch_losses.tolist(), start=first)]
    try:
        with paths.batch_losses.open("a", encoding="ascii") as file:
            if file.tell() == 0:
                file.write("epoch,step,loss\n")
            file.writelines(lines)
    except OSError as error:
        raise unwritable(paths.batch_losses, error) from error


def _describe_epoch(report: EpochReport) -> str:
    record = report.record
    figures = [f"{name} {value:.6g}" for name, value in _figures(record).items()]
    return f"epoch {record.epoch}: {', '.join(figures)}, {record.epoch_duration:.2f} s"
