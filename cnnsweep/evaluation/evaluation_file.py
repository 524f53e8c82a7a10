"""Files of an evaluation in a run's folder: `evaluation.json`, and an event file for TensorBoard."""

from tensorboard.compat.proto.summary_pb2 import Summary

from cnnsweep.storage.atomic_files import replace_file
from cnnsweep.storage.paths import RunPaths
from cnnsweep.storage.self_digest import with_digest
from cnnsweep.trackers.event_files import replace_evaluation_events


def record_evaluation(paths: RunPaths, content: str, summary: Summary, split: str, epoch: int) -> None:
    """Replace a run's `evaluation.json`, and the events of that split. The caller holds the sweep's lock.

    The events come first, so that they exist if `evaluation.json` does. A run without event files gets none.

    Args:
        content: of `evaluation.json`.
        epoch: the epoch of the measured weights.

    Raises:
        FolderError: they cannot be written.
    """
    if paths.event_files:
        replace_evaluation_events(paths, summary, split, epoch)
    replace_file(paths.evaluation, with_digest(content))
