"""Values shared by the layers: frozen, without torch, so that planning and reports start at once.

A *run* is one trial of the hyperparameters. A *group* is runs that train together. After each epoch the
trainer hands one `EpochReport` a run up and gets one `Decision` a run back.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


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
    """The cause of a failure, which decides who can fix it."""

    DIVERGED = "diverged"
    MEMORY = "out of memory"
    DATA = "data"  # a data set's files
    SETTINGS = "settings"  # values that a model of ours cannot be built with
    USER_CODE = "your code"
    KILLED = "killed"  # the process that trained it, from outside
    DISK = "disk"  # full or gone; such runs are interrupted, and go on
    CNNSWEEP = "cnnsweep"  # a fault of ours


class Decision(Enum):
    """Decision about a run after an epoch."""

    CONTINUE = "continue"
    STOP = "stop"  # early: the run has ended
    INTERRUPT = "interrupt"  # now: the run goes on when the sweep is run again


@dataclass(frozen=True, slots=True)
class Normalization:
    """Normalisation of pixels scaled to 0..1: shift and divisor of each channel.

    `standard` takes mean and deviation of the images trained on, `none` leaves 0..1, `given` uses `mean` and `std`
    (one number for all channels, or one a channel).
    """

    kind: str = "standard"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class DatasetChoice:
    """A data set by name, with the arguments of the sweep file. `code` is the content hash of a person's own file."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    normalize: Normalization = field(default_factory=Normalization)
    code: str | None = None


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model by name, with the arguments of the sweep file. `code` is the content hash of a person's own file."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """An implementation of a registry, such as a schedule: its name, and arguments.

    Attributes:
        arguments: only those that differ from their defaults, so that equal choices are equal.
        code: the content hash of a user's own file.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    code: str | None = None


CONSTANT = Choice("constant")
CROSS_ENTROPY = Choice("cross_entropy")


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Everything that a run is trained with except the model. A value that the optimizer or the loss does not use is
    None; that of a user's own optimizer is None too where it has its own default.

    Attributes:
        grad_clip: largest norm of the whole gradient; None leaves it alone.
        augment: random changes to training images, in the order of `augmentations.base.in_order`.
        optimizer_code: the content hash of a user's own file.
        optimizer_arguments: those that are not fields here and differ from their defaults.
    """

    lr: float
    batch_size: int
    shuffle: bool
    epochs: int
    optimizer: str
    momentum: float | None
    nesterov: bool | None
    beta1: float | None
    beta2: float | None
    eps: float | None
    weight_decay: float | None
    schedule: Choice
    label_smoothing: float
    grad_clip: float | None
    augment: tuple[Choice, ...]
    seed: int
    optimizer_code: str | None = None
    optimizer_arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    loss_function: Choice = CROSS_ENTROPY

    @property
    def view(self) -> tuple[int, tuple[Choice, ...], int]:
        """The key of the images in a run's batches: runs that are equal in it see the same ones."""
        return self.seed if self.shuffle else -1, self.augment, self.seed if self.augment else -1

    def data_key_in(self, epoch: int) -> tuple[tuple[int, tuple[Choice, ...], int], int]:
        """Return the key of an epoch's batches: without shuffling or augmenting, all epochs are alike."""
        return self.view, epoch if self.shuffle or self.augment else 0

    @property
    def components(self) -> tuple[Choice, ...]:
        """The optimizer, schedule, loss and augmentations."""
        optimizer = Choice(self.optimizer, self.optimizer_arguments, self.optimizer_code)
        return optimizer, self.schedule, self.loss_function, *self.augment


@dataclass(frozen=True, slots=True)
class Run:
    """One training of one model with one configuration of hyperparameters.

    Attributes:
        id: 16 hex digits, the hash of everything that determines the result; never of position or path.
        name: a folder name, unique in the sweep, made of the axes' values and the id.
        params: hyperparameters as in tables, one entry per key of the file's `params`, in the file's order, as plain
            JSON values.
        trial_id: 16 hex digits, like `id`, but without seed and fold: runs with equal values are replicates.
        fold: the fold that is held out, from 0; None without k-fold.
    """

    id: str
    name: str
    model: ModelChoice
    hyperparameters: Hyperparameters
    params: Mapping[str, Any]
    trial_id: str
    fold: int | None = None

    @property
    def epochs(self) -> int:
        return self.hyperparameters.epochs


