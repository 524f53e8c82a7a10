"""Curves that tests write down as lists of figures."""

from collections.abc import Sequence
from hashlib import sha256

from cnnsweep.metrics.objective import Objective
from cnnsweep.pruners.base import Curve, Pruner, prune
from cnnsweep.types import PruneDecision

ACCURACY = Objective("val_accuracy", "max")
LOSS = Objective("val_loss", "min")
LONGEST = 27


def best_so_far(figures: Sequence[float | None], mode: str = "max") -> tuple[float | None, ...]:
    better = max if mode == "max" else min
    return tuple(better((f for f in figures[: n + 1] if f is not None), default=None) for n in range(len(figures)))


def name(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()[:16]


def curves_of(*figures: Sequence[float | None], epochs: int = LONGEST, mode: str = "max") -> dict[str, Curve]:
    """Curves named 0, 1, ... in order; by the scope `best`."""
    return {name(n): Curve(name(n), tuple(some), best_so_far(some, mode), epochs) for n, some in enumerate(figures)}


def judged(
    pruner: Pruner,
    curves: dict[str, Curve],
    due: Sequence[int],
    objective: Objective = ACCURACY,
    longest: int = LONGEST,
) -> list[PruneDecision]:
    return prune(pruner, objective, [name(number) for number in due], curves, longest)


def stopped(decisions: Sequence[PruneDecision], among: int) -> list[int]:
    names = {name(number): number for number in range(among)}
    return [names[decision.trial_id] for decision in decisions if decision.stops]
