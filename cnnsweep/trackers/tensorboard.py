"""TensorBoard's event files of the runs that train, which a sweep can do without."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.summary_pb2 import Summary

from cnnsweep.errors import FolderError
from cnnsweep.storage.paths import RunPaths
from cnnsweep.trackers.event_files import drop_later_events, replace_session_start
from cnnsweep.trackers.tensorboard_hparams import is_of_mixed_kinds, start_of_session
from cnnsweep.trackers.tensorboard_writer import BoardContent, RunBoard
from cnnsweep.types import EpochReport, RunStatus


class Boards:
    """The open event files, by run id.

    TensorBoard is a view: when a file cannot be written, the sweep goes on without any of them and says so once.
    """

    def __init__(self, content: BoardContent, warn: Callable[[str], None]) -> None:
        self._content = content
        self._warn = warn
        self._open: dict[str, RunBoard] = {}
        self._work = True

    def open(
        self,
        run_id: str,
        paths: RunPaths,
        settings: Mapping[str, Any],
        introduction: Callable[[], tuple[GraphDef | None, Summary | None]],
    ) -> None:
        """Begin an event file; a run's first one begins with its graph and sample images."""
        with self._may_fail():
            if self._work:
                is_new = not paths.event_files
                board = self._open[run_id] = RunBoard(paths, self._content)
                if is_new:
                    board.introduce(*introduction())
                board.add_start(settings)

    def add_epoch(self, report: EpochReport) -> None:
        """Record an epoch of a run."""
        with self._may_fail():
            if report.record.run_id in self._open:
                self._open[report.record.run_id].add_epoch(report)

    def add_end(
        self, run_id: str, paths: RunPaths, status: RunStatus, figures: Mapping[str, float], epoch: int
    ) -> None:
        """Record how a run ended, also one that was waiting and has no open file."""
        with self._may_fail():
            if run_id not in self._open and self._work:
                self._open[run_id] = RunBoard(paths, self._content)
            if run_id in self._open:
                self._open[run_id].add_end(status, figures, epoch)

    def bring_into_line(self, runs: Iterable[tuple[RunPaths, Mapping[str, Any]]]) -> None:
        """Have the rows of runs that trained before agree with the columns' kinds, which other values may have changed.

        Args:
            runs: their files and settings.
        """
        with self._may_fail():
            if not (self._work and self._content.hparams):
                return
            for paths, settings in runs:
                if is_of_mixed_kinds(settings, self._content.kinds):
                    content = self._content
                    start = start_of_session(settings, content.varying, content.kinds, content.metrics)
                    replace_session_start(paths, start)

    def go_back(self, paths: RunPaths, epoch: int, batches: int) -> None:
        """Drop what came after an epoch; see `event_files.drop_later_events`."""
        with self._may_fail():
            drop_later_events(paths, epoch, batches)

    def close(self, run_id: str) -> None:
        """Close a run's file, if it has one."""
        with self._may_fail():
            if run_id in self._open:
                self._open.pop(run_id).close()

    def close_all(self) -> None:
        """Close every file."""
        for run_id in list(self._open):
            self.close(run_id)

    @contextmanager
    def _may_fail(self) -> Iterator[None]:
        try:
            yield
        except (OSError, FolderError) as error:
            if self._work:
                cause = getattr(error.__cause__ or error, "strerror", None) or error
                self._warn(f"TensorBoard: cannot write ({cause}); the sweep goes on without it")
            self._work = False
            for board in self._open.values():
                with suppress(OSError):  # what it still held goes nowhere either
                    board.close()
            self._open.clear()
