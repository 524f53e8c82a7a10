"""Every method: pure, within the space, resumable; and what it says when its package is missing."""

import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from suggesting import bound

from cnnsweep.errors import UsageError
from cnnsweep.samplers.base import SAMPLERS, Observation, Suggestion
from cnnsweep.samplers.space import Dimension, Interval, SearchSpace

METHODS = ["random", "sobol", "tpe", "gp", "cmaes"]
LEARNING = ["tpe", "gp", "cmaes"]

INTERVALS = {
    "uniform": Interval("uniform", -1.0, 2.0),
    "stepped": Interval("uniform", 0.1, 0.95, 0.1),  # the last step is 0.9
    "log": Interval("log_uniform", 1.23456789e-5, 0.1),
    "whole": Interval("integer", 3, 11),
    "stepped whole": Interval("integer", 1, 10, 4),  # 1, 5, 9
    "log whole": Interval("log_integer", 1, 300),
    "normal": Interval("normal", -2.0, 1.0, mean=0.5, deviation=0.7),
    "wide normal": Interval("normal", -100.0, 100.0),
}
SPACE = [Dimension(name, interval=interval) for name, interval in INTERVALS.items()] + [
    Dimension("kind", options=3),
    Dimension("only", options=1),
]

# The Gaussian process takes a second for each trial of ten dimensions.
SMALL = [dimension for dimension in SPACE if dimension.name in ("uniform", "whole", "kind")]


def space(method: str) -> list[Dimension]:
    return SMALL if method == "gp" else SPACE


def figure(picks: Suggestion) -> float:
    return -((picks["uniform"] - 1) ** 2) - (picks["whole"] - 5) ** 2 / 20 - 0.3 * picks["kind"]


def answers(picks: list[Suggestion]) -> list[Observation]:
    """What becomes of trials: most are trained in full, some ended early, some without a figure."""
    seen = []
    for number, one in enumerate(picks):
        value = figure(one)
        curve = {1: value - 0.2, 2: value} if number % 4 == 1 else {}
        seen.append(Observation(one, None if number % 5 == 3 else value, curve))
    return seen


def first(method: str, count: int) -> list[Observation]:
    """Trials that are seen, drawn by chance, so that learning methods have something to learn from."""
    return answers(bound("random", 9, SPACE, "max").suggest([], 0, count))


def is_inside(interval: Interval, value: float) -> bool:
    return interval.low <= value <= interval.high and value == interval.nearest(value)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("known", [0, 14])
def test_same_answers_give_the_same_picks(method: str, known: int):
    seen = first(method, known)
    picks = bound(method, 0, space(method), "max").suggest(seen, known, 3)
    again = bound(method, 0, space(method)[::-1], "max").suggest(list(seen), known, 3)
    assert picks == again
    assert len(picks) == 3


@pytest.mark.parametrize("method", METHODS)
def test_another_seed_gives_other_picks(method: str):
    seen = [] if method == "gp" else first(method, 12)  # later it may well find the same best point
    one, other = (bound(method, seed, space(method), "max").suggest(seen, 12, 2) for seed in (1, 2))
    assert [picks["uniform"] for picks in one] != [picks["uniform"] for picks in other]


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_sweep_goes_on_alike(method: str):
    sampler = bound(method, 0, space(method), "max")
    seen: list[Observation] = []
    for _ in range(3):
        seen += answers(sampler.suggest(seen, len(seen), 6))
    resumed = bound(method, 0, space(method), "max").suggest(seen[:12], 12, 6)
    assert [one.suggestion for one in seen[12:]] == resumed


