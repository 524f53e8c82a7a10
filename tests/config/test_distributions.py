"""What a search draws from: quantiles against scipy's, bounds, steps and rounding."""

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from cnnsweep.config.dump import dump_spec
from cnnsweep.config.load import parse_sweep
from cnnsweep.errors import SpecError
from cnnsweep.samplers.space import Interval

SHARES = [0.0, 0.001, 0.1, 0.25, 0.381966, 0.5, 0.75, 0.9, 0.999, 1 - 2**-53]


def interval_of(key: str, written: str, model: str = "lenet") -> Interval:
    text = (
        f"name: s\ndataset: shapes\nmodel: {model}\nsearch: {{method: random, runs: 3}}\nparams: {{{key}: {written}}}\n"
    )
    spec = parse_sweep(text, "f")
    assert parse_sweep(dump_spec(spec), "dumped") == spec
    values = spec.axes[key]
    assert isinstance(values, Interval)
    return values


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{uniform: [1, 2.5]}", stats.uniform(1, 1.5)),
        ("{log_uniform: [1e-4, 1e-1]}", stats.loguniform(1e-4, 1e-1)),
        ("{normal: [2, 0.4]}", stats.truncnorm(-4, 4, 2, 0.4)),
        ("{normal: [2, 0.5], min: 1, max: 2.25}", stats.truncnorm(-2, 0.5, 2, 0.5)),
    ],
)
def test_quantiles_are_those_of_scipy(written: str, meant: Any) -> None:
    interval = interval_of("lr", written)
    for share in SHARES:
        assert interval.at(share) == pytest.approx(meant.ppf(share), rel=1e-4)


def test_bounds_belong_to_every_interval() -> None:
    for written in ("{uniform: [0.5, 2]}", "{log_uniform: [0.5, 2]}", "{normal: [1, 0.5], min: 0.5, max: 2}"):
        interval = interval_of("lr", written)
        assert interval.at(0.0) == 0.5
        assert interval.at(1 - 2**-53) == 2
        assert interval.count == math.inf


def test_whole_numbers_are_equally_likely() -> None:
    interval = interval_of("batch_size", "{integer: [3, 7]}")
    drawn = [interval.at((n + 0.5) / 1000) for n in range(1000)]
    assert Counter(drawn) == dict.fromkeys(range(3, 8), 200)
    assert all(type(value) is int for value in drawn)


def test_steps_are_equally_likely_and_count_from_the_lower_bound() -> None:
    stepped = interval_of("batch_size", "{integer: [3, 12], step: 4}")
    assert [stepped.at(share) for share in (0, 0.33, 0.34, 0.66, 0.67, 1 - 2**-53)] == [3, 3, 7, 7, 11, 11]
    tenths = interval_of("dropout", "{uniform: [0, 0.5], step: 0.1}")
    assert [tenths.at((n + 0.5) / 6) for n in range(6)] == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert (stepped.count, tenths.count) == (3, 6)


def test_steps_are_not_rounded_away() -> None:
    fine = interval_of("lr", "{uniform: [10000, 10010], step: 0.5}")
    assert len({fine.at((n + 0.5) / 21) for n in range(21)}) == 21


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("{uniform: [-0.3, 0.3], step: 0.1}", [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]),  # in floats the middle is 5.55e-17
        ("{uniform: [-1.19, 0], step: 0.17}", [-1.19, -1.02, -0.85, -0.68, -0.51, -0.34, -0.17, 0]),
        ("{uniform: [1e6, 1000000.0000003], step: 1e-7}", [1e6, 1000000.0000001, 1000000.0000002, 1000000.0000003]),
        ("{uniform: [1e6, 1000000.00004], step: 1.5e-5}", [1e6, 1000000.000015, 1000000.00003]),
        ("{uniform: [0, 1], step: 0.3333333333333333}", [0, 0.333333333333, 0.666666666667, 1]),  # as ever: 12 digits
    ],
)
def test_steps_are_the_decimals_that_a_person_would_write(written: str, values: list[float]) -> None:
    interval = interval_of("model.shift", written, model="mine.nets:Net")
    assert list(interval.values()) == values
    assert [interval.at((n + 0.5) / len(values)) for n in range(len(values))] == values
    assert [interval.nearest(value + 1e-9) for value in values] == values


