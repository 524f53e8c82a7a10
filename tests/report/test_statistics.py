import math

import numpy as np
import pytest
from scipy import stats

from cnnsweep.analysis.statistics import (
    Difference,
    difference,
    estimate,
    more_seeds,
    tied_with_best,
    wilson,
)

FIRST = {0: 0.912, 1: 0.905, 2: 0.918, 3: 0.909, 4: 0.915}
SECOND = {0: 0.908, 1: 0.904, 2: 0.911, 3: 0.907, 4: 0.913}


def test_estimate_equals_scipys_t_interval() -> None:
    values = list(FIRST.values())
    found = estimate(values, confidence=0.9)
    assert (found.mean, found.deviation, found.count) == (np.mean(values), pytest.approx(np.std(values, ddof=1)), 5)
    expected = stats.t.interval(0.9, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.half == pytest.approx((expected[1] - expected[0]) / 2)


def test_overlap_of_folds_widens_the_interval_as_nadeau_and_bengio_do() -> None:
    values = list(FIRST.values())
    found = estimate(values, overlap=1 / 4)
    scale = math.sqrt(np.var(values, ddof=1) * (1 / 5 + 1 / 4))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 4, loc=np.mean(values), scale=scale))
    paired = difference(FIRST, SECOND, overlap=1 / 4)
    assert paired.error == pytest.approx(difference(FIRST, SECOND).error * math.sqrt((1 / 5 + 1 / 4) * 5))
    welch = difference(FIRST, {key + 9: value for key, value in SECOND.items()}, overlap=1 / 4)
    assert welch.error == pytest.approx(
        math.sqrt((np.var(values, ddof=1) + np.var(list(SECOND.values()), ddof=1)) * (1 / 5 + 1 / 4))
    )


def test_one_value_has_a_mean_and_nothing_else() -> None:
    found = estimate([0.9])
    assert (found.mean, found.deviation, found.low, found.high, found.half, found.count) == (0.9, *[None] * 4, 1)
    with pytest.raises(ValueError, match="there are no values"):
        estimate([])


def test_shared_replicates_are_compared_in_pairs_as_scipy_does() -> None:
    found = difference(FIRST | {7: 0.2}, SECOND | {8: 0.99})  # what only one has is left out
    test = stats.ttest_rel(list(FIRST.values()), list(SECOND.values()))
    interval = test.confidence_interval(0.95)
    assert (found.pairs, found.freedom) == (5, 4)
    assert found.mean == pytest.approx(0.0032)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    greater = stats.ttest_rel(list(FIRST.values()), list(SECOND.values()), alternative="greater")
    assert found.sure == pytest.approx(1 - greater.pvalue)
    assert found.mean / found.error == pytest.approx(test.statistic)


def test_replicates_that_are_not_shared_are_compared_by_welch() -> None:
    second = {0: 0.908, "x": 0.904, "y": 0.911}  # one shared key is no pair to speak of
    found = difference(FIRST, second)
    a, b = list(FIRST.values()), list(second.values())
    test = stats.ttest_ind(a, b, equal_var=False)
    interval = test.confidence_interval(0.95)
    assert found.pairs is None
    assert found.freedom == pytest.approx(test.df)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.sure == pytest.approx(1 - stats.ttest_ind(a, b, equal_var=False, alternative="greater").pvalue)


def test_too_few_replicates_give_a_difference_without_an_interval() -> None:
    assert difference({0: 0.5}, {0: 0.25, 1: 0.25}) == Difference(0.25)
    with pytest.raises(ValueError):
        difference({}, FIRST)


def test_five_replicates_that_agree_exactly_leave_no_doubt() -> None:
    same = difference(FIRST, FIRST)
    assert (same.mean, same.low, same.high, same.sure, same.error) == (0, 0, 0, 0.5, 0)
    shifted = {key: value / 4 for key, value in enumerate([1, 2, 3, 5, 8])}
    ahead = difference({key: value + 0.25 for key, value in shifted.items()}, shifted)
    assert (ahead.mean, ahead.low, ahead.high, ahead.sure) == (0.25, 0.25, 0.25, 1)
    assert difference(shifted, {key: value + 0.25 for key, value in shifted.items()}).sure == 0
    welch = difference(dict.fromkeys(range(5), 0.1), dict.fromkeys(range(5, 10), 0.1))
    assert (welch.mean, welch.sure, welch.pairs) == (0, 0.5, None)
    assert estimate([0.1] * 3).deviation == 0  # whose rounded mean is not 0.1


def test_fewer_replicates_that_agree_say_nothing_about_their_spread() -> None:
    """Accuracies of few images are coarse: two seeds are often equal, and so are two differences."""
    found = estimate([0.5, 0.5])
    assert (found.deviation, found.low, found.high) == (0, None, None)
    # 0.55 - 0.4 and 0.4 - 0.25 differ in the last bit only.
    ahead = difference({0: 0.55, 1: 0.4}, {0: 0.4, 1: 0.25})
    assert (ahead.mean, ahead.sure, ahead.low, ahead.pairs) == (pytest.approx(0.15), None, None, 2)
    assert tied_with_best({"a": {0: 0.55, 1: 0.4}, "b": {0: 0.4, 1: 0.25}}, "max") == {"a": True, "b": True}
    assert difference({0: 0.5, 1: 0.5}, {2: 0.4, 3: 0.4}).sure is None


