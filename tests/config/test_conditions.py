"""Conditions on trials, as `exclude` and `when` have them."""

from pathlib import Path

import pytest

from cnnsweep.config.conditions import Condition, read_alternatives
from cnnsweep.config.dump import dump_spec
from cnnsweep.config.load import load_sweep, parse_sweep
from cnnsweep.config.trials import expand_runs


def left_by(condition: str, params: str, top: str = "model: lenet") -> list[object]:
    """Return the values of the first axis that `exclude` leaves; also of the sweep that is written down and read."""
    spec = parse_sweep(f"name: s\ndataset: shapes\n{top}\nparams: {{{params}}}\nexclude: [{condition}]\n", "f")
    assert parse_sweep(dump_spec(spec), "dumped") == spec
    return [next(iter(run.params.values())) for run in expand_runs(spec).runs]


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("0.1", [0.01, 1.0]),
        ("1e-1", [0.01, 1.0]),
        ("'> 0.1'", [0.01, 0.1]),
        ("'>0.1'", [0.01, 0.1]),
        ("'>= 0.1'", [0.01]),
        ("'< 0.1'", [0.1, 1.0]),
        ("'<= 0.1'", [1.0]),
        ("'== 0.1'", [0.01, 1.0]),
        ("'!= 0.1'", [0.1]),
        ("'> 0.01 and < 1'", [0.01, 1.0]),
        ("'> 0.01 and != 0.1'", [0.01, 0.1]),
        ("[0.01, 1]", [0.1]),
        ("['< 0.1', '> 0.5']", [0.1]),
        ("'> 5'", [0.01, 0.1, 1.0]),
    ],
)
def test_comparison_of_numbers(written: str, left: list[float]) -> None:
    assert left_by(f"{{lr: {written}}}", "lr: [0.01, 0.1, 1]") == left


@pytest.mark.parametrize("written", ["true", "yes", "on", "[yes]", "'!= no'", "'== true'"])
def test_yes_means_true(written: str) -> None:
    assert left_by(f"{{shuffle: {written}}}", "shuffle: [yes, no]") == [False]


@pytest.mark.parametrize(
    ("written", "left"), [("none", [1.0]), ("null", [1.0]), ("'!= none'", [None]), ("'> 0.5'", [None])]
)
def test_none_can_be_named(written: str, left: list[object]) -> None:
    assert left_by(f"{{grad_clip: {written}}}", "grad_clip: [none, 1]") == left


def test_values_are_read_as_their_key_reads_them() -> None:
    assert left_by("{augment: crop+flip}", "augment: [none, flip+crop]") == ["none"]
    assert left_by("{augment: {flip: yes, crop: 4}}", "augment: [none, flip+crop]") == ["none"]
    step = {"name": "step", "every": 2}
    schedules = "schedule: [cosine, step, {name: step, every: 2}]"
    assert left_by("{schedule: {every: 2, name: step}}", schedules) == ["cosine", "step"]
    assert left_by("{schedule: cosine}", schedules) == ["step", step]


def test_models_and_schedules_with_arguments_go_by_their_name() -> None:
    assert left_by("{schedule: step}", "schedule: [cosine, step, {name: step, every: 2}]") == ["cosine"]
    assert left_by("{schedule: '!= step'}", "schedule: [cosine, {name: step, every: 2}]") == [
        {"name": "step", "every": 2}
    ]
    assert left_by("{model: cnn}", "model: [lenet, {name: cnn, pool: 1}]", "") == ["lenet"]


def test_own_code_is_named_as_under_params(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("class Net: ...\n")
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "name: s\ndataset: shapes\nparams: {model: [lenet, nets.py:Net]}\nexclude: [{model: nets.py:Net}]\n"
    )
    (run,) = expand_runs(load_sweep(file)).runs
    assert run.model.name == "lenet"


def test_list_arguments_are_named_in_a_list() -> None:
    assert left_by("{model.channels: [[6, 12]]}", "model.channels: [[6, 12], [8]]", "model: cnn") == [[8]]


def test_all_keys_of_a_condition_must_hold_and_one_condition_is_enough() -> None:
    params = "lr: [0.1, 1], epochs: [1, 2]"
    assert left_by("{lr: 1, epochs: 2}", params) == [0.1, 0.1, 1.0]
    assert left_by("{lr: 1, epochs: 2}, {lr: 0.1}", params) == [1.0]


def test_key_that_a_setting_lacks_never_holds() -> None:
    condition = Condition({"momentum": read_alternatives("!= 0.5")})
    assert condition.holds({"momentum": 0.9})
    assert not condition.holds({})


def test_true_is_not_one() -> None:
    condition = Condition({"x": read_alternatives(1)})
    assert condition.holds({"x": 1.0})
    assert not condition.holds({"x": True})


def test_drawn_numbers_can_be_compared() -> None:
    head = "name: s\ndataset: shapes\nmodel: lenet\nsearch: {method: random, runs: 2}\n"
    spec = parse_sweep(f"{head}params: {{lr: {{uniform: [1, 2]}}}}\nexclude: [{{lr: '> 1.5'}}]\n", "f")
    assert parse_sweep(dump_spec(spec), "f") == spec
    assert spec.exclude[0].holds({"lr": 1.6})
