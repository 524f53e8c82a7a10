"""Early stopping: each rule on an example worked by hand, and what holds for any curves."""

import math
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnsweep.records import Verdict
from cnnsweep.selection import Objective
from cnnsweep.spec.early_stop_entry import EarlyStop
from cnnsweep.stopping import Curve, bracket_of, bracket_sizes, judge, rungs

ACCURACY = Objective("val_accuracy", "max")
LOSS = Objective("val_loss", "min")
HALVING = EarlyStop("halving")
HYPERBAND = EarlyStop("hyperband")
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
    rule: EarlyStop,
    curves: dict[str, Curve],
    due: Sequence[int],
    objective: Objective = ACCURACY,
    longest: int = LONGEST,
) -> list[Verdict]:
    return judge(rule, objective, [name(number) for number in due], curves, longest)


def stopped(verdicts: Sequence[Verdict], among: int) -> list[int]:
    names = {name(number): number for number in range(among)}
    return [names[verdict.configuration] for verdict in verdicts if verdict.stops]


# halving


@pytest.mark.parametrize(
    ("first", "factor", "longest", "expected"),
    [
        (1, 3, 27, [1, 3, 9]),
        (1, 3, 28, [1, 3, 9, 27]),
        (2, 2, 20, [2, 4, 8, 16]),
        (1, 1.5, 10, [1, 2, 3, 5, 7]),  # 1, 1.5, 2.25, 3.375, 5.06, 7.59
        (5, 3, 5, []),
        (5, 3, 3, []),
        (1, 10, 1001, [1, 10, 100, 1000]),
    ],
)
def test_rungs(first: int, factor: float, longest: int, expected: list[int]):
    assert rungs(EarlyStop("halving", first, factor), longest) == expected


def test_of_seven_settings_two_go_on():
    curves = curves_of([0.1], [0.2], [0.3], [0.4], [0.5], [0.6], [0.7])
    verdicts = judged(HALVING, curves, range(7))
    assert stopped(verdicts, 7) == [0, 1, 2, 3, 4]
    assert verdicts[6] == Verdict(name(6), 1, False, 0.7, 0.6, 7, "top 1/3 of 7 settings at epoch 1")
    assert verdicts[0] == Verdict(name(0), 1, True, 0.1, 0.6, 7, "top 1/3 of 7 settings at epoch 1")


def test_the_first_to_come_goes_on_and_those_after_it_are_held_against_all():
    """Asynchronous: one alone goes on; the second is compared with it, though it is farther by now."""
    alone = curves_of([0.5])
    assert judged(HALVING, alone, [0]) == [
        Verdict(name(0), 1, False, 0.5, 0.5, 1, "top 1/3 of 1 setting at epoch 1"),
    ]
    assert stopped(judged(HALVING, curves_of([0.5, 0.9], [0.4]), [1]), 2) == [1]
    assert stopped(judged(HALVING, curves_of([0.5, 0.9], [0.6]), [1]), 2) == []  # 0.9 came at epoch 2


def test_equal_settings_go_on_together():
    assert stopped(judged(HALVING, curves_of([0.5], [0.5], [0.4]), range(3)), 3) == [2]


def test_halving_speaks_at_rungs_only():
    for epoch in (2, 4, 8, 10, 26):
        assert judged(HALVING, curves_of([0.1] * epoch, [0.9] * epoch), [0, 1]) == []
    for epoch in (1, 3, 9):
        assert stopped(judged(HALVING, curves_of([0.1] * epoch, [0.9] * epoch), [0, 1]), 2) == [0]


def test_halving_takes_what_stands_and_not_the_last_figure():
    curves = curves_of([0.9, 0.2, 0.1], [0.3, 0.3, 0.3])
    assert stopped(judged(HALVING, curves, [0, 1]), 2) == [1]


