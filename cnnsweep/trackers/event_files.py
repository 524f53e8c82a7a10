"""TensorBoard's event files: rewind, replace and read."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from cnnsweep.storage.atomic_files import OutputFile, remove_file, replace_file_by
from cnnsweep.storage.paths import RunPaths
from cnnsweep.storage.read_limited import open_regular
from cnnsweep.trackers.event_records import read_records, write_record
from cnnsweep.trackers.tensorboard_hparams import BEST, HPARAMS

PREFIX = "events.out.tfevents."
FILE_VERSION = "brain.Event:2"
BATCH_TAG = "batch/loss"  # the only tag whose step counts batches; all others count epochs
EVALUATION = "evaluation_"  # prefix of an evaluation's tags, and the name of its file after the prefix
_RECORD_OVERHEAD = 16  # bytes: a record's length and two checksums


def drop_later_events(paths: RunPaths, epoch: int, batches: int) -> None:
    """Drop a run's events after an epoch, and a torn tail.

    TensorBoard's own `purge_step` has one step for all tags; here batches and epochs count separately. Files are
    replaced one by one, so an interruption does no harm and the operation can be repeated.

    Args:
        batches: number of the last batch whose loss stays.

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
    """Write an evaluation into a separate event file of a run, which replaces an earlier one.

    It has one name for each split, so that neither a crash nor a second evaluation shows data twice.

    Raises:
        FolderError: it cannot be written.
    """
    events = [
        Event(wall_time=time.time(), file_version=FILE_VERSION),
        Event(wall_time=time.time(), step=step, summary=summary),
    ]
    path = paths.folder / f"{PREFIX}{EVALUATION}{split}"
    replace_file_by(path, partial(_write_events, [event.SerializeToString() for event in events]))


def replace_session_start(paths: RunPaths, start: Sequence[Summary]) -> None:
    """Rewrite the start of a run's row in the HParams view if its files have different values or types.

    Args:
        start: see `tensorboard_hparams.start_of_session`.

    Raises:
        OSError, FolderError: a file cannot be read or written.
    """
    wanted = {value.tag: value for summary in start for value in summary.value}
    for path in paths.event_files:
        events = [Event.FromString(raw) for raw in _whole_events(path)]
        has_changed = False
        for event in events:
            for value in event.summary.value:
                if value.tag in wanted and _without_time(value) != _without_time(wanted[value.tag]):
                    value.CopyFrom(wanted[value.tag])
                    has_changed = True
        if has_changed:
            replace_file_by(path, partial(_write_events, [event.SerializeToString() for event in events]))


def _without_time(value: Summary.Value) -> HParamsPluginData:
    content = HParamsPluginData.FromString(value.metadata.plugin_data.content)
    content.session_start_info.ClearField("start_time_secs")
    return content


def _write_events(events: Sequence[bytes], file: OutputFile) -> None:
    for raw in events:
        write_record(file.write, raw)


@dataclass(frozen=True, slots=True)
class EventFile:
    """Readable content of an event file.

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
        losses.update((event.step, value.simple_value) for value in event.summary.value if value.tag == BATCH_TAG)
    return EventFile(sum(len(raw) + _RECORD_OVERHEAD for raw in raw_events), losses)


def _whole_events(path: Path) -> Sequence[bytes]:
    with open_regular(path) as file:
        return list(read_records(file))


def _is_kept(event: Event, epoch: int, batches: int) -> bool:
    if not event.HasField("summary"):
        return True
    tags = [value.tag for value in event.summary.value]
    if tags == [BATCH_TAG]:
        return bool(event.step <= batches)
    if any(tag.startswith((HPARAMS, BEST, EVALUATION)) for tag in tags):
        return False  # they belong to the end, which is not reached yet, or are written at every start of a run
    return bool(event.step <= epoch)
