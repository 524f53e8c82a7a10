"""Records of training: epochs, decisions and outcomes of runs.

After each epoch the trainer passes one `EpochReport` per run up, and gets one `Decision` per run back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from torch import Tensor


PLAIN: Final = "plain"  # weights as trained, and their averages
EMA: Final = "ema"
SWA: Final = "swa"
WEIGHTS = (PLAIN, EMA, SWA)


class RunStatus(StrEnum):
    """Status of a run. The last five are final; an interrupted run resumes when the sweep is run again."""

    WAITING = "waiting"  # to begin, or at a rung of early stopping for the other trials to come there
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"  # early, by decision
    DIVERGED = "diverged"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def is_final(self) -> bool:
        """True for a run that `cnnsweep run` leaves alone when it is called again."""
        return self in (RunStatus.FINISHED, RunStatus.STOPPED, RunStatus.DIVERGED, RunStatus.FAILED)


class FailureKind(StrEnum):
    """The cause of a failure, which decides the remedy."""

    DIVERGED = "diverged"
    MEMORY = "out of memory"
    DATA = "data"  # a data set's files
    SETTINGS = "settings"  # values that a model of ours cannot be built with
    USER_CODE = "your code"
    KILLED = "killed"  # the process that trained it, from outside
    DISK = "disk"  # full or gone; such runs are interrupted, and resume
    CNNSWEEP = "cnnsweep"  # a fault of ours


class Decision(Enum):
    """Decision about a run after an epoch."""

    CONTINUE = "continue"
    STOP = "stop"  # early: the run has ended
    INTERRUPT = "interrupt"  # now: the run resumes when the sweep is run again


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """A run after one epoch: one row of `results.csv`. `record["val_loss"]` is one of its metrics.

    Attributes:
        epoch: from 1.
        metrics: by name, in the order of the columns; None where a metric was not measured. Without prefix they are
            gathered on training images while the weights move; `val_*` are measured after the epoch, and None without
            validation. Loss and accuracy may be NaN where the run diverged.
        epoch_duration, run_duration: seconds of this epoch, and of all epochs so far.
        lr: the learning rate of the last step.
        steps: batches in this epoch.
        weights: those that `val_*` are measured with, and that count as the run's: the best of all measured, by the
            deciding metric.
        others: the metrics on held-out images with each of the other weights, by their names.
        divergence: the value that became infinite or NaN; such an epoch is never the best, and ends the run.
    """

    run_id: str
    epoch: int
    metrics: Mapping[str, float | None]
    epoch_duration: float
    run_duration: float
    lr: float
    steps: int
    divergence: str | None = None
    weights: str = PLAIN
    others: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)

    def __getitem__(self, metric: str) -> float | None:
        return self.metrics.get(metric)

    @property
    def plain_metrics(self) -> Mapping[str, float | None]:
        """The metrics with the plain weights, on which averages have no effect."""
        return {**self.metrics, **self.others.get(PLAIN, {})}


@dataclass(frozen=True, slots=True)
class EpochReport:
    """Report of the trainer on one run after an epoch.

    `weights` and `optimizer` are the plain model's `state_dict` and its optimizer's; they are only valid until the
    next step, so copy what you keep. `gradients` are those of the epoch's last step, by parameter name. `averaged` are
    the averages of the weights that `record.weights` names; None where it names the plain ones.
    """

    record: EpochRecord
    batch_losses: Tensor  # (steps,) float32 on the CPU
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    gradients: Mapping[str, Tensor]
    averaged: Mapping[str, Tensor] | None = None


@dataclass(frozen=True, slots=True)
class PruneDecision:
    """Decision of a pruner about a trial after an epoch.

    Attributes:
        stops: its runs stop here.
        value: the metric of the trial, a mean over its seeds and folds; None without a finite one.
        threshold: the value that it was compared with.
        compared: the number of trials that the threshold comes from, including this one; 1 if it depends on no other.
        rule: a description, such as `top 1/3 at epoch 3`.
    """

    trial_id: str
    epoch: int
    stops: bool
    value: float | None
    threshold: float | None
    compared: int
    rule: str


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """Outcome of a run.

    Attributes:
        cause: one line; None for a finished run.
        details: a traceback, for the log.
        failure: the kind, if the run failed or diverged; None in a journal of an earlier version.
    """

    run_id: str
    status: RunStatus
    cause: str | None = None
    details: str | None = None
    failure: FailureKind | None = None


def end_words(status: RunStatus, failure: FailureKind | None) -> str:
    """Return the status with the kind of failure: `failed (out of memory)`; the status alone if there is none."""
    return f"{status} ({failure})" if status is RunStatus.FAILED and failure is not None else str(status)