def test_settings_without_two_replicates_are_not_judged() -> None:
    figures = {"a": {0: 0.9, 1: 0.91}, "b": {0: 0.1, 1: 0.1001}, "c": {0: 0.99}, "d": {}}
    assert tied_with_best(figures, "max") == {"a": True, "b": False, "c": None, "d": None}
    assert tied_with_best(figures, "min") == {"a": False, "b": True, "c": None, "d": None}
    assert tied_with_best({"c": {0: 1.0}}, "max") == {"c": None}


def test_level_is_shared_by_all_comparisons() -> None:
    """One-sided p of `b` is 0.03: enough against one other trial, not against four."""
    t = stats.t.isf(0.03, 4)
    unit = np.array([-2, -1, 0, 1, 2]) / math.sqrt(0.5)  # standard error 1
    best, zero = dict(enumerate(unit + t)), dict.fromkeys(range(5), 0.0)
    assert tied_with_best({"a": best, "b": zero}, "max") == {"a": True, "b": False}
    low = {name: dict.fromkeys(range(5), -99.0) for name in "cde"}
    assert tied_with_best({"a": best, "b": zero} | low, "max") == {"a": True, "b": True} | dict.fromkeys("cde", False)
    alone = {name: {0: -99.0} for name in "cde"}  # with one replicate they are in no comparison
    assert tied_with_best({"a": best, "b": zero} | alone, "max") == {"a": True, "b": False} | dict.fromkeys("cde")


def sweeps(number: int, means: np.ndarray, seed: int, shared: float = 1.0) -> np.ndarray:
    """Figures of sweeps, trials and 5 seeds: noise of deviation 1, and noise that a seed has in all trials."""
    draw = np.random.default_rng(seed)
    noise = draw.normal(size=(number, len(means), 5)) + shared * draw.normal(size=(number, 1, 5))
    return means[None, :, None] + noise


def marked(sweep: np.ndarray, mode: str = "max") -> list[bool | None]:
    return list(tied_with_best({n: dict(enumerate(map(float, row))) for n, row in enumerate(sweep)}, mode).values())


def test_truly_best_of_8_equal_settings_is_kept_in_95_percent_of_1000_sweeps() -> None:
    kept = np.mean([marked(sweep)[3] for sweep in sweeps(1000, np.zeros(8), seed=1)])  # any of them is the best
    assert kept >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / 1000)  # measured 0.979: the bound is not tight


def test_truly_best_of_8_is_kept_where_others_are_close() -> None:
    kept = np.mean([marked(s, "min")[0] for s in sweeps(500, np.linspace(0, 1, 8), seed=2)])
    assert kept >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / 500)


def test_best_that_is_4_deviations_ahead_rules_85_percent_of_the_others_out() -> None:
    """Seeds move all trials together by 10 deviations, which pairs cancel and an unpaired test drowns in."""
    means = np.array([4.0] + [0.0] * 7)
    drawn = sweeps(200, means, seed=3, shared=10.0)
    ruled_out = np.mean([[not tied for tied in marked(sweep)[1:]] for sweep in drawn])
    assert ruled_out > 0.85  # measured 0.90, by t with 4 degrees of freedom at a level of 0.05/7
    assert np.mean([marked(sweep)[0] for sweep in drawn]) == 1


def test_difference_of_6_deviations_is_found_in_95_percent() -> None:
    drawn = sweeps(200, np.array([6.0] + [0.0] * 7), seed=4)
    assert np.mean([[not tied for tied in marked(sweep)[1:]] for sweep in drawn]) > 0.95  # measured 1.00


@pytest.mark.parametrize("paired", [True, False])
def test_more_seeds_are_as_many_as_separate_them(paired: bool) -> None:
    first = {0: 1.0, 1: 3.0, 2: 2.5}
    second = {0: 0.5, 1: 2.9, 2: 1.0} if paired else {7: 0.5, 8: 2.9, 9: 1.0}
    found = difference(first, second)
    more = more_seeds(found, 3)
    assert more
    assert found.low < 0 < found.high

    def is_apart(total: int) -> bool:
        error = found.error * math.sqrt(3 / total)
        return found.mean > stats.t.ppf(0.975, found.freedom * (total - 1) / 2) * error

    assert is_apart(3 + more)
    assert not is_apart(3 + more - 1)


def test_no_more_seeds_where_they_are_apart_and_none_help_where_they_are_equal() -> None:
    assert more_seeds(difference(FIRST, {key: value - 0.1 for key, value in SECOND.items()}), 5) == 0
    assert more_seeds(difference(FIRST, FIRST), 5) is None
    assert more_seeds(difference({0: 1.0, 1: -1.0}, {0: 0.0, 1: -0.0001}), 2) is None
    assert more_seeds(Difference(0.5), 1) is None


@pytest.mark.parametrize(("correct", "images"), [(0, 10), (10, 10), (9050, 10_000), (1, 3)])
def test_interval_of_an_accuracy_equals_scipys_wilson(correct: int, images: int) -> None:
    expected = stats.binomtest(correct, images).proportion_ci(method="wilson")
    assert wilson(correct, images) == pytest.approx((expected.low, expected.high))
    assert 0 <= wilson(correct, images)[0] <= correct / images <= wilson(correct, images)[1] <= 1