def test_whole_numbers_of_a_log_scale_have_the_room_of_half_a_unit_on_either_side() -> None:
    interval = interval_of("batch_size", "{log_integer: [1, 100]}")
    drawn = Counter(interval.at((n + 0.5) / 100_000) for n in range(100_000))
    assert (min(drawn), max(drawn), interval.count) == (1, 100, 100)
    for value in (1, 2, 10, 100):
        room = math.log((value + 0.5) / (value - 0.5)) / math.log(100.5 / 0.5)
        assert drawn[value] / 100_000 == pytest.approx(room, rel=0.02)


def test_drawn_numbers_have_five_digits() -> None:
    interval = interval_of("lr", "{log_uniform: [1e-4, 1e-1]}")
    for n in range(1000):
        value = interval.at((n + 0.5) / 1000)
        assert value == float(f"{value:.5g}")


def test_narrow_intervals_have_more_digits() -> None:
    interval = interval_of("beta2", "{uniform: [0.99999, 0.999999]}")
    assert len({interval.at((n + 0.5) / 100) for n in range(100)}) == 100


def test_steps_of_whole_numbers_are_whole_where_the_key_is() -> None:
    assert interval_of("batch_size", "{uniform: [32, 256], step: 32}") == Interval("integer", 32, 256, 32)
    assert interval_of("lr", "{uniform: [1, 3], step: 1}") == Interval("uniform", 1, 3, 1)


def test_nearest_lies_in_the_interval() -> None:
    assert interval_of("batch_size", "{integer: [3, 12], step: 4}").nearest(9.5) == 11
    assert interval_of("batch_size", "{integer: [3, 12], step: 4}").nearest(100) == 11
    assert interval_of("lr", "{uniform: [0.5, 2]}").nearest(3) == 2
    assert interval_of("batch_size", "{log_integer: [3, 12]}").nearest(4.4) == 4


@pytest.mark.parametrize(
    "written",
    ["{uniform: [1, 1e6]}", "{uniform: [1, 1e300]}", "{log_uniform: [1, 2]}", "{normal: [5, 1], min: 1, max: 9}"],
)
def test_fractions_are_refused_where_a_key_takes_whole_numbers(written: str) -> None:
    with pytest.raises(SpecError):
        interval_of("batch_size", written)


def test_a_model_with_an_argument_called_choice_is_no_distribution() -> None:
    spec = parse_sweep("name: s\ndataset: shapes\nparams: {model: {name: 'a.b:C', choice: [1, 2]}}\n", "f")
    (model,) = spec.axes["model"]  # type: ignore[misc]
    assert model.arguments == {"choice": [1, 2]}


def test_choice_is_a_list() -> None:
    head = "name: s\ndataset: shapes\nmodel: cnn\n"
    drawn = parse_sweep(f"{head}params: {{model.channels: {{choice: [[6, 12], [3]]}}, lr: {{choice: [1, 2]}}}}\n", "f")
    assert drawn == parse_sweep(f"{head}params: {{model.channels: [[6, 12], [3]], lr: [1, 2]}}\n", "f")


NUMBERS = st.floats(-1e12, 1e12) | st.integers(-(10**12), 10**12).map(float)


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    kind = draw(st.sampled_from(["uniform", "log_uniform", "integer", "log_integer", "normal"]))
    whole = "integer" in kind
    low = draw(st.integers(1, 10**6) if whole else st.floats(1e-12, 1e6) if kind == "log_uniform" else NUMBERS)
    high = low + draw(st.integers(1, 10**6) if whole else st.floats(1e-6, 1e6))
    assume(low < high)
    step: float | None = None
    if kind in ("integer", "uniform"):
        steps = st.integers(1, int(high - low)) if whole else st.floats((high - low) / 1000, high - low)
        step = draw(st.none() | steps)
    return Interval(kind, low, high, step, (low + high) / 2, (high - low) / 3)


@settings(max_examples=500, derandomize=True, deadline=None)
@given(interval=intervals(), shares=st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=2))
def test_drawn_numbers_rise_with_the_share_and_stay_inside(interval: Interval, shares: list[float]) -> None:
    low, high = (interval.at(share) for share in sorted(shares))
    assert interval.low <= low <= high <= interval.high
    for value in (low, high):
        assert not interval.is_whole or isinstance(value, int)
        assert interval.nearest(value) == value
