"""Batches of an optimizer step: with `accumulate`, several batches share one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepPart:
    """A batch's part in an optimizer step.

    Attributes:
        share: of the images of the step; the gradient of the step is the mean over its images.
        step: the number of the optimizer step in the epoch, from 0.
        is_first, is_last: the position of the batch in the step.
    """

    share: float = 1.0
    step: int = 0
    is_first: bool = True
    is_last: bool = True


WHOLE_STEP = StepPart()


def step_parts(lengths: Sequence[int], accumulate: int) -> list[StepPart]:
    """Return the part of each batch of an epoch; the last step may have fewer batches.

    Args:
        lengths: images of each batch.
        accumulate: batches in a step.
    """
    parts = []
    for step, start in enumerate(range(0, len(lengths), accumulate)):
        own = lengths[start : start + accumulate]
        images = sum(own)
        last = len(own) - 1
        parts += [StepPart(length / images, step, n == 0, n == last) for n, length in enumerate(own)]
    return parts


def optimizer_steps(parts: Sequence[StepPart]) -> int:
    """Return the number of optimizer steps in an epoch."""
    return sum(part.is_last for part in parts)
