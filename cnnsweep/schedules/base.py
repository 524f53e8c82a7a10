"""The learning rate of every step, as a pure function: nothing to save, nothing to restore."""

import math

from cnnsweep.types import Schedule

# What torch's OneCycleLR uses (Smith and Topin 2017, Super-Convergence): start at lr/25, end at that over 10,000.
_ONE_CYCLE_START = 1 / 25
_ONE_CYCLE_END = _ONE_CYCLE_START / 1e4


def learning_rate(schedule: Schedule, lr: float, step: int, steps_per_epoch: int, epochs: int) -> float:
    """Return the learning rate of one step.

    - `constant`: lr.
    - `step`: lr times `factor` after each `every` epochs.
    - `cosine`: from lr to `final`·lr along half a cosine (Loshchilov and Hutter 2017, SGDR, without restarts).
    - `one_cycle`: up from lr/25 to lr until the share `peak` of all steps, then down to lr/250,000, along cosines.

    With `warmup`, the first epochs rise in a straight line to lr, and the schedule spans the rest.

    Args:
        step: counted from 0 over the whole run.
        epochs: of the whole run.
    """
    warmup = round(schedule.warmup * steps_per_epoch)
    if step < warmup:
        return lr * (step + 1) / warmup
    step, total = step - warmup, steps_per_epoch * epochs - warmup
    if schedule.name == "step":
        return lr * schedule.factor ** (step // (schedule.every * steps_per_epoch))
    if schedule.name == "cosine":
        return lr * _cosine(1.0, schedule.final, step / total)
    if schedule.name == "one_cycle":
        return lr * _one_cycle(schedule.peak, step, total)
    return lr


def _one_cycle(peak: float, step: int, total: int) -> float:
    up = peak * total - 1  # torch's phase boundaries, in steps
    down = total - 1
    if step <= up:
        return _cosine(_ONE_CYCLE_START, 1.0, step / up if up > 0 else 1.0)
    return _cosine(1.0, _ONE_CYCLE_END, (step - up) / (down - up) if down > up else 1.0)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
