"""The contract of a tracker, and the registry of trackers.

A tracker sends the metrics of a sweep to another program. It is one class, whose fields are its options in the sweep
file and whose methods handle the events of `Callback`:

    class CsvLog(Tracker, name="csv"):
        file: str = "epochs.csv"

        def on_epoch_end(self, reports):
            ...

To add one, write a file in this folder, name your own as `file.py:Name` under `trackers:` in a sweep file, or declare
an entry point in the group `cnnsweep.trackers`.

Within an epoch the order is: the journal, the trackers, then `last.safetensors`, which commits the epoch. A crash in
between leaves events that the next command rewinds, never a committed epoch without its events. For the same reason a
tracker handles the end of a run before the journal has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnnsweep.callbacks import Callback, ErrorPolicy
from cnnsweep.registry import Component, Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cnnsweep.storage.paths import SweepPaths
    from cnnsweep.storage.state import SweepState
    from cnnsweep.types import EpochRecord, Run


@dataclass(frozen=True, slots=True)
class TrackerContext:
    """The sweep that a tracker follows.

    Attributes:
        sweep: its name.
        paths: its folder; a run's own folder is `paths.run(run.name).folder`.
        history: the state of all runs of the folder, current at every event.
        varying: the parameters that differ between runs.
        values: the values of each parameter, in all runs of the folder.
        is_edited: the sweep file has changed since the last command in this folder.
        make_model: builds the model of a run with random weights; it returns logits.
        image_shape: channels, height, width.
        sample_images: returns some training images (N, C, H, W) uint8.
    """

    sweep: str
    paths: SweepPaths
    history: SweepState
    varying: frozenset[str]
    values: Mapping[str, Sequence[Any]]
    is_edited: bool
    make_model: Callable[[Run], nn.Module]
    image_shape: tuple[int, int, int]
    sample_images: Callable[[], Tensor]

    def best_record(self, run_id: str) -> EpochRecord | None:
        """Return the selected epoch of a run; None before its first epoch."""
        return self.history.objective.selected(self.history.runs[run_id].records)


class Tracker(Component, Callback):
    """Base of all trackers; the methods of `Callback` that a subclass needs are overridden.

    A tracker that raises is reported once and dropped; the sweep continues. It may keep state in private attributes
    (`_file: Any = None`). All its methods run in the process that writes the folder, one at a time.

    Attributes:
        title: the name in messages; by default that of the sweep file.
    """

    title: ClassVar[str] = ""
    error_policy: ClassVar[ErrorPolicy] = ErrorPolicy.DROP

    def setup(self, context: TrackerContext) -> None:
        """Prepare for a sweep. Called once, before all events, while the folder is locked and the journal is open."""

    def close(self) -> None:
        """Close files and connections. Called once at any end of the sweep; also after an error of this tracker."""


TRACKERS = Registry("tracker", "trackers", Tracker)