Trajectory = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class RunGroup:
    """Runs that train in lock step; equal in batch size, data, precision, and model but for dropout.

    Attributes:
        programs: their trajectories, by the program that trains them. Runs of one trajectory differ in `epochs` alone,
            and so have the same weights at every epoch: they are trained once and recorded for each.
        is_threaded: each program has one thread of the CPU; otherwise there is one program, which uses them all.
        goals: by run id, the epoch after which it waits for what comes next; empty where runs train to their ends.
            Where runs are at different epochs, all have as many to go to their goals. Others' ids mean nothing.
        companions: runs that have ended and train along unrecorded, by id, with the last epoch for which they do: so
            that one that is repeated has the program that it had, and every rounding with it.
    """

    programs: tuple[tuple[Trajectory, ...], ...]
    is_threaded: bool = False
    stop_epochs: Mapping[str, int] = field(default_factory=dict)
    companions: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, trajectories: Sequence[Trajectory], threads: int = 1) -> RunGroup:
        """Return a group of one program, or of as many as there are threads for, each with as many trajectories."""
        if threads == 1:
            return cls((tuple(trajectories),))
        sizes = even_sizes(len(trajectories), -(-len(trajectories) // threads))
        bounds = itertools.pairwise([0, *itertools.accumulate(sizes)])
        return cls(tuple(tuple(trajectories[start:end]) for start, end in bounds), is_threaded=True)

    def up_to(self, stop_epochs: Mapping[str, int]) -> RunGroup:
        """Return the same group with other goals."""
        return replace(self, stop_epochs=stop_epochs)

    @property
    def trajectories(self) -> tuple[Trajectory, ...]:
        return tuple(trajectory for program in self.programs for trajectory in program)

    @property
    def runs(self) -> tuple[Run, ...]:  # that are recorded
        every_run = (run for trajectory in self.trajectories for run in trajectory)
        return tuple(run for run in every_run if run.id not in self.companions)


def even_sizes(count: int, most: int) -> list[int]:
    """Return the sizes of as few groups as `count` members need, at most `most` in each, and as even as can be."""
    groups = -(-count // most)
    return [count * (number + 1) // groups - count * number // groups for number in range(groups)]


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

    def __getitem__(self, metric: str) -> float | None:
        return self.metrics.get(metric)


@dataclass(frozen=True, slots=True)
class EpochReport:
    """Report of the trainer on one run after an epoch.

    `weights` and `optimizer` are the plain model's `state_dict` and its optimizer's; they are only valid until the
    next step, so whoever keeps them copies them. `gradients` are those of the epoch's last batch, by parameter name.
    """

    record: EpochRecord
    batch_losses: Tensor  # (steps,) float32 on the CPU
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    gradients: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class PruneDecision:
    """Decision of a pruner about a trial after an epoch.

    Attributes:
        stops: whether its runs stop here.
        value: the configuration's figure, a mean over its seeds and folds; None if it has none that is finite.
        threshold: what it was held against.
        compared: how many configurations the threshold comes from, this one included; 1 if it depends on no other.
        rule: in words, such as `top 1/3 at epoch 3`.
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
        cause: one line for everything but finished.
        details: a traceback, for the log.
        failure: of every run that failed or diverged; None in a journal of an earlier version.
    """

    run_id: str
    status: RunStatus
    cause: str | None = None
    details: str | None = None
    failure: FailureKind | None = None


def end_words(status: RunStatus, failure: FailureKind | None) -> str:
    """Return how a run stands: `failed (out of memory)`, or the status alone where that says it all."""
    return f"{status} ({failure})" if status is RunStatus.FAILED and failure is not None else str(status)
