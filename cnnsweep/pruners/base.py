"""Early stopping: rules that look at the curves of configurations, and at nothing else.

A rule is a pure function. What it finds is a `Verdict`, which is journaled, so a resumed sweep never judges twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean, median

from cnnsweep.config.early_stop_entry import EarlyStop
from cnnsweep.metrics.objective import Objective
from cnnsweep.types import Verdict

_ROUNDING = 1e-9  # of a power of the factor, such as 1.1**k, before it is rounded down to an epoch


@dataclass(frozen=True, slots=True)
class Curve:
    """One configuration so far, after as many epochs as there are `figures`.

    Attributes:
        figures: at position e-1 the mean over its replicates of the figure at epoch e; None if it is not finite.
        standing: at position e-1 the mean over its replicates of what stands for them after e epochs, by the scope.
        epochs: how many it is to train.
        losses: as `standing`, of the figure that decides between equal ones (`Objective.tie_breaker`); may be empty.
        place: in the sweep; the first of those goes on that are equal in everything else.
    """

    configuration: str
    figures: tuple[float | None, ...]
    standing: tuple[float | None, ...]
    epochs: int
    losses: tuple[float | None, ...] = ()
    place: int = 0

    def loss_at(self, epoch: int) -> float | None:
        """Return the loss that stands for it after an epoch, None where it is not known."""
        return self.losses[epoch - 1] if epoch <= len(self.losses) else None


def judge(
    rule: EarlyStop, objective: Objective, due: Sequence[str], curves: Mapping[str, Curve], longest: int
) -> list[Verdict]:
    """Return what a rule says about configurations that have just come to an epoch, the same for all of them.

    Halving and hyperband speak at their rungs only, and then about every one that is due; the others speak of those
    that stop. No rule speaks about a configuration that is at its own last epoch anyway.

    Args:
        due: those to judge.
        curves: all configurations so far, by name; those due are among them.
        longest: the most epochs that any configuration of the sweep is to train.
    """
    judged = [curves[name] for name in due]
    epoch = len(judged[0].figures) if judged else 0
    judged = [curve for curve in judged if epoch < curve.epochs]
    if rule.method in ("halving", "hyperband"):
        return _at_rung(rule, objective, judged, list(curves.values()), epoch, longest)
    if epoch < rule.min_epochs:
        return []
    if rule.method == "median":
        found = [_by_median(rule, objective, curve, curves, epoch) for curve in judged]
    elif rule.method == "patience":
        found = [_by_patience(rule, objective, curve, epoch) for curve in judged]
    elif rule.method == "threshold":
        found = [_by_threshold(rule, objective, curve, epoch) for curve in judged]
    else:
        raise ValueError(f"no rule is called {rule.method}")
    return [verdict for verdict in found if verdict is not None and verdict.stops]


def rungs(rule: EarlyStop, longest: int, bracket: int = 0) -> list[int]:
    """Return the epochs at which halving looks, before the last: min_epochs · factor^k, rounded down, k from `bracket`.

    Small factors may round to the same epoch, which is one rung then.
    """
    epochs: list[int] = []
    power = bracket
    while (epoch := _power(rule, power)) < longest:
        epochs += [epoch] if epoch not in epochs else []
        power += 1
    return epochs


def rungs_of(rule: EarlyStop, configuration: str, longest: int) -> list[int]:
    """Return the epochs at which a rule holds a configuration against others; none for a rule without rungs."""
    if not rule.has_rungs:
        return []
    sizes = bracket_sizes(rule, longest)
    return rungs(rule, longest, bracket_of(configuration, sizes) if rule.method == "hyperband" else 0)


def bracket_sizes(rule: EarlyStop, longest: int) -> list[int]:
    """Return how many settings Hyperband gives each bracket; the first one stops earliest.

    Source: Li et al. 2018, algorithm 1: n = ceil((s_max + 1) / (s + 1) · factor^s), where its s is s_max for our first.
    """
    last = 0
    while rule.min_epochs * rule.factor ** (last + 1) <= longest * (1 + _ROUNDING):
        last += 1
    return [math.ceil((last + 1) / (s + 1) * rule.factor**s - _ROUNDING) for s in range(last, -1, -1)]


def bracket_of(configuration: str, sizes: Sequence[int]) -> int:
    """Return a configuration's bracket, in proportion to their sizes.

    It is drawn from the id, which is a hash, so it depends on neither the order of the settings nor the rest of them.
    """
    place, places = int(configuration, 16), 16 ** len(configuration)  # whole numbers: a share could round up to 1
    return next(number for number, upto in enumerate(accumulate(sizes)) if place * sum(sizes) < upto * places)


def _power(rule: EarlyStop, power: int) -> int:
    return math.floor(rule.min_epochs * rule.factor**power * (1 + _ROUNDING))


def _at_rung(
    rule: EarlyStop, objective: Objective, judged: list[Curve], curves: list[Curve], epoch: int, longest: int
) -> list[Verdict]:
    if rule.method == "halving":
        return _halved(rule, objective, judged, curves, epoch, "") if epoch in rungs(rule, longest) else []
    sizes = bracket_sizes(rule, longest)
    found: dict[str, Verdict] = {}
    for bracket in range(len(sizes)):
        if epoch in rungs(rule, longest, bracket):
            members, rivals = (
                [curve for curve in some if bracket_of(curve.configuration, sizes) == bracket]
                for some in (judged, curves)
            )
            where = f" in bracket {bracket + 1} of {len(sizes)}"
            verdicts = _halved(rule, objective, members, rivals, epoch, where)
            found.update({verdict.configuration: verdict for verdict in verdicts})
    return [found[curve.configuration] for curve in judged if curve.configuration in found]


def _halved(
    rule: EarlyStop, objective: Objective, judged: list[Curve], curves: list[Curve], epoch: int, where: str
) -> list[Verdict]:
    """Stop all but the best 1/factor of those that have come as far, now or earlier (ASHA, Li et al. 2020).

    Of equal figures the lower loss counts as better, then the earlier place in the sweep: where many settings are at
    exactly chance accuracy, no more of them go on than of others. Those that are due are judged at once, so it does not
    matter who of them trained first. Those that came to their own end at this epoch count, those that came to it
    earlier have no figure here.
    """
    rivals = [
        curve for curve in curves if len(curve.figures) >= epoch and _finite(curve.standing[epoch - 1]) is not None
    ]
    rivals.sort(key=lambda curve: (curve.place, curve.configuration))
    order = objective.rank([curve.standing[epoch - 1] for curve in rivals], [curve.loss_at(epoch) for curve in rivals])
    ranked = [rivals[position] for position in order]
    going_on = ranked[: max(1, math.floor(len(ranked) / rule.factor + _ROUNDING))]
    names = {curve.configuration for curve in going_on}
    threshold = going_on[-1].standing[epoch - 1] if going_on else None
    settings = "setting" if len(ranked) == 1 else "settings"
    verdicts = []
    for curve in judged:
        value = _finite(curve.standing[epoch - 1])
        stops = curve.configuration not in names
        lost_tie = stops and value is not None and value == threshold
        ties = f" (ties by {objective.tie_breaker or 'order'})" if lost_tie else ""
        text = f"top 1/{rule.factor:g} of {len(ranked)} {settings}{where}{ties} at epoch {epoch}"
        verdicts.append(Verdict(curve.configuration, epoch, stops, value, threshold, max(1, len(ranked)), text))
    return verdicts


def _by_median(
    rule: EarlyStop, objective: Objective, curve: Curve, curves: Mapping[str, Curve], epoch: int
) -> Verdict | None:
    """Stop if the best figure so far is worse than the median of the others' means so far (Golovin et al. 2017)."""
    others = [other for other in curves.values() if other.configuration != curve.configuration]
    means = [fmean(known) for other in others if len(other.figures) >= epoch and (known := _known(other, epoch))]
    if len(means) < max(1, rule.min_settings):
        return None
    best, threshold = _best(objective, _known(curve, epoch)), median(means)
    settings = "setting" if len(means) == 1 else "settings"
    text = f"median of {len(means)} other {settings} at epoch {epoch}"
    stops = objective.is_better(threshold, best)
    return Verdict(curve.configuration, epoch, stops, best, threshold, len(means) + 1, text)


