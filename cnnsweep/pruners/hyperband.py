"""Hyperband (Li et al. 2018): several halvings side by side, each with a later first rung."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate

from cnnsweep.metrics.objective import Objective
from cnnsweep.pruners.base import Curve
from cnnsweep.pruners.halving import ROUNDING, Halving
from cnnsweep.types import PruneDecision


class Hyperband(Halving, name="hyperband"):
    """Halving in several brackets of trials, of which the first begins to stop them earliest."""

    def rungs(self, longest: int, trial: str) -> list[int]:
        """Return the rungs of the trial's bracket; see `Pruner.rungs`."""
        return self.rungs_from(bracket_of(trial, self.bracket_sizes(longest)), longest)

    def decide(
        self, due: Sequence[Curve], curves: Mapping[str, Curve], objective: Objective, longest: int
    ) -> list[PruneDecision]:
        """Return one decision about each trial at a rung of its bracket; see `Pruner.decide`."""
        sizes = self.bracket_sizes(longest)
        found: dict[str, PruneDecision] = {}
        for bracket in range(len(sizes)):
            members, rivals = (
                [curve for curve in some if bracket_of(curve.trial_id, sizes) == bracket]
                for some in (due, curves.values())
            )
            if members and due[0].epoch in self.rungs_from(bracket, longest):
                where = f" in bracket {bracket + 1} of {len(sizes)}"
                decisions = self.halve(members, rivals, objective, where)
                found.update({decision.trial_id: decision for decision in decisions})
        return [found[curve.trial_id] for curve in due if curve.trial_id in found]

    def bracket_sizes(self, longest: int) -> list[int]:
        """Return the number of trials of each bracket; the first one stops earliest.

        Source: Li et al. 2018, algorithm 1: n = ceil((s_max + 1) / (s + 1) · factor^s), where its s is s_max for our
        first.
        """
        last = 0
        while self.min_epochs * self.factor ** (last + 1) <= longest * (1 + ROUNDING):
            last += 1
        return [math.ceil((last + 1) / (s + 1) * self.factor**s - ROUNDING) for s in range(last, -1, -1)]


def bracket_of(trial: str, sizes: Sequence[int]) -> int:
    """Return a trial's bracket, in proportion to their sizes.

    It is drawn from the id, which is a hash, so it depends on neither the order of the trials nor the rest of them.
    """
    place, places = int(trial, 16), 16 ** len(trial)  # whole numbers: a share could round up to 1
    return next(number for number, upto in enumerate(accumulate(sizes)) if place * sum(sizes) < upto * places)