def test_what_has_no_figure_stops_and_does_not_count():
    curves = curves_of([None], [0.2], [0.3], [0.1])
    verdicts = judged(HALVING, curves, range(4))
    assert stopped(verdicts, 4) == [0, 1, 3]
    assert verdicts[0] == Verdict(name(0), 1, True, None, 0.3, 3, "top 1/3 of 3 settings at epoch 1")
    assert judged(HALVING, curves_of([None]), [0]) == [
        Verdict(name(0), 1, True, None, None, 1, "top 1/3 of 0 settings at epoch 1")
    ]


def test_who_is_at_its_own_end_is_not_judged_but_counts():
    short = {name(9): Curve(name(9), (0.9, 0.9, 0.9), (0.9, 0.9, 0.9), 3)}
    curves = curves_of([0.5] * 3) | short
    assert stopped(judged(HALVING, curves, [9, 0]), 10) == [0]
    assert len(judged(HALVING, curves, [9, 0])) == 1


def test_who_ended_before_a_rung_does_not_count_at_it():
    ended = {name(9): Curve(name(9), (0.9, 0.9), (0.9, 0.9), 2)}
    assert stopped(judged(HALVING, curves_of([0.5] * 3) | ended, [0]), 1) == []


def test_less_of_a_loss_is_better():
    assert stopped(judged(HALVING, curves_of([2.0], [1.0], [3.0], mode="min"), range(3), LOSS), 3) == [0, 2]


# hyperband


def test_brackets_are_those_of_the_paper():
    """Li et al. 2018, table 1: R = 81, factor 3; their brackets 4 to 0 begin with 81, 34, 15, 8 and 5 settings."""
    assert bracket_sizes(EarlyStop("hyperband", 1, 3), 81) == [81, 34, 15, 8, 5]
    assert [rungs(HYPERBAND, 81, bracket) for bracket in range(5)] == [
        [1, 3, 9, 27],
        [3, 9, 27],
        [9, 27],
        [27],
        [],
    ]
    assert bracket_sizes(HYPERBAND, 27) == [27, 12, 6, 4]
    assert bracket_sizes(EarlyStop("hyperband", 10), 5) == [1]


def test_brackets_are_filled_in_proportion():
    sizes = bracket_sizes(HYPERBAND, 27)
    filled = Counter(bracket_of(name(number), sizes) for number in range(4900))
    for bracket, size in enumerate(sizes):
        assert filled[bracket] == pytest.approx(100 * size, abs=90 if size > 6 else 60)


def test_every_id_has_a_bracket():
    assert bracket_of("0" * 16, [3, 1]) == 0
    assert bracket_of("f" * 16, [3, 1]) == 1
    assert bracket_of("bfffffffffffffff", [3, 1]) == 0
    assert bracket_of("c000000000000000", [3, 1]) == 1


