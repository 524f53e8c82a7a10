"""TensorBoard events of a run: one log directory per run, with its own events only."""

from __future__ import annotations

import errno
import itertools
import os
import re
import socket
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.compat.proto.versions_pb2 import VersionDef
from torch import Tensor
from torch.utils.tensorboard.summary import custom_scalars

from cnnsweep.metrics.names import STANDARD, on_validation, without_prefix
from cnnsweep.seeding import kept_generators
from cnnsweep.storage.atomic_files import OutputFile, sync_folder
from cnnsweep.storage.paths import RunPaths
from cnnsweep.trackers.event_files import BATCH_TAG, FILE_VERSION, PREFIX
from cnnsweep.trackers.event_records import write_record
from cnnsweep.trackers.tensorboard_hparams import BEST, Kind, end_of_session, start_of_session
from cnnsweep.types import EpochReport, RunStatus

_BINS = 64
_NUMBERS = itertools.count()  # distinguishes two files opened in one second


@dataclass(frozen=True, slots=True)
class TensorBoardConfig:
    """TensorBoard content of a run in addition to its epoch scalars.

    Attributes:
        varying: the hyperparameters that differ between runs.
        kinds: the kind of each hyperparameter's values, over all runs of the sweep.
        metrics: the recorded metrics by name.
    """

    batch_loss: bool = True
    histograms: bool = True
    hparams: bool = True
    varying: frozenset[str] = frozenset()
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    metrics: tuple[str, ...] = STANDARD


class EventWriter:
    """The event file of one run."""

    def __init__(self, paths: RunPaths, content: TensorBoardConfig) -> None:
        """Open a new event file in the run's folder.

        Raises:
            OSError: it cannot be written.
        """
        # Not tensorboard's EventFileWriter: its thread and its queue of ten take longer than writing. The name has its
        # form: TensorBoard reads files with `tfevents` in the name, in the order of names.
        name = f"{PREFIX}{_next_stamp(paths):010d}.{socket.gethostname()}.{os.getpid()}.{next(_NUMBERS)}"
        self._path = paths.folder / name
        self._file = OutputFile(self._path)
        sync_folder(paths.folder)
        self._content = content
        self._add_event(Event(wall_time=time.time(), file_version=FILE_VERSION))
        self._file.flush()

    def introduce(self, graph: GraphDef | None, images: Summary | None) -> None:
        """Write the layout of the charts, the model's graph, and a grid of sample images."""
        self._add(custom_scalars(_charts(self._content.metrics)), 0)
        if graph is not None:
            self._add_event(Event(wall_time=time.time(), graph_def=graph.SerializeToString()))
        if images is not None:
            self._add(images, 0)
        self._file.flush()

    def add_epoch(self, report: EpochReport) -> None:
        """Write the scalars and histograms of an epoch, and the loss of each of its batches."""
        record = report.record
        scalars = {**record.metrics, "lr": record.lr, "duration": record.epoch_duration}
        values = [
            Summary.Value(tag=f"epoch/{name}", simple_value=value)
            for name, value in scalars.items()
            if value is not None
        ]
        if self._content.histograms:
            values += _histograms("weights", report.weights) + _histograms("gradients", report.gradients)
        self._add(Summary(value=values), record.epoch)
        if self._content.batch_loss:
            first = (record.epoch - 1) * record.steps + 1
            for step, loss in enumerate(report.batch_losses.tolist(), start=first):
                value = Summary.Value(tag=BATCH_TAG, simple_value=loss)
                event = Event(wall_time=time.time(), step=step, summary=Summary(value=[value]))
                write_record(self._file.write, event.SerializeToString())
        self._sync()  # before the checkpoint commits the epoch

    def add_start(self, params: Mapping[str, Any]) -> None:
        """Write the hyperparameters as the row of a run in progress in the HParams view.

        torch's `add_hparams` would create a second run, and hide metrics and hyperparameters that the first one lacks.
        """
        if self._content.hparams:
            for summary in start_of_session(params, self._content.varying, self._content.kinds, self._content.metrics):
                self._add(summary, 0)
            self._file.flush()

    def add_end(self, status: RunStatus, best: Mapping[str, float], epoch: int) -> None:
        """Record the outcome of the run, and the metrics of the best epoch, for the HParams view."""
        if not self._content.hparams:
            return
        values = [Summary.Value(tag=f"{BEST}{name}", simple_value=value) for name, value in best.items()]
        self._add(Summary(value=values), epoch)
        self._add(end_of_session(status), 0)
        self._sync()

    def close(self) -> None:
        self._file.close()

    def _sync(self) -> None:
        if (became := self._file.displacement(self._path)) is not None:
            raise OSError(errno.ESTALE, f"{self._path.name} {became}", str(self._path))
        self._file.sync()

    def _add(self, summary: Summary, step: int) -> None:
        self._add_event(Event(wall_time=time.time(), step=step, summary=summary))

    def _add_event(self, event: Event) -> None:
        write_record(self._file.write, event.SerializeToString())


