"""Early stopping: each rule on examples worked by hand."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from curves_by_hand import LONGEST, LOSS, curves_of, judged, name, stopped

from cnnsweep.pruners.base import Curve
from cnnsweep.pruners.halving import Halving
from cnnsweep.pruners.hyperband import Hyperband, bracket_of
from cnnsweep.pruners.median import Median
from cnnsweep.pruners.patience import Patience
from cnnsweep.pruners.threshold import Threshold
from cnnsweep.types import PruneDecision

HALVING = Halving()
HYPERBAND = Hyperband()


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
    assert Halving(min_epochs=first, factor=factor).rungs_from(0, longest) == expected


def test_of_seven_settings_two_go_on():
    curves = curves_of([0.1], [0.2], [0.3], [0.4], [0.5], [0.6], [0.7])
    decisions = judged(HALVING, curves, range(7))
    assert stopped(decisions, 7) == [0, 1, 2, 3, 4]
    assert decisions[6] == PruneDecision(name(6), 1, False, 0.7, 0.6, 7, "top 1/3 of 7 trials at epoch 1")
    assert decisions[0] == PruneDecision(name(0), 1, True, 0.1, 0.6, 7, "top 1/3 of 7 trials at epoch 1")


def test_the_first_to_come_goes_on_and_those_after_it_are_held_against_all():
    """Asynchronous: one alone goes on; the second is compared with it, though it is farther by now."""
    alone = curves_of([0.5])
    assert judged(HALVING, alone, [0]) == [
        PruneDecision(name(0), 1, False, 0.5, 0.5, 1, "top 1/3 of 1 trial at epoch 1"),
    ]
    assert stopped(judged(HALVING, curves_of([0.5, 0.9], [0.4]), [1]), 2) == [1]
    assert stopped(judged(HALVING, curves_of([0.5, 0.9], [0.6]), [1]), 2) == []  # 0.9 came at epoch 2


def tied(figure: float, losses: Sequence[float | None], places: Sequence[int] | None = None) -> dict[str, Curve]:
    """Trials with the same figure after an epoch, with these losses, at these places of the sweep."""
    places = range(len(losses)) if places is None else places
    return {
        name(n): Curve(name(n), (figure,), (figure,), LONGEST, (loss,), place)
        for n, (loss, place) in enumerate(zip(losses, places, strict=True))
    }


def test_of_settings_that_tie_at_the_threshold_no_more_go_on_than_there_is_room_for():
    """All at chance, as with a learning rate far too small: one of three goes on, not all nine."""
    curves = tied(0.1, [2.3] * 9)
    assert stopped(judged(HALVING, curves, range(9)), 9) == [3, 4, 5, 6, 7, 8]
    decisions = judged(HALVING, curves, range(9))
    assert decisions[8] == PruneDecision(
        name(8), 1, True, 0.1, 0.1, 9, "top 1/3 of 9 trials (ties by val_loss) at epoch 1"
    )
    assert decisions[0].rule == "top 1/3 of 9 trials at epoch 1"


def test_ties_are_decided_by_the_loss_and_then_by_the_place_in_the_sweep():
    assert stopped(judged(HALVING, tied(0.1, [2.3, 2.2, 2.1]), range(3)), 3) == [0, 1]
    assert stopped(judged(HALVING, tied(0.1, [2.3, 2.3, 2.3], [2, 0, 1]), range(3)), 3) == [0, 2]
    assert stopped(judged(HALVING, tied(0.1, [None, 2.3, math.nan]), range(3)), 3) == [0, 2]  # unknown comes last
    by_loss = {key: replace(curve, losses=(9.0 - n,)) for n, (key, curve) in enumerate(tied(1.0, [0.0] * 3).items())}
    assert stopped(judged(HALVING, by_loss, range(3), LOSS), 3) == [1, 2]  # a loss has no other to decide by
    assert judged(HALVING, by_loss, range(3), LOSS)[1].rule == "top 1/3 of 3 trials (ties by order) at epoch 1"


def test_who_comes_later_with_the_figure_of_one_that_went_on_stops():
    """Within the rounds of a search: one is the best third of all, and its equal comes after it."""
    first = tied(0.1, [2.3])
    assert not judged(HALVING, first, [0])[0].stops
    assert stopped(judged(HALVING, tied(0.1, [2.3, 2.3]), [1]), 2) == [1]


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
    decisions = judged(HALVING, curves, range(4))
    assert stopped(decisions, 4) == [0, 1, 3]
    assert decisions[0] == PruneDecision(name(0), 1, True, None, 0.3, 3, "top 1/3 of 3 trials at epoch 1")
    assert judged(HALVING, curves_of([None]), [0]) == [
        PruneDecision(name(0), 1, True, None, None, 1, "top 1/3 of 0 trials at epoch 1")
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
    """Li et al. 2018, table 1: R = 81, factor 3; their brackets 4 to 0 begin with 81, 34, 15, 8 and 5 trials."""
    assert Hyperband(min_epochs=1, factor=3).bracket_sizes(81) == [81, 34, 15, 8, 5]
    assert [HYPERBAND.rungs_from(bracket, 81) for bracket in range(5)] == [
        [1, 3, 9, 27],
        [3, 9, 27],
        [9, 27],
        [27],
        [],
    ]
    assert HYPERBAND.bracket_sizes(27) == [27, 12, 6, 4]
    assert Hyperband(min_epochs=10).bracket_sizes(5) == [1]


def test_brackets_are_filled_in_proportion():
    sizes = HYPERBAND.bracket_sizes(27)
    filled = Counter(bracket_of(name(number), sizes) for number in range(4900))
    for bracket, size in enumerate(sizes):
        assert filled[bracket] == pytest.approx(100 * size, abs=90 if size > 6 else 60)


def test_every_id_has_a_bracket():
    assert bracket_of("0" * 16, [3, 1]) == 0
    assert bracket_of("f" * 16, [3, 1]) == 1
    assert bracket_of("bfffffffffffffff", [3, 1]) == 0
    assert bracket_of("c000000000000000", [3, 1]) == 1


def test_hyperband_compares_within_a_bracket():
    sizes = HYPERBAND.bracket_sizes(LONGEST)
    curves = curves_of(*[[0.01 * n] * 3 for n in range(30)])
    decisions = judged(HYPERBAND, curves, range(30))
    by_bracket = {bracket: [n for n in range(30) if bracket_of(name(n), sizes) == bracket] for bracket in range(4)}
    assert {len(members) > 1 for bracket, members in by_bracket.items() if bracket < 2} == {True}
    assert len(decisions) == len(by_bracket[0] + by_bracket[1])  # epoch 3 is a rung of these
    assert stopped(decisions, 30) == sorted(
        n for bracket in (0, 1) for n in by_bracket[bracket][: -max(1, len(by_bracket[bracket]) // 3)]
    )
    rules = {decision.rule for decision in decisions}
    assert f"top 1/3 of {len(by_bracket[1])} trials in bracket 2 of 4 at epoch 3" in rules
    first = judged(HYPERBAND, curves_of(*[[0.01 * n] for n in range(30)]), range(30))
    assert {decision.trial_id for decision in first} == {name(n) for n in by_bracket[0]}


# median


MEDIAN = Median(min_epochs=2, min_settings=3)


def test_median_by_hand():
    """Means up to epoch 2: 0.2, 0.4, 0.6; their median is 0.4. The best so far is held against it."""
    others = [[0.1, 0.3], [0.3, 0.5, 0.9], [0.5, 0.7]]
    below = judged(MEDIAN, curves_of(*others, [0.39, 0.1]), [3])
    assert below == [PruneDecision(name(3), 2, True, 0.39, 0.4, 4, "median of 3 other trials at epoch 2")]
    assert judged(MEDIAN, curves_of(*others, [0.4, 0.1]), [3]) == []  # not worse
    assert len(judged(MEDIAN, curves_of(*others, [None, None]), [3])) == 1


def test_median_waits_for_epochs_and_for_others():
    assert judged(MEDIAN, curves_of([0.5], [0.5], [0.5], [0.1]), [3]) == []
    assert judged(MEDIAN, curves_of([0.5] * 2, [0.5] * 2, [0.5], [0.1] * 2), [3]) == []
    assert judged(MEDIAN, curves_of([0.5] * 2, [0.5] * 2, [None] * 2, [0.1] * 2), [3]) == []
    assert len(judged(MEDIAN, curves_of([0.5] * 2, [0.5] * 2, [0.5, None], [0.1] * 2), [3])) == 1


# patience


def test_patience_by_hand():
    patience = Patience(epochs=2)
    assert judged(patience, curves_of([0.5, 0.4]), [0]) == []  # only one epoch without a gain
    assert judged(patience, curves_of([0.5, 0.4, 0.5]), [0]) == [
        PruneDecision(name(0), 3, True, 0.5, 0.5, 1, "no gain in 2 epochs")
    ]
    assert judged(patience, curves_of([0.5, 0.4, 0.51]), [0]) == []
    assert judged(patience, curves_of([0.5, 0.6, 0.4]), [0]) == []
    assert judged(patience, curves_of([0.5, 0.6, 0.4, 0.5]), [0])[0].threshold == 0.6


def test_a_gain_must_be_large_enough():
    patience = Patience(epochs=2, min_delta=0.125)
    enough, short = curves_of([0.5, 0.4, 0.75]), curves_of([0.5, 0.4, 0.625])
    assert judged(patience, enough, [0]) == []
    assert judged(patience, short, [0]) == [
        PruneDecision(name(0), 3, True, 0.625, 0.625, 1, "no gain of more than 0.125 in 2 epochs")
    ]
    losses = curves_of([0.5, 0.4, 0.375], mode="min")
    assert judged(patience, losses, [0], LOSS)[0].threshold == 0.375


def test_patience_waits_for_its_first_epoch_and_for_a_figure():
    falling = [0.5 - 0.01 * n for n in range(5)]
    assert judged(Patience(epochs=2, min_epochs=6), curves_of(falling), [0]) == []
    assert len(judged(Patience(epochs=2, min_epochs=5), curves_of(falling), [0])) == 1
    assert judged(Patience(epochs=2), curves_of([None, None]), [0]) == []  # none before them to beat
    one = Patience(epochs=1)
    assert judged(one, curves_of([None, 0.3]), [0]) == []
    assert judged(one, curves_of([0.3, None]), [0])[0] == PruneDecision(
        name(0), 2, True, None, 0.3, 1, "no gain in 1 epoch"
    )


# threshold


def test_threshold_by_hand():
    rule = Threshold(min_epochs=2, value=0.5)
    assert judged(rule, curves_of([0.1]), [0]) == []
    assert judged(rule, curves_of([0.1, 0.49]), [0]) == [
        PruneDecision(name(0), 2, True, 0.49, 0.5, 1, "0.5 from epoch 2 on")
    ]
    assert judged(rule, curves_of([0.1, 0.5]), [0]) == []
    assert judged(rule, curves_of([0.6, 0.1]), [0]) == []  # the best so far stands
    assert judged(rule, curves_of([None, None]), [0])[0].value is None
    assert stopped(judged(rule, curves_of([0.6, 0.6], [0.6, 0.4], mode="min"), [0, 1], LOSS), 2) == [0]
