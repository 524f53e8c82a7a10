"""What TensorBoard shows of a run: one log directory a run, and nothing in it but the run's own events."""

from __future__ import annotations

import itertools
import os
import socket
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.compat.proto.versions_pb2 import VersionDef
from tensorboard.summary.writer.record_writer import RecordWriter
from torch import Tensor
from torch.utils.tensorboard.summary import custom_scalars

from cnnsweep.recording.board_hparams import BEST, HPARAMS, end_of_session, start_of_session
from cnnsweep.recording.files import OutputFile, remove_file, replace_file_by, sync_folder
from cnnsweep.recording.paths import RunPaths
from cnnsweep.records import EpochReport, RunStatus

_PREFIX = "events.out.tfevents."
_RECORD_OVERHEAD = 16  # bytes: a record's length and two checksums
_BINS = 64
_NUMBERS = itertools.count()  # so that two files opened in one second have two names
_BATCH_TAG = "batch/loss"  # the only tag whose step counts batches; all others count epochs
_EVALUATION = "evaluation_"  # how the tags of an evaluation begin, and the name of its file after the prefix
_CHARTS = {
    "training and validation": {
        "loss": ["Multiline", ["^epoch/loss$", "^epoch/val_loss$"]],
        "accuracy": ["Multiline", ["^epoch/accuracy$", "^epoch/val_accuracy$"]],
    }
}


@dataclass(frozen=True, slots=True)
class BoardContent:
    """What a run's board records beside its epoch scalars.

    Attributes:
        columns: the settings that runs of the sweep have; TensorBoard shows those that the first run names.
        varying: those of them that differ between runs.
    """

    batch_loss: bool = True
    histograms: bool = True
    hparams: bool = True
    columns: tuple[str, ...] = ()
    varying: frozenset[str] = frozenset()


