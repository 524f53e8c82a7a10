"""Writes down in a run's folder what was measured by class: for reports, and for TensorBoard."""

import hashlib

from tensorboard.compat.proto.summary_pb2 import Summary

from cnnsweep.recording.event_files import replace_evaluation_events
from cnnsweep.recording.files import replace_file
from cnnsweep.recording.paths import RunPaths


def record_evaluation(paths: RunPaths, content: str, summary: Summary, split: str, epoch: int) -> None:
    """Replace a run's `evaluation.json`, and the events of that split; for who holds the sweep's lock.

    The events come first: where `evaluation.json` is, they are. A run without events, because they were not wanted or
    cannot be written, gets none.

    Args:
        content: of `evaluation.json`.
        epoch: whose weights were measured.

    Raises:
        FolderError: they cannot be written.
    """
    if paths.event_files:
        replace_evaluation_events(paths, summary, split, epoch)
    replace_file(paths.evaluation, _with_digest(content))


def evaluation_is_whole(content: bytes) -> bool:
    """True if an `evaluation.json` is as it was written, or is of a version that wrote no digest."""
    head, mark, tail = content.rpartition(_DIGEST)
    return not mark or tail == _digest(head + _END) + _END_OF_DIGEST


_DIGEST = b',"sha256":"'  # of the object without it; it stands at the end
_END = b"}\n"
_END_OF_DIGEST = b'"}\n'


def _with_digest(content: str) -> bytes:
    plain = content.encode()
    return plain.removesuffix(_END) + _DIGEST + _digest(plain) + _END_OF_DIGEST


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
