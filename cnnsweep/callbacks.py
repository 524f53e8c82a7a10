"""Callbacks of a sweep: the base class of everything that listens, in the order of the events.

The storage writer, the display, the trackers, the failure limit and the user's own objects are callbacks. All events
come in the parent process and, but for `on_batch_end`, in its main thread.

The tuner calls the callbacks in a fixed order, the journal's writer first. So an event is on the disk before any other
callback gets it. If a tracker raises, or a callback that the sweep file names under `callbacks`, it is dropped and the
sweep continues without it. If a callback given in Python raises, the sweep stops as after Ctrl-C, and then raises the
same error. A class that sets `error_policy` itself decides that for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from logging import INFO, WARNING
from typing import Any, ClassVar, Protocol

from cnnsweep.errors import UsageError
from cnnsweep.metrics.baseline import Baseline
from cnnsweep.metrics.objective import Objective
from cnnsweep.registry import Component, Registry
from cnnsweep.signatures import arguments_of, component_of
from cnnsweep.types import Decision, EpochRecord, EpochReport, Run, RunGroup, RunOutcome

__all__ = ["INFO", "WARNING", "Callback", "ErrorPolicy", "HasRecord", "RunInfo", "SweepOverview", "UnderWay"]


class RunInfo(Protocol):
    """The part of a `Run` that a display needs; a run that is read from a journal has no more."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def params(self) -> Mapping[str, Any]: ...
    @property
    def epochs(self) -> int: ...


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A sweep that another process trains and that began before it is shown. There are no batch events.

    Attributes:
        elapsed_s: seconds since the first run of the present command started.
        records: epochs of the present command so far.
        source: returns a line on the training process and its last event; called at each redraw, so it must be quick.
    """

    elapsed_s: float
    records: Sequence[EpochRecord]
    source: Callable[[], str]


@dataclass(frozen=True, slots=True)
class SweepOverview:
    """The state of a sweep before its first run starts.

    Attributes:
        columns: the parameters to show: those that vary, or all if none does. A run may lack some.
        runs: all known runs in order, the completed ones too; each a `Run` in the process that trains.
        history: epochs of earlier sessions by run id, also of runs that only a later round will name.
        outcomes: ends of runs in earlier sessions by run id, likewise.
        runs_to_come: the most runs that a sampler will still suggest; 0 if all are known.
        under_way: for a sweep that is only watched.
        elapsed_before: seconds of training by earlier commands.
        elapsed: returns the seconds of training by all commands, as in the report; None uses the display's clock.
        baseline: the value of the deciding metric that a constant answer reaches, if known.
    """

    name: str
    folder: str
    device: str
    columns: tuple[str, ...]
    runs: tuple[RunInfo, ...]
    objective: Objective
    history: Mapping[str, Sequence[EpochRecord]]
    outcomes: Mapping[str, RunOutcome]
    runs_to_come: int = 0
    under_way: UnderWay | None = None
    elapsed_before: float = 0.0
    elapsed: Callable[[], float] | None = None
    baseline: Baseline | None = None


class HasRecord(Protocol):
    """The part of an `EpochReport` that most callbacks need; a replayed epoch has no more."""

    @property
    def record(self) -> EpochRecord: ...


class ErrorPolicy(Enum):
    """The consequence of an error that a callback raises; for those of a sweep file, RAISE is as STOP."""

    RAISE = "raise"  # the sweep cannot continue: the folder's writer
    DROP = "drop"  # the sweep continues without the callback: a tracker, or one of the sweep file
    STOP = "stop"  # the sweep stops as after Ctrl-C: one given in Python


class Callback:
    """Base class with a method for each event; each does nothing, so a subclass overrides the ones it needs.

    A sweep calls `on_sweep_start` first and `on_sweep_end` last. `on_log` can come before and after. For one run the
    order is: `on_run_start`, then `on_batch_end` and `on_epoch_end`, then `on_run_end`. A run that waits at a rung,
    loses its worker or is split from its group starts again, and has the same events again.
    """

    error_policy: ClassVar[ErrorPolicy] = ErrorPolicy.STOP

    def on_sweep_start(self, sweep: SweepOverview) -> None:
        """Handle the start of a command that trains, after the checks and before the first run."""

    def on_trials_added(self, runs: Sequence[Run], to_come: int) -> None:
        """Handle the runs of the trials that a sampler suggested.

        Args:
            runs: in order, some maybe known already; empty if only the number to come has changed.
            to_come: the most runs that the sampler will still suggest; replaces the number before.
        """

    def on_rewind(self, run: Run, last: EpochRecord | None) -> None:
        """Drop everything after a run's last whole checkpoint; comes before `on_run_start` and after a crash.

        Args:
            last: the checkpoint's epoch; None if the run starts over.
        """

    def on_run_start(self, run: Run, last: EpochRecord | None) -> None:
        """Handle the start of a run.

        Args:
            last: the epoch of the checkpoint that it resumes from; None for a run from the start.
        """

    def on_batch_end(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        """Handle the end of a training step. It must be quick, and may be called by several threads.

        Args:
            run_ids: the runs that train together.
            done: batches of the epoch so far, of `total`. With worker processes not each batch is reported.
        """

    def on_epoch_end(self, reports: Sequence[EpochReport]) -> Mapping[str, Decision] | None:
        """Handle an epoch of the runs that train together; it is written by now.

        Args:
            reports: at least one, all of one epoch. The tensors are valid until the next step.

        Returns:
            Decisions by run id, or their texts such as "stop"; runs without one continue. STOP ends a run early; if the
            sweep file has neither pruner nor callbacks, it resumes when the sweep is run again. INTERRUPT stops the
            whole sweep, as Ctrl-C does.
        """

    def on_run_end(self, outcome: RunOutcome) -> None:
        """Handle the end of a run, or of its part up to a rung (status WAITING). A pruned run may not have started."""

    def on_group_split(self, parts: Sequence[RunGroup], cause: str) -> None:
        """Handle a group that could not train fused. Its runs start again in these groups, from their checkpoints."""

    def on_group_lost(self, group: RunGroup, cause: str) -> None:
        """Handle the loss of a worker. The group's runs start again from their last checkpoints."""

    def on_log(self, text: str, level: int = WARNING) -> None:
        """Handle a line for the user: INFO for a detail, WARNING for something that the user should know."""

    def on_sweep_end(self, status: str) -> None:
        """Handle the end of the command: `finished`, or `interrupted` if runs are left."""


class NamedCallback(Component):
    """A callback that a sweep file names; its fields are the arguments of the user's class."""

    made_from: ClassVar[type[Callback]] = Callback

    def build(self) -> Callback:
        """Return an instance of the user's class, with the arguments that are given."""
        return self.made_from(**{name: getattr(self, name) for name in self.model_fields_set})


def _of_class(value: Any, reference: str) -> type[NamedCallback]:
    if not isinstance(value, type) or not issubclass(value, Callback):
        raise UsageError(f"callback {reference}: found {value!r:.60}, allowed is a subclass of cnnsweep.Callback")
    made: type[NamedCallback] = component_of(
        value, arguments_of(value, 0), NamedCallback, name=value.__name__, about=f"callback {reference}"
    )
    made.made_from = value
    return made


CALLBACKS = Registry("callback", "callbacks", NamedCallback, of_code=_of_class, constructor=0)
