"""Runs, their hyperparameters, and the groups in which they train."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cnnsweep.types.choices import BALANCED, CROSS_ENTROPY, NATURAL, UNWEIGHTED, Choice, ClassWeights, ModelChoice

View = tuple[int, tuple[Choice, ...], int, str]


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Everything that a run is trained with except the model. A value that the optimizer or the loss does not use is
    None; that of a user's own optimizer is None too where it has its own default.

    Attributes:
        grad_clip: largest norm of the whole gradient; None leaves it alone.
        augment: random changes to training images, in the order of `augmentations.base.in_order`.
        optimizer_code: the content hash of a user's own file.
        optimizer_arguments: those that are not fields here and differ from their defaults.
        sampling: natural or balanced.
        ema: the decay of the exponential moving average of the weights; None for none.
        swa: the last epochs of which the weights are averaged, as a number of them or a share below 1; None for none.
        accumulate: batches in an optimizer step.
        drop_last: leave a last batch out that has fewer images.
        freeze_bn: train with batch-norm layers in evaluation mode.
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
    class_weight: ClassWeights = UNWEIGHTED
    sampling: str = NATURAL
    ema: float | None = None
    swa: float | None = None
    accumulate: int = 1
    drop_last: bool = False
    freeze_bn: bool = False

    @property
    def is_balanced(self) -> bool:
        """True if an epoch has each class equally often; its order is drawn anyway."""
        return self.sampling == BALANCED

    @property
    def swa_epochs(self) -> int:
        """The number of last epochs of which the weights are averaged."""
        if self.swa is None:
            return 0
        return min(self.epochs, int(self.swa) if self.swa >= 1 else math.ceil(self.swa * self.epochs))

    @property
    def view(self) -> View:
        """The key of the images in a run's batches: runs that are equal in it see the same ones."""
        order = self.seed if self.shuffle or self.is_balanced else -1
        return order, self.augment, self.seed if self.augment else -1, self.sampling

    def data_key_in(self, epoch: int) -> tuple[View, int]:
        """Return the key of an epoch's batches: without shuffling or augmenting, all epochs are alike."""
        return self.view, epoch if self.shuffle or self.is_balanced or self.augment else 0

    @property
    def components(self) -> tuple[Choice, ...]:
        """The optimizer, schedule, loss and augmentations."""
        optimizer = Choice(self.optimizer, self.optimizer_arguments, self.optimizer_code)
        return optimizer, self.schedule, self.loss_function, *self.augment


@dataclass(frozen=True, slots=True)
class Run:
    """One training of one model.

    Attributes:
        id: 16 hex digits, the hash of everything that determines the result; never of position or path.
        name: a folder name, unique in the sweep, made of the axes' values and the id.
        params: the values that tables show, as plain JSON: one for each key of the file's `params`, in its order.
        trial_id: 16 hex digits, like `id`, but without seed and fold: runs with equal values are replicates.
        fold: the number of the fold that is held out, from 0; None without k-fold.
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
        programs: the trajectories of each program. Runs of one trajectory differ in `epochs` alone, and so have the
            same weights at every epoch: they are trained once and recorded for each.
        is_threaded: each program has one thread of the CPU; otherwise there is one program, which uses them all.
        stop_epochs: the epoch of each run, by id, after which it waits for the next stage; empty if runs train to their
            ends. All have the same number of epochs to go. Ids of other runs are ignored.
        companions: ended runs that train along unrecorded, by id, with the last epoch for which they do. A run that is
            repeated so has the same program as before, and the same rounding.
    """

    programs: tuple[tuple[Trajectory, ...], ...]
    is_threaded: bool = False
    stop_epochs: Mapping[str, int] = field(default_factory=dict)
    companions: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, trajectories: Sequence[Trajectory], threads: int = 1) -> RunGroup:
        """Return a group of one program, or of one for each thread, with equal numbers of trajectories."""
        if threads == 1:
            return cls((tuple(trajectories),))
        sizes = even_sizes(len(trajectories), -(-len(trajectories) // threads))
        bounds = itertools.pairwise([0, *itertools.accumulate(sizes)])
        return cls(tuple(tuple(trajectories[start:end]) for start, end in bounds), is_threaded=True)

    def up_to(self, stop_epochs: Mapping[str, int]) -> RunGroup:
        """Return the same group with other stop epochs."""
        return replace(self, stop_epochs=stop_epochs)

    @property
    def trajectories(self) -> tuple[Trajectory, ...]:
        return tuple(trajectory for program in self.programs for trajectory in program)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs that are recorded: all but the companions."""
        every_run = (run for trajectory in self.trajectories for run in trajectory)
        return tuple(run for run in every_run if run.id not in self.companions)


def even_sizes(count: int, most: int) -> list[int]:
    """Return the sizes of the fewest groups for `count` members, at most `most` in each, and as even as possible."""
    groups = -(-count // most)
    return [count * (number + 1) // groups - count * number // groups for number in range(groups)]
