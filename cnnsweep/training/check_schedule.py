"""Trial of users' own schedules before training, over steps from the first to the last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cnnsweep.config.dump import without_folder
from cnnsweep.errors import UsageError
from cnnsweep.plugins import is_reference
from cnnsweep.schedules.base import SCHEDULES, OwnSchedule, Schedule
from cnnsweep.schedules.rates import RATES, is_rate
from cnnsweep.training.code_place import defined_at, raised_at
from cnnsweep.types import Hyperparameters

_STEPS_PER_EPOCH = (1, 7, 100)
_MOST_CALLS = 50_000  # in all, some 50 ms
_HISTORY: list[dict[str, float | None]] = [
    {"loss": 2.0, "accuracy": 0.2, "val_loss": 2.1, "val_accuracy": 0.1},
    {"loss": 1.0, "accuracy": 0.6, "val_loss": 1.2, "val_accuracy": 0.5},
    {"loss": 1.1, "accuracy": 0.6, "val_loss": None, "val_accuracy": None},  # nothing is held out
]


def check_schedules(every: Iterable[Hyperparameters]) -> None:
    """Try every distinct schedule that is not built in.

    Raises:
        UsageError: it raises, or returns something else than a number of at least 0; the message has file and line of
            the user's code.
    """
    own = {(repr(h.schedule), h.epochs, h.lr): h for h in every if not SCHEDULES.is_built_in(h.schedule.name)}.values()
    for h in own:
        _check(h, max(10, _MOST_CALLS // len(own) // len(_STEPS_PER_EPOCH)))


def _check(h: Hyperparameters, most: int) -> None:
    schedule = SCHEDULES.make(h.schedule)
    code = type(schedule).function if isinstance(schedule, OwnSchedule) else type(schedule)
    about = f"schedule {without_folder(h.schedule.name, h.schedule.code)}: "
    place = defined_at(code) if is_reference(h.schedule.name) else ""
    try:
        for seen, value in _values(schedule, h, most):
            if not is_rate(value):
                raise UsageError(f"{place}{about}returned {value!r:.60} for {seen}, allowed is {RATES}")
    except UsageError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise UsageError(f"{raised_at(error, code)}{about}raised {type(error).__name__}: {text}") from error


def _values(schedule: Schedule, h: Hyperparameters, most: int) -> Iterator[tuple[str, object]]:
    for steps_per_epoch in _STEPS_PER_EPOCH:
        steps = steps_per_epoch * h.epochs
        for number in range(count := min(steps, most)):
            step = number * (steps - 1) // max(1, count - 1)
            seen = f"step {step} of {steps}, {h.epochs} epochs, lr {h.lr:g}"
            yield seen, _rate(schedule, step, steps_per_epoch, h)
    for done in range(len(_HISTORY) + 1):
        yield f"the metrics of {done} epochs", schedule.lr_factor(_HISTORY[:done])


def _rate(schedule: Schedule, step: int, steps_per_epoch: int, h: Hyperparameters) -> object:
    if isinstance(schedule, OwnSchedule):
        return schedule.returned(step, steps_per_epoch, h.epochs, h.lr)
    return schedule.lr_at(step, steps_per_epoch, h.epochs, h.lr)
