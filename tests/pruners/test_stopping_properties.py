"""Early stopping: what holds for every rule and any curves."""

import math

import pytest
from curves_by_hand import ACCURACY, LONGEST, LOSS, curves_of, judged, name, stopped
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnsweep.pruners.base import Curve, Pruner
from cnnsweep.pruners.halving import Halving
from cnnsweep.pruners.hyperband import Hyperband
from cnnsweep.pruners.median import Median
from cnnsweep.pruners.patience import Patience
from cnnsweep.pruners.threshold import Threshold

RULES = [
    Halving(factor=2),
    Hyperband(factor=2),
    Median(min_settings=2),
    Patience(epochs=1, min_delta=0.25),
    Threshold(value=0.5),
]
FIGURES = st.sampled_from([None, 0.0, 0.25, 0.5, 0.75, 1.0])


@st.composite
def some_curves(draw: st.DrawFn) -> tuple[list[list[float | None]], list[int]]:
    """Curves at several epochs, and those of them that are due: all that are at the same one."""
    count = draw(st.integers(1, 9))
    lengths = [draw(st.integers(1, 8)) for _ in range(count)]
    figures = [draw(st.lists(FIGURES, min_size=length, max_size=length)) for length in lengths]
    return figures, [number for number in range(count) if lengths[number] == lengths[0]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@settings(max_examples=60, deadline=None)
@given(drawn=some_curves())
def test_less_of_a_loss_is_as_more_of_a_figure(rule: Pruner, drawn: tuple[list[list[float | None]], list[int]]):
    figures, due = drawn
    negative = [[None if figure is None else -figure for figure in some] for some in figures]
    mirrored = Threshold(value=-rule.value) if isinstance(rule, Threshold) else rule
    most = judged(rule, curves_of(*figures), due, longest=16)
    least = judged(mirrored, curves_of(*negative, mode="min"), due, LOSS, longest=16)
    assert [(v.trial_id, v.stops, v.compared, v.value, v.threshold) for v in most] == [
        (v.trial_id, v.stops, v.compared, _minus(v.value), _minus(v.threshold)) for v in least
    ]


def _minus(figure: float | None) -> float | None:
    return None if figure is None else -figure


@pytest.mark.parametrize("rule", RULES[:3], ids=lambda rule: rule.name)
@settings(max_examples=60, deadline=None)
@given(drawn=some_curves())
def test_the_best_goes_on(rule: Pruner, drawn: tuple[list[list[float | None]], list[int]]):
    figures, due = drawn
    curves = curves_of(*figures)
    epoch = len(figures[0])
    selected = {n: curves[name(n)].selected[epoch - 1] for n in range(len(figures)) if len(figures[n]) >= epoch}
    best = max((value for value in selected.values() if value is not None), default=math.inf)
    decisions = judged(rule, curves, due, longest=16)
    leading = {n for n, value in selected.items() if value == best}
    ended = set(stopped(decisions, len(figures)))
    if rule.name == "median":
        assert not leading & ended
    elif rule.name == "halving" and leading <= set(due):
        assert not leading or leading - ended


TIES = st.lists(
    st.tuples(st.sampled_from([None, math.nan, 0.1, 0.2, 0.3]), st.sampled_from([None, 1.0, 2.0])),
    min_size=1,
    max_size=30,
)


@pytest.mark.parametrize("objective", [ACCURACY, LOSS], ids=["max", "min"])
@settings(max_examples=150, deadline=None)
@given(drawn=TIES, factor=st.sampled_from([1.5, 2, 3, 4]), order=st.randoms(use_true_random=False))
def test_of_any_settings_halving_lets_the_best_share_go_on_whoever_came_first(drawn, factor, order, objective):
    """The best by (figure, loss, place), and never more than 1/factor of those that have a figure, or the one best."""
    curves = [Curve(name(n), (figure,), (figure,), LONGEST, (loss,), n) for n, (figure, loss) in enumerate(drawn)]
    known = [n for n, (figure, _) in enumerate(drawn) if figure is not None and not math.isnan(figure)]
    sign = -1 if objective is ACCURACY else 1

    def key(n):
        loss = drawn[n][1] if objective is ACCURACY else None  # a loss has no other figure to decide by
        return sign * drawn[n][0], math.inf if loss is None else loss, n

    expected = sorted(known, key=key)[: max(1, math.floor(len(known) / factor + 1e-9))]
    arrived = list(range(len(drawn)))
    order.shuffle(arrived)
    by_name = {curves[n].trial_id: curves[n] for n in arrived}
    decisions = judged(Halving(factor=factor), by_name, arrived, objective)
    going_on = set(range(len(drawn))) - set(stopped(decisions, len(drawn)))
    assert going_on == set(expected)
    assert all(decision.stops == (decision.trial_id not in {name(n) for n in expected}) for decision in decisions)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@settings(max_examples=40, deadline=None)
@given(drawn=some_curves())
def test_a_rule_is_pure_and_heeds_no_order(rule: Pruner, drawn: tuple[list[list[float | None]], list[int]]):
    figures, due = drawn
    curves = curves_of(*figures)
    decisions = judged(rule, curves, due, longest=16)
    backwards = judged(rule, dict(reversed(curves.items())), due[::-1], longest=16)
    assert decisions == backwards[::-1]
    one_by_one = [decision for number in due for decision in judged(rule, curves, [number], longest=16)]
    assert decisions == one_by_one


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_nothing_is_said_at_the_end_or_about_nobody(rule: Pruner):
    curves = curves_of([0.1] * 4, [0.9] * 4, [0.9] * 4, epochs=4)
    assert judged(rule, curves, [0, 1, 2]) == []
    assert judged(rule, curves, []) == []