def test_hyperband_compares_within_a_bracket():
    sizes = bracket_sizes(HYPERBAND, LONGEST)
    curves = curves_of(*[[0.01 * n] * 3 for n in range(30)])
    verdicts = judged(HYPERBAND, curves, range(30))
    by_bracket = {bracket: [n for n in range(30) if bracket_of(name(n), sizes) == bracket] for bracket in range(4)}
    assert {len(members) > 1 for bracket, members in by_bracket.items() if bracket < 2} == {True}
    assert len(verdicts) == len(by_bracket[0] + by_bracket[1])  # epoch 3 is a rung of these
    assert stopped(verdicts, 30) == sorted(
        n for bracket in (0, 1) for n in by_bracket[bracket][: -max(1, len(by_bracket[bracket]) // 3)]
    )
    rules = {verdict.rule for verdict in verdicts}
    assert f"top 1/3 of {len(by_bracket[1])} settings in bracket 2 of 4 at epoch 3" in rules
    first = judged(HYPERBAND, curves_of(*[[0.01 * n] for n in range(30)]), range(30))
    assert {verdict.configuration for verdict in first} == {name(n) for n in by_bracket[0]}


# median


MEDIAN = EarlyStop("median", min_epochs=2, min_settings=3)


def test_median_by_hand():
    """Means up to epoch 2: 0.2, 0.4, 0.6; their median is 0.4. The best so far is held against it."""
    others = [[0.1, 0.3], [0.3, 0.5, 0.9], [0.5, 0.7]]
    below = judged(MEDIAN, curves_of(*others, [0.39, 0.1]), [3])
    assert below == [Verdict(name(3), 2, True, 0.39, 0.4, 4, "median of 3 other settings at epoch 2")]
    assert judged(MEDIAN, curves_of(*others, [0.4, 0.1]), [3]) == []  # not worse
    assert len(judged(MEDIAN, curves_of(*others, [None, None]), [3])) == 1


def test_median_waits_for_epochs_and_for_others():
    assert judged(MEDIAN, curves_of([0.5], [0.5], [0.5], [0.1]), [3]) == []
    assert judged(MEDIAN, curves_of([0.5] * 2, [0.5] * 2, [0.5], [0.1] * 2), [3]) == []
    assert judged(MEDIAN, curves_of([0.5] * 2, [0.5] * 2, [None] * 2, [0.1] * 2), [3]) == []
    assert len(judged(MEDIAN, curves_of([0.5] * 2, [0.5] * 2, [0.5, None], [0.1] * 2), [3])) == 1


# patience


def test_patience_by_hand():
    patience = EarlyStop("patience", epochs=2)
    assert judged(patience, curves_of([0.5, 0.4]), [0]) == []  # only one epoch without a gain
    assert judged(patience, curves_of([0.5, 0.4, 0.5]), [0]) == [
        Verdict(name(0), 3, True, 0.5, 0.5, 1, "no gain in 2 epochs")
    ]
    assert judged(patience, curves_of([0.5, 0.4, 0.51]), [0]) == []
    assert judged(patience, curves_of([0.5, 0.6, 0.4]), [0]) == []
    assert judged(patience, curves_of([0.5, 0.6, 0.4, 0.5]), [0])[0].threshold == 0.6


def test_a_gain_must_be_large_enough():
    patience = EarlyStop("patience", epochs=2, min_delta=0.125)
    enough, short = curves_of([0.5, 0.4, 0.75]), curves_of([0.5, 0.4, 0.625])
    assert judged(patience, enough, [0]) == []
    assert judged(patience, short, [0]) == [
        Verdict(name(0), 3, True, 0.625, 0.625, 1, "no gain of more than 0.125 in 2 epochs")
    ]
    losses = curves_of([0.5, 0.4, 0.375], mode="min")
    assert judged(patience, losses, [0], LOSS)[0].threshold == 0.375


def test_patience_waits_for_its_first_epoch_and_for_a_figure():
    falling = [0.5 - 0.01 * n for n in range(5)]
    assert judged(EarlyStop("patience", epochs=2, min_epochs=6), curves_of(falling), [0]) == []
    assert len(judged(EarlyStop("patience", epochs=2, min_epochs=5), curves_of(falling), [0])) == 1
    assert judged(EarlyStop("patience", epochs=2), curves_of([None, None]), [0]) == []  # none before them to beat
    one = EarlyStop("patience", epochs=1)
    assert judged(one, curves_of([None, 0.3]), [0]) == []
    assert judged(one, curves_of([0.3, None]), [0])[0] == Verdict(name(0), 2, True, None, 0.3, 1, "no gain in 1 epoch")


# threshold


def test_threshold_by_hand():
    rule = EarlyStop("threshold", min_epochs=2, value=0.5)
    assert judged(rule, curves_of([0.1]), [0]) == []
    assert judged(rule, curves_of([0.1, 0.49]), [0]) == [Verdict(name(0), 2, True, 0.49, 0.5, 1, "0.5 from epoch 2 on")]
    assert judged(rule, curves_of([0.1, 0.5]), [0]) == []
    assert judged(rule, curves_of([0.6, 0.1]), [0]) == []  # the best so far stands
    assert judged(rule, curves_of([None, None]), [0])[0].value is None
    assert stopped(judged(rule, curves_of([0.6, 0.6], [0.6, 0.4], mode="min"), [0, 1], LOSS), 2) == [0]


# any rule


RULES = [
    EarlyStop("halving", 1, 2),
    EarlyStop("hyperband", 1, 2),
    EarlyStop("median", 1, min_settings=2),
    EarlyStop("patience", 1, epochs=1, min_delta=0.25),
    EarlyStop("threshold", 1, value=0.5),
]
FIGURES = st.sampled_from([None, 0.0, 0.25, 0.5, 0.75, 1.0])


@st.composite
def some_curves(draw: st.DrawFn) -> tuple[list[list[float | None]], list[int]]:
    """Curves at several epochs, and those of them that are due: all that are at the same one."""
    count = draw(st.integers(1, 9))
    lengths = [draw(st.integers(1, 8)) for _ in range(count)]
    figures = [draw(st.lists(FIGURES, min_size=length, max_size=length)) for length in lengths]
    return figures, [number for number in range(count) if lengths[number] == lengths[0]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.method)
@settings(max_examples=60, deadline=None)
@given(drawn=some_curves())
def test_less_of_a_loss_is_as_more_of_a_figure(rule: EarlyStop, drawn: tuple[list[list[float | None]], list[int]]):
    figures, due = drawn
    negative = [[None if figure is None else -figure for figure in some] for some in figures]
    mirrored = EarlyStop(**{f: getattr(rule, f) for f in rule.__slots__} | {"value": -rule.value})
    most = judged(rule, curves_of(*figures), due, longest=16)
    least = judged(mirrored, curves_of(*negative, mode="min"), due, LOSS, longest=16)
    assert [(v.configuration, v.stops, v.compared, v.value, v.threshold) for v in most] == [
        (v.configuration, v.stops, v.compared, _minus(v.value), _minus(v.threshold)) for v in least
    ]


def _minus(figure: float | None) -> float | None:
    return None if figure is None else -figure


@pytest.mark.parametrize("rule", RULES[:3], ids=lambda rule: rule.method)
@settings(max_examples=60, deadline=None)
@given(drawn=some_curves())
def test_the_best_goes_on(rule: EarlyStop, drawn: tuple[list[list[float | None]], list[int]]):
    figures, due = drawn
    curves = curves_of(*figures)
    epoch = len(figures[0])
    standing = {n: curves[name(n)].standing[epoch - 1] for n in range(len(figures)) if len(figures[n]) >= epoch}
    best = max((value for value in standing.values() if value is not None), default=math.inf)
    verdicts = judged(rule, curves, due, longest=16)
    assert [n for n in stopped(verdicts, len(figures)) if standing[n] == best] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.method)
@settings(max_examples=40, deadline=None)
@given(drawn=some_curves())
def test_a_rule_is_pure_and_heeds_no_order(rule: EarlyStop, drawn: tuple[list[list[float | None]], list[int]]):
    figures, due = drawn
    curves = curves_of(*figures)
    verdicts = judged(rule, curves, due, longest=16)
    backwards = judged(rule, dict(reversed(curves.items())), due[::-1], longest=16)
    assert verdicts == backwards[::-1]
    one_by_one = [verdict for number in due for verdict in judged(rule, curves, [number], longest=16)]
    assert verdicts == one_by_one


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.method)
def test_nothing_is_said_at_the_end_or_about_nobody(rule: EarlyStop):
    curves = curves_of([0.1] * 4, [0.9] * 4, [0.9] * 4, epochs=4)
    assert judged(rule, curves, [0, 1, 2]) == []
    assert judged(rule, curves, []) == []


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="oracle"):
        judged(EarlyStop("oracle"), curves_of([0.1]), [0])