class RunBoard:
    """The event file of one run."""

    def __init__(self, paths: RunPaths, content: BoardContent) -> None:
        """Open a new event file in the run's folder.

        Raises:
            OSError: it cannot be written.
        """
        # Not tensorboard's EventFileWriter: its thread and its queue of ten take longer than the writing. The name is
        # like its own: TensorBoard reads what has `tfevents` in it, in the order of the names.
        name = f"{_PREFIX}{_next_stamp(paths):010d}.{socket.gethostname()}.{os.getpid()}.{next(_NUMBERS)}"
        self._file = OutputFile(paths.folder / name)
        sync_folder(paths.folder)
        self._writer = RecordWriter(self._file)
        self._content = content
        self._add_event(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._file.flush()

    def introduce(self, graph: GraphDef | None, images: Summary | None) -> None:
        """Record which curves share a chart, the model's graph, and a grid of sample images."""
        self._add(custom_scalars(_CHARTS), 0)
        if graph is not None:
            self._add_event(Event(wall_time=time.time(), graph_def=graph.SerializeToString()))
        if images is not None:
            self._add(images, 0)
        self._file.flush()

    def add_epoch(self, report: EpochReport) -> None:
        """Record the scalars and histograms of an epoch, and the loss of each of its batches."""
        record = report.record
        figures = {
            "epoch/loss": record.loss,
            "epoch/accuracy": record.accuracy,
            "epoch/val_loss": record.val_loss,
            "epoch/val_accuracy": record.val_accuracy,
            "epoch/lr": record.lr,
            "epoch/duration": record.epoch_duration,
        }
        values = [Summary.Value(tag=tag, simple_value=v) for tag, v in figures.items() if v is not None]
        if self._content.histograms:
            values += _histograms("weights", report.weights) + _histograms("gradients", report.gradients)
        self._add(Summary(value=values), record.epoch)
        if self._content.batch_loss:
            first = (record.epoch - 1) * record.steps + 1
            for step, loss in enumerate(report.batch_losses.tolist(), start=first):
                self._add(Summary(value=[Summary.Value(tag=_BATCH_TAG, simple_value=loss)]), step)
        self._file.sync()  # what the checkpoint says is there, is there

    def add_start(self, settings: Mapping[str, Any]) -> None:
        """Record the hyperparameters, for the row of a run that trains in the HParams view.

        torch's `add_hparams` would make a second run, and hide what the first of the sweep's runs lacks.
        """
        if self._content.hparams:
            for summary in start_of_session(settings, self._content.columns, self._content.varying):
                self._add(summary, 0)
            self._file.flush()

    def add_end(self, status: RunStatus, best: Mapping[str, float], epoch: int) -> None:
        """Record how the run ended, and the figures of the best epoch, for the HParams view."""
        if not self._content.hparams:
            return
        values = [Summary.Value(tag=f"{BEST}{name}", simple_value=value) for name, value in best.items()]
        self._add(Summary(value=values), epoch)
        self._add(end_of_session(status), 0)
        self._file.sync()

    def close(self) -> None:
        self._file.close()

    def _add(self, summary: Summary, step: int) -> None:
        self._add_event(Event(wall_time=time.time(), step=step, summary=summary))

    def _add_event(self, event: Event) -> None:
        self._writer.write(event.SerializeToString())


def _histograms(prefix: str, tensors: Mapping[str, Tensor]) -> list[Summary.Value]:
    values = []
    for name, tensor in tensors.items():
        histogram = _histogram(tensor) if tensor.is_floating_point() and tensor.numel() else None
        if histogram is not None:
            values.append(Summary.Value(tag=f"{prefix}/{name}", histo=histogram))
    return values


def _histogram(tensor: Tensor) -> HistogramProto | None:
    """Count values in 64 equal bins on the tensor's device; None if some are not finite.

    torch's own writer counts in 1,549 bins with NumPy, which takes longer than a small network's whole epoch may.
    """
    flat = tensor.detach().float().reshape(-1)
    low, high = (bound.item() for bound in flat.aminmax())
    if not (low - low == 0.0 and high - high == 0.0):  # NaN or infinite
        return None
    top = high if high > low else low + max(abs(low), 1.0) * 1e-6
    counts = torch.histc(flat, _BINS, low, top)
    edges = torch.linspace(low, top, _BINS + 1)[1:]
    return HistogramProto(
        min=low,
        max=high,
        num=flat.numel(),
        sum=flat.sum().item(),
        sum_squares=flat.square().sum().item(),
        bucket_limit=edges.tolist(),
        bucket=counts.tolist(),
    )


def drop_later_events(paths: RunPaths, epoch: int, batches: int) -> None:
    """Keep a run's events up to an epoch; what came after, and a torn tail, is gone.

    TensorBoard's own way, `purge_step`, knows one step for all tags; here batches and epochs count apart. Each file is
    replaced by itself, so that it does no harm to be interrupted and done again.

    Args:
        batches: up to which batch losses stay.

    Raises:
        OSError, FolderError: a file cannot be read or written.
    """
    for path in paths.event_files:
        events = _whole_events(path)
        kept = [raw for raw in events if _is_kept(Event.FromString(raw), epoch, batches)]
        if all(Event.FromString(raw).HasField("file_version") for raw in kept):
            remove_file(path)
        elif len(kept) < len(events) or path.stat().st_size > sum(len(raw) + _RECORD_OVERHEAD for raw in events):
            replace_file_by(path, partial(_write_events, kept))


def replace_evaluation_events(paths: RunPaths, summary: Summary, split: str, step: int) -> None:
    """Have a run's board show an evaluation, in a file of its own, which replaces that of an earlier one.

    It has one name for each split, so that neither a crash nor a second evaluation can show anything twice.

    Raises:
        FolderError: it cannot be written.
    """
    events = [
        Event(wall_time=time.time(), file_version="brain.Event:2"),
        Event(wall_time=time.time(), step=step, summary=summary),
    ]
    path = paths.folder / f"{_PREFIX}{_EVALUATION}{split}"
    replace_file_by(path, partial(_write_events, [event.SerializeToString() for event in events]))


def _write_events(events: Sequence[bytes], file: OutputFile) -> None:
    writer = RecordWriter(file)
    for raw in events:
        writer.write(raw)


def _next_stamp(paths: RunPaths) -> int:
    """Return the time, or more than every file's, should the clock have been set back."""
    stamps = [path.name.removeprefix(_PREFIX).partition(".")[0] for path in paths.event_files]
    return max([int(time.time()), *(int(stamp) + 1 for stamp in stamps if stamp.isdigit())])


@dataclass(frozen=True, slots=True)
class EventFile:
    """What an event file holds, as far as it can be read.

    Attributes:
        whole_bytes: from its beginning to the first damaged event.
        batch_losses: the loss of batches, by their number from 1.
    """

    whole_bytes: int
    batch_losses: Mapping[int, float]


def read_event_file(path: Path) -> EventFile:
    """Read an event file, up to the first event whose checksum does not match.

    Raises:
        OSError: it cannot be read.
    """
    raw_events = _whole_events(path)
    losses: dict[int, float] = {}
    for event in map(Event.FromString, raw_events):
        losses.update((event.step, value.simple_value) for value in event.summary.value if value.tag == _BATCH_TAG)
    return EventFile(sum(len(raw) + _RECORD_OVERHEAD for raw in raw_events), losses)


def _whole_events(path: Path) -> Sequence[bytes]:
    events = []
    loader = RawEventFileLoader(str(path)).Load()
    while True:
        try:
            events.append(next(loader))
        except Exception:  # the loader's own type for a torn record differs with and without TensorFlow
            return events


def _is_kept(event: Event, epoch: int, batches: int) -> bool:
    if not event.HasField("summary"):
        return True
    tags = [value.tag for value in event.summary.value]
    if tags == [_BATCH_TAG]:
        return bool(event.step <= batches)
    if any(tag.startswith((HPARAMS, BEST, _EVALUATION)) for tag in tags):
        return False  # they belong to the end, which is still to come, or are written whenever a run starts
    return bool(event.step <= epoch)


def make_graph(model: torch.nn.Module, image_shape: tuple[int, int, int]) -> GraphDef | None:
    """Return a model's graph, or None for a model that cannot be traced."""
    # What SummaryWriter.add_graph uses, as of torch 2.10 to 2.15, without its import of ONNX, which takes a second.
    from torch.utils.tensorboard._pytorch_graph import parse

    example = torch.zeros(2, *image_shape)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a tracer warns of every shape that becomes a constant
            trace = torch.jit.trace(model.eval(), example, check_trace=False, strict=False)
            nodes = parse(trace.inlined_graph, trace, (example,))
    except Exception:  # whatever the person's forward does under a tracer; the graph is a nicety
        return None
    return GraphDef(node=nodes, versions=VersionDef(producer=22))


def make_image_grid(images: Tensor, columns: int = 8) -> Summary:
    """Return sample images as one picture.

    Args:
        images: (N, C, H, W) uint8.
    """
    from torch.utils.tensorboard.summary import image

    # What torchvision.utils.make_grid does; importing torchvision takes two seconds.
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    grid = torch.zeros(rows * columns, channels, height + 1, width + 1, dtype=torch.uint8)
    grid[:count, :, 1:, 1:] = images
    tiled = grid.view(rows, columns, channels, height + 1, width + 1).permute(2, 0, 3, 1, 4)
    shown = tiled.reshape(channels, rows * (height + 1), columns * (width + 1))[:3]
    summary: Summary = image("images", shown, dataformats="CHW")
    return summary
