"""TensorBoard: an event file for each run, in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, ClassVar

from cnnsweep.config.schema import TensorBoard
from cnnsweep.trackers.base import Tracker, TrackerContext
from cnnsweep.types import EpochRecord, EpochReport, Run, RunGroup, RunOutcome, RunStatus

if TYPE_CHECKING:
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.proto.summary_pb2 import Summary

    from cnnsweep.trackers.tensorboard_writer import EventWriter, TensorBoardConfig


class TensorBoardTracker(TensorBoard, Tracker, name="tensorboard"):
    """Event files for TensorBoard, with the scalars of every epoch."""

    title: ClassVar[str] = "TensorBoard"
    _context: TrackerContext
    _content: TensorBoardConfig
    _images: Summary | None = None
    _graphs: dict[str, GraphDef | None]
    _open: dict[str, EventWriter]  # by run id

    def setup(self, context: TrackerContext) -> None:
        from cnnsweep.trackers.tensorboard_hparams import kind_of
        from cnnsweep.trackers.tensorboard_writer import TensorBoardConfig, make_image_grid

        self._context, self._graphs, self._open = context, {}, {}
        kinds = {name: kind_of(values) for name, values in context.values.items()}
        self._content = TensorBoardConfig(
            self.batch_loss, self.histograms, self.hparams, context.varying, kinds, context.history.metrics
        )
        self._images = make_image_grid(context.sample_images()) if self.images else None
        if self.hparams and context.is_edited:
            self._align_rows()

    def on_rewind(self, run: Run, last: EpochRecord | None) -> None:
        from cnnsweep.trackers.event_files import drop_later_events

        self._close(run.id)  # still open if its group could not continue
        if last is not None:  # a restarted run has no event file
            drop_later_events(self._context.paths.run(run.name), last.epoch, last.epoch * last.steps)

    def on_run_start(self, run: Run, _last: EpochRecord | None) -> None:
        is_new = not self._context.paths.run(run.name).event_files
        board = self._open_file(run.id, run.name)
        if is_new:
            board.introduce(self._graph(run), self._images)
        board.add_start(run.params)

    def on_epoch_end(self, reports: Sequence[EpochReport]) -> None:
        for report in reports:
            self._open[report.record.run_id].add_epoch(report)

    def on_run_end(self, outcome: RunOutcome) -> None:
        if outcome.status not in (RunStatus.INTERRUPTED, RunStatus.WAITING):
            known = self._context.history.runs[outcome.run_id]
            # A pruned run that waited at a rung has no open file.
            board = self._open.get(known.id) or self._open_file(known.id, known.name)
            epoch = known.records[-1].epoch if known.records else 0
            board.add_end(outcome.status, _metrics(self._context.best_record(known.id)), epoch)
        self._close(outcome.run_id)

    def on_group_lost(self, group: RunGroup, _cause: str) -> None:
        for run in group.runs:
            self._close(run.id)

    def close(self) -> None:
        with ExitStack() as stack:  # close all, even if one cannot be written
            for board in self._open.values():
                stack.callback(board.close)
            self._open = {}

    def _open_file(self, run_id: str, name: str) -> EventWriter:
        from cnnsweep.trackers.tensorboard_writer import EventWriter

        board = self._open[run_id] = EventWriter(self._context.paths.run(name), self._content)
        return board

    def _close(self, run_id: str) -> None:
        if run_id in self._open:
            self._open.pop(run_id).close()

    def _graph(self, run: Run) -> GraphDef | None:
        """Return the graph of a run's model, traced once per model; None if it cannot be traced."""
        from cnnsweep.trackers.tensorboard_writer import make_graph

        if not self.graph:
            return None
        key = repr(run.model)
        if key not in self._graphs:
            self._graphs[key] = make_graph(lambda: self._context.make_model(run), self._context.image_shape)
        return self._graphs[key]

    def _align_rows(self) -> None:
        """Rewrite the rows of earlier runs whose values have other types than the present columns."""
        from cnnsweep.trackers.event_files import replace_session_start
        from cnnsweep.trackers.tensorboard_hparams import is_of_mixed_kinds, start_of_session

        content = self._content
        for run in self._context.history.runs.values():
            if is_of_mixed_kinds(run.params, content.kinds):
                start = start_of_session(run.params, content.varying, content.kinds, content.metrics)
                replace_session_start(self._context.paths.run(run.name), start)


def _metrics(record: EpochRecord | None) -> Mapping[str, float]:
    """Return the metrics of an epoch that were measured."""
    return {} if record is None else {name: value for name, value in record.metrics.items() if value is not None}