def _charts(metrics: Sequence[str]) -> dict[str, dict[str, list[Any]]]:
    """Return the scalars that share a chart: a metric on training and on validation images."""
    names = dict.fromkeys(map(without_prefix, metrics))
    lines = {
        name: [f"^epoch/{re.escape(one)}$" for one in (name, on_validation(name)) if one in metrics] for name in names
    }
    return {"training and validation": {name: ["Multiline", tags] for name, tags in lines.items()}}


def _histograms(prefix: str, tensors: Mapping[str, Tensor]) -> list[Summary.Value]:
    values = []
    for name, tensor in tensors.items():
        histogram = _histogram(tensor) if tensor.is_floating_point() and tensor.numel() else None
        if histogram is not None:
            values.append(Summary.Value(tag=f"{prefix}/{name}", histo=histogram))
    return values


def _histogram(tensor: Tensor) -> HistogramProto | None:
    """Count values in 64 equal bins on the tensor's device; None if some are not finite.

    torch's own writer counts in 1,549 bins with NumPy, which can take longer than a whole epoch of a small network.
    """
    flat = tensor.detach().float().reshape(-1)
    lowest, highest = flat.aminmax()
    low, high = lowest.item(), highest.item()
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


def _next_stamp(paths: RunPaths) -> int:
    """Return the time, or a time after every file's, in case the clock was set back."""
    stamps = [path.name.removeprefix(PREFIX).partition(".")[0] for path in paths.event_files]
    return max([int(time.time()), *(int(stamp) + 1 for stamp in stamps if stamp.isdigit())])


def make_graph(make_model: Callable[[], torch.nn.Module], image_shape: tuple[int, int, int]) -> GraphDef | None:
    """Return the graph of a model, or None if it cannot be built or traced; training reports the reason."""
    # Used by SummaryWriter.add_graph in torch 2.10 to 2.15, here without its import of ONNX, which takes a second.
    from torch.utils.tensorboard._pytorch_graph import parse

    example = torch.zeros(2, *image_shape)
    try:
        with kept_generators(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a tracer warns of every shape that becomes a constant
            trace = torch.jit.trace(make_model().eval(), example, check_trace=False, strict=False)
            nodes = parse(trace.inlined_graph, trace, (example,))
    except Exception:  # a user's forward may raise any error under a tracer; the graph is optional
        return None
    return GraphDef(node=nodes, versions=VersionDef(producer=22))


def make_image_grid(images: Tensor, columns: int = 8) -> Summary:
    """Return sample images as one picture.

    Args:
        images: (N, C, H, W) uint8.
    """
    from torch.utils.tensorboard.summary import image

    # Like torchvision.utils.make_grid; importing torchvision takes two seconds.
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    grid = torch.zeros(rows * columns, channels, height + 1, width + 1, dtype=torch.uint8)
    grid[:count, :, 1:, 1:] = images
    tiled = grid.view(rows, columns, channels, height + 1, width + 1).permute(2, 0, 3, 1, 4)
    shown = tiled.reshape(channels, rows * (height + 1), columns * (width + 1))[:3]
    summary: Summary = image("images", shown, dataformats="CHW")
    return summary
