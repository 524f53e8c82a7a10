"""Check of the optimizers, schedules, losses and augmentations of a sweep, before anything trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from cnnsweep.augmentations.base import AUGMENTATIONS
from cnnsweep.config.hyperparameters import trial_hyperparameters
from cnnsweep.config.schema import SweepSpec
from cnnsweep.errors import UsageError
from cnnsweep.losses.base import make_loss
from cnnsweep.optimizers.base import make_optimizer
from cnnsweep.samplers.space import Interval
from cnnsweep.schedules.base import SCHEDULES
from cnnsweep.training.check_optimizer import check_optimizers
from cnnsweep.training.check_schedule import check_schedules
from cnnsweep.types import Hyperparameters, Run


def check_components(runs: Sequence[Run]) -> None:
    """Create every distinct optimizer, schedule, loss and augmentation once, and try those that are not built in.

    Raises:
        UsageError: one cannot be imported, does not take its arguments, or does not work.
    """
    for h in dict.fromkeys(dataclasses.replace(run.hyperparameters, seed=0, epochs=1) for run in runs):
        make_optimizer(h)
        make_loss(h)
        SCHEDULES.make(h.schedule)
        for augmentation in h.augment:
            AUGMENTATIONS.make(augmentation)
    check_optimizers(run.hyperparameters for run in runs)
    check_schedules(run.hyperparameters for run in runs)


def check_searched(spec: SweepSpec) -> None:
    """Try the optimizers and schedules that a search may choose, before it has chosen any.

    Those that lack arguments are left out: the trials bring them.

    Raises:
        UsageError: one does not work.
    """
    if spec.search is not None:
        check_optimizers(_possible(spec, "optimizer"))
        check_schedules(_possible(spec, "schedule"))


def _possible(spec: SweepSpec, key: str) -> Iterator[Hyperparameters]:
    axis = spec.axes.get(key, ())
    for choice in () if isinstance(axis, Interval) else axis:
        h = trial_hyperparameters(spec, {key: choice}, None)
        try:
            make_optimizer(h)
            SCHEDULES.make(h.schedule)
        except UsageError:
            continue
        yield h
