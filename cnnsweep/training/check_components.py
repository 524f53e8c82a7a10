"""Check of the optimizers, schedules, losses and augmentations of a sweep, before anything trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from cnnsweep.augmentations.base import AUGMENTATIONS
from cnnsweep.losses.base import make_loss
from cnnsweep.optimizers.base import make_optimizer
from cnnsweep.schedules.base import SCHEDULES
from cnnsweep.training.check_optimizer import check_optimizers
from cnnsweep.training.check_schedule import check_schedules
from cnnsweep.types import Run


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