@pytest.mark.parametrize("method", METHODS)
def test_fewer_picks_are_the_first_of_more(method: str):
    seen = first(method, 12)
    sampler = bound(method, 0, space(method), "max")
    assert sampler.suggest(seen, 12, 4)[:2] == sampler.suggest(seen, 12, 2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("known", [0, 15])
def test_picks_are_in_the_space(method: str, known: int):
    seen = first(method, known)
    for picks in bound(method, 0, SPACE, "max").suggest(seen, known, 1 if method == "gp" else 6):
        assert picks.keys() == {dimension.name for dimension in SPACE}
        for name, interval in INTERVALS.items():
            assert is_inside(interval, picks[name]), name
            assert isinstance(picks[name], int) == interval.is_whole
        assert picks["stepped"] == pytest.approx(round(picks["stepped"], 1))
        assert picks["stepped whole"] in (1, 5, 9)
        assert picks["kind"] in (0, 1, 2)
        assert picks["only"] == 0


@pytest.mark.parametrize("method", METHODS)
def test_picks_of_one_call_differ(method: str):
    seen = first(method, 12)
    picks = bound(method, 0, space(method), "max").suggest(seen, 12, 4)
    assert len({tuple(one.values()) for one in picks}) == 4


@pytest.mark.parametrize("method", METHODS)
def test_pending_settings_are_not_proposed_again(method: str):
    seen = first(method, 12)
    sampler = bound(method, 0, space(method), "max")
    asked = sampler.suggest(seen, 12, 3)
    pending = [Observation(one, None, is_pending=True) for one in asked]
    later = sampler.suggest([*seen, *pending], 15, 3)
    assert not [one for one in later if one in asked]


@pytest.mark.parametrize("method", ["tpe", "gp"])
def test_pending_settings_change_what_is_chosen(method: str):
    seen = first(method, 12)
    sampler = bound(method, 0, space(method), "max")
    asked = sampler.suggest(seen, 12, 1)
    pending = [Observation({**seen[0].suggestion, **asked[0]}, None, is_pending=True)]
    assert sampler.suggest([*seen, *pending], 12, 1) != asked
    assert sampler.suggest([*seen, *pending], 13, 1) != asked  # as one does with a pick that was refused


@pytest.mark.parametrize("method", METHODS)
def test_nothing_finite_is_no_trouble(method: str):
    seen = [Observation(one.suggestion, None) for one in first(method, 14)]
    assert len(bound(method, 0, space(method), "min").suggest(seen, 14, 2)) == 2


@pytest.mark.parametrize("method", METHODS)
def test_choices_alone_and_no_dimension_at_all(method: str):
    for few in ([], [Dimension("kind", options=3)]):
        seen = answers([{"uniform": 0.0, "whole": 3, "kind": n % 3} for n in range(12)])
        picks = bound(method, 0, few, "max").suggest(seen, 12, 2)
        assert [one.keys() for one in picks] == [{dimension.name for dimension in few}] * 2
    assert bound(method, 0, space(method), "max").suggest([], 0, 0) == []


@pytest.mark.parametrize("method", METHODS)
def test_one_dimension(method: str):
    line = [Dimension("x", interval=Interval("uniform", 0.0, 1.0))]
    seen = [Observation({"x": n / 14}, -((n / 14 - 0.3) ** 2)) for n in range(14)]
    assert all(0 <= one["x"] <= 1 for one in bound(method, 0, line, "max").suggest(seen, 14, 3))


@pytest.mark.parametrize("method", LEARNING)
def test_less_of_a_loss_is_as_more_of_a_figure(method: str):
    seen = first(method, 14)
    negated = [
        Observation(t.suggestion, None if t.value is None else -t.value, {e: -f for e, f in t.curve.items()})
        for t in seen
    ]
    most = bound(method, 0, space(method), "max").suggest(seen, 14, 2)
    assert most == bound(method, 0, space(method), "min").suggest(negated, 14, 2)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_printed_and_nothing_left_changed(method: str, capfd: pytest.CaptureFixture[str]):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.INFO)
    bound(method, 0, space(method), "max").suggest(first(method, 12), 12, 2)
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == optuna.logging.INFO


@pytest.mark.parametrize(("method", "package"), [("tpe", "optuna"), ("gp", "optuna"), ("cmaes", "cmaes")])
def test_a_missing_package_is_named(method: str, package: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError) as error:
        SAMPLERS.get(method)(runs=1).require_package()
    text = f"search: method {method} needs the package {package}: pip install 'cnnsweep[search]'"
    assert str(error.value) == text


def test_the_list_of_samplers_and_their_classes_import_nothing_heavy():
    code = (
        "import sys; from cnnsweep.samplers.base import SAMPLERS; [SAMPLERS.get(name) for name in SAMPLERS.names]; "
        "print(sorted({'numpy', 'scipy', 'optuna', 'cmaes', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_names_of_dimensions_differ():
    with pytest.raises(ValueError, match="one name"):
        SearchSpace((Dimension("a", options=2), Dimension("a", options=3)))
    with pytest.raises(ValueError, match="either"):
        Dimension("a")


def test_a_step_is_in_the_middle_of_its_share():
    from cnnsweep.samplers.transforms import share_below

    assert share_below(Dimension("n", interval=Interval("integer", 3, 6)), 4) == 0.375
    assert share_below(Dimension("x", interval=Interval("uniform", 0.1, 0.95, 0.1)), 0.9) == pytest.approx(17 / 18)
    assert share_below(Dimension("m", interval=Interval("log_integer", 1, 4)), 2) == pytest.approx(
        math.log(4) / math.log(9)
    )


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(INTERVALS)), st.floats(1e-9, 1 - 1e-9))
def test_both_codings_lead_back(name: str, share: float):
    from cnnsweep.samplers.optuna_distributions import decode, distribution_of, encode
    from cnnsweep.samplers.transforms import share_below

    dimension = Dimension(name, interval=INTERVALS[name])
    value = dimension.at(share)
    code = encode(dimension, value)
    assert distribution_of(dimension)._contains(distribution_of(dimension).to_internal_repr(code))
    # In the tails of a normal distribution, the last digit of a share moves the number visibly.
    for back in (decode(dimension, code), dimension.at(share_below(dimension, value))):
        assert math.isclose(back, value, rel_tol=1e-4, abs_tol=1e-5)


def test_the_share_of_all_is_the_highest():
    for name in INTERVALS.keys() - {"wide normal", "stepped", "stepped whole"}:
        assert Dimension(name, interval=INTERVALS[name]).at(1.0) == INTERVALS[name].high
    assert Dimension("wide", interval=INTERVALS["wide normal"]).at(1.0) > 8
    assert Dimension("kind", options=3).at(1.0) == 2
