"""What a search is asked and what it answers.

A search gives *picks*: one value for each dimension of the space. It keeps no state. All that it knows is handed to
it each time, so a resumed sweep, which has it from its journal, goes on with the very picks that it would have had.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cnnsweep.config.distributions import Interval

_BELOW_ONE = math.nextafter(
    1.0, 0.0
)  # an interval takes shares up to here; CMA-ES and Optuna may choose the end itself

Picks = Mapping[str, float | int]  # by dimension: the index of a choice, or a number of the interval


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing to choose: by index among `options` choices, or a number of `interval`. One of the two is None."""

    name: str
    options: int | None = None
    interval: Interval | None = None

    def __post_init__(self) -> None:
        if (self.options is None) == (self.interval is None):
            raise ValueError(f"dimension {self.name}: give either options or an interval")

    def at(self, share: float) -> float | int:
        """Return the index or number below which a share (0 to 1) of all draws lie."""
        share = min(share, _BELOW_ONE)
        if self.interval is not None:
            return self.interval.at(share)
        assert self.options is not None
        return min(int(share * self.options), self.options - 1)


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a setting.

    Attributes:
        value: what it reached; None if nothing that is finite (it diverged or failed), or nothing yet.
        curve: the figure by epoch, where a rule ended it early, or it is on its way; empty otherwise.
        is_pending: it is asked for, and has no figure yet.
    """

    picks: Picks
    value: float | None
    curve: Mapping[int, float] = field(default_factory=dict)
    is_pending: bool = False


class Suggester(Protocol):
    """A way of choosing settings."""

    def suggest(self, told: Sequence[Told], drawn: int, count: int) -> list[Picks]:
        """Return `count` picks; a pure function of what the suggester was made from, and of `told` and `drawn`.

        Args:
            told: what became of the settings tried so far, in the order in which they were drawn. Picks of this round
                that were refused belong there too, as pending: a Gaussian process would propose them again.
            drawn: how many picks were drawn before, those included that were never tried.
        """


def text_seed(text: str) -> int:
    """Return 32 bits, which is what NumPy's older generators take, that depend on every character of a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def worst_value(told: Sequence[Told], mode: str) -> float | None:
    """Return the worst value that any setting has reached: what one that diverged counts as. None if there is none."""
    values = [one.value for one in told if one.value is not None]
    return (min if mode == "max" else max)(values, default=None)
