import math

import pytest

from cnnsweep.formatting.numbers import (
    align_points,
    bar_text,
    count_text,
    duration_text,
    estimate_text,
    metric_text,
    trial_text,
    trials_text,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (-1.0, "0.00 s"),
        (0.0, "0.00 s"),
        (0.04, "0.04 s"),
        (0.096, "0.1 s"),
        (1.34, "1.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 m 00 s"),
        (125.2, "2 m 05 s"),
        (3599.4, "59 m 59 s"),
        (3599.6, "1 h 00 m"),
        (4320, "1 h 12 m"),
        (86_399, "1 d 00 h"),
        (3.2 * 86_400, "3 d 05 h"),
    ],
)
def test_durations_are_written_as_people_say_them(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text


def test_estimates_have_no_tenths_of_seconds() -> None:
    assert [estimate_text(s) for s in (None, 0.2, 40.1, 125.0)] == ["–", "1 s", "41 s", "2 m 05 s"]


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("accuracy", 0.87144, "0.8714"),
        ("val_accuracy", 1.0, "1.0000"),
        ("loss", 0.412, "0.4120"),
        ("loss", 2.302585, "2.303"),
        ("val_loss", 0.0123456, "0.01235"),
        ("loss", 9999.4, "9999"),
        ("loss", 12345.6, "1.235e+04"),
        ("loss", 1e-7, "1.000e-07"),
        ("loss", 3.4e38, "3.400e+38"),
        ("loss", 0.0, "0.000"),
        ("loss", math.nan, "nan"),
        ("loss", math.inf, "inf"),
        ("loss", None, "–"),
    ],
)
def test_accuracies_have_four_decimals_and_losses_four_digits(metric: str, value: float | None, text: str) -> None:
    assert metric_text(metric, value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "none"),
        (0.001, "0.001"),
        (1e-5, "1e-05"),
        (0.1 + 0.2, "0.3"),
        (1000, "1000"),
        ("adam", "adam"),
        ("\x1b[31m", "\\x1b[31m"),
        ([6, 12], "[6, 12]"),
        ({"flip": True, "crop": 4}, "{flip: true, crop: 4}"),
        ({"\n": ["\u202e"]}, "{'\\n': [\\u202e]}"),
        ("3", "'3'"),
        (3, "3"),
        ("true", "'true'"),
        ("1e-3", "'1e-3'"),
        ("", "''"),
        (0.10000001, "0.10000001"),
        (0.00010000001, "0.00010000001"),
        (["a, b"], "['a, b']"),
        (["a", "b"], "[a, b]"),
        ([3, "3"], "[3, '3']"),
    ],
)
def test_settings_are_written_as_the_sweep_file_writes_them(value: object, text: str) -> None:
    assert trial_text(value) == text


def test_settings_text_skips_names_that_a_run_does_not_have() -> None:
    assert trials_text({"lr": 0.1, "shuffle": False}, ["shuffle", "momentum", "lr"]) == "shuffle=false lr=0.1"


def test_settings_text_skips_what_a_run_has_no_use_for() -> None:
    params = {"momentum": None, "lr": 0.1, "grad_clip": None}
    assert trials_text(params, params) == "lr=0.1 grad_clip=none"


def test_decimal_points_stand_in_one_column() -> None:
    texts = align_points(["0.1", "10", "0.001", "nan", "–"])
    assert [text.rjust(6) for text in texts] == [" 0.1  ", "10    ", " 0.001", "   nan", "     –"]


def test_numbers_with_exponents_are_not_aligned() -> None:
    assert align_points(["1e-05", "0.1"]) == ["1e-05", "0.1"]


@pytest.mark.parametrize(
    ("share", "bar"), [(0, ""), (0.1, "╸"), (0.5, "━━╸"), (1, "━━━━━"), (7.0, "━━━━━"), (-1.0, "")]
)
def test_bar_is_as_long_as_its_share(share: float, bar: str) -> None:
    assert bar_text(share, 5) == bar


def test_counts_agree_with_their_noun() -> None:
    assert [count_text(n, "run") for n in (0, 1, 2, 10_000)] == ["0 runs", "1 run", "2 runs", "10,000 runs"]
