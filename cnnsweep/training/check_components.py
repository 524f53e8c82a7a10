"""Check of the optimizers, schedules, losses and augmentations of a sweep, before anything trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from cnnsweep.augmentations.base import AUGMENTATIONS
from cnnsweep.losses.base import make_loss
from cnnsweep.optimizers.base import make_optimizer
from cnnsweep.schedules.base import SCHEDULES
from cnnsweep.types import Run


def check_components(runs: Sequence[Run]) -> None:
    """Create every distinct optimizer, schedule, loss and augmentation once.

    Raises:
        UsageError: one cannot be imported or does not take its arguments.
    """
    for h in dict.fromkeys(dataclasses.replace(run.hyperparameters, seed=0, epochs=1) for run in runs):
        make_optimizer(h)
        make_loss(h)
        SCHEDULES.make(h.schedule)
        for augmentation in h.augment:
            AUGMENTATIONS.make(augmentation)