def _by_patience(rule: EarlyStop, objective: Objective, curve: Curve, epoch: int) -> Verdict | None:
    """Stop if no figure of the last epochs is better, by more than the least gain, than the best before them."""
    if epoch <= rule.epochs:
        return None
    before = _best(objective, _known(curve, epoch - rule.epochs))
    recent = _best(objective, [f for f in curve.figures[epoch - rule.epochs : epoch] if _finite(f) is not None])
    gain = rule.min_delta if objective.mode == "max" else -rule.min_delta
    threshold = None if before is None else before + gain
    amount = f" of more than {rule.min_delta:g}" if rule.min_delta else ""
    text = f"no gain{amount} in {rule.epochs} {'epoch' if rule.epochs == 1 else 'epochs'}"
    stops = not objective.is_better(recent, threshold)
    return Verdict(curve.configuration, epoch, stops, recent, threshold, 1, text)


def _by_threshold(rule: EarlyStop, objective: Objective, curve: Curve, epoch: int) -> Verdict:
    """Stop if what stands for the configuration is worse than the value."""
    value = _finite(curve.standing[epoch - 1])
    text = f"{rule.value:g} from epoch {rule.min_epochs} on"
    stops = objective.is_better(rule.value, value)
    return Verdict(curve.configuration, epoch, stops, value, rule.value, 1, text)


def _finite(figure: float | None) -> float | None:
    return figure if figure is not None and math.isfinite(figure) else None


def _known(curve: Curve, epoch: int) -> list[float]:
    """Return the finite figures up to an epoch."""
    return [figure for figure in curve.figures[:epoch] if figure is not None and math.isfinite(figure)]


def _best(objective: Objective, figures: Sequence[float | None]) -> float | None:
    return figures[objective.rank(figures)[0]] if figures else None
