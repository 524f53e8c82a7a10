import itertools
import json
import random
from pathlib import Path

import pytest
from results_by_hand import load, make_content, show

from cnnsweep.analysis import importance as module
from cnnsweep.analysis.importance import importance, interactions, unexplained
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.trials import group_trials
from cnnsweep.report.terminal import render_report


def drawn(folder: Path, number: int, figure) -> Results:
    """A random search over a learning rate, a text, a number that some trials lack, and noise."""
    draw = random.Random(0)
    content = make_content({"n": list(range(number))}, epochs=1)
    names = ["lr", "optimizer", "momentum", "idle"]
    for run in content["runs"]:
        run["lr"] = 10 ** draw.uniform(-5, 0)
        run["optimizer"] = draw.choice(["adam", "sgd"])
        run["momentum"] = None if run["optimizer"] == "adam" else draw.uniform(0, 1)
        run["idle"] = draw.choice([True, False])
        run["val_accuracy"] = figure(run)
    content["sweep"].update(hyperparameters=names, axes=names)
    return load(folder, content)


def hash_of(run: dict) -> float:
    """Noise, 0 to 1."""
    return random.Random(run["run"]).random()


def test_what_the_figure_depends_on_matters_most(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    results = drawn(tmp_path, 100, lambda run: -(abs(run["lr"] - 0.001) ** 0.2))
    found = importance(results, group_trials(results))
    assert next(iter(found)) == "lr"
    assert found["lr"] > 0.7
    assert set(found) == {"lr", "optimizer", "momentum", "idle"}
    assert sum(found.values()) == pytest.approx(1)
    by_optimizer = drawn(tmp_path, 100, lambda run: (run["optimizer"] == "sgd") + hash_of(run) / 10)
    assert importance(by_optimizer, group_trials(by_optimizer))["lr"] < 0.2
    assert capfd.readouterr() == ("", "")


def test_best_tenth_has_the_lowest_of_a_loss(tmp_path: Path) -> None:
    """Of the highest figures all have one optimizer, of the lowest one learning rate."""

    def figure(run: dict) -> float:
        if run["lr"] < 1e-4:
            return 0.1 + hash_of(run) / 100
        return 0.5 + (run["optimizer"] == "sgd") + hash_of(run) / 100

    results = drawn(tmp_path, 100, figure)
    assert importance(results, group_trials(results))["lr"] < 0.5
    content = json.loads((tmp_path / "results.json").read_text())
    content["sweep"]["mode"] = "min"
    results = load(tmp_path, content)
    assert importance(results, group_trials(results))["lr"] > 0.7


def test_few_settings_are_warned_of_and_very_few_left_out(tmp_path: Path) -> None:
    results = drawn(tmp_path, 30, lambda run: run["lr"])
    text = show(lambda console: render_report(results, console))
    assert "30 trials are too few for 4 hyperparameters: shares are shares are a rough guess below 40 trials" in text
    few = drawn(tmp_path, 9, lambda run: run["lr"])
    assert importance(few, group_trials(few)) == {}
    equal = drawn(tmp_path, 30, lambda _: 0.5)
    assert importance(equal, group_trials(equal)) == {}


def test_missing_optuna_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = drawn(tmp_path, 40, lambda run: run["lr"])
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    text = show(lambda console: render_report(results, console))
    assert "importance needs Optuna: pip install 'cnnsweep[search]'" in text


@pytest.mark.parametrize(("missing", "cells"), [((), 6), (((0, 0),), 5)])
def test_additive_cells_leave_nothing_unexplained(missing: tuple, cells: int) -> None:
    table = {(a, b): 0.3 * a - 0.1 * b for a in range(2) for b in range(3) if (a, b) not in missing}
    assert len(table) == cells
    assert unexplained(table) == pytest.approx(0, abs=1e-6)


def test_share_that_two_effects_leave_equals_two_way_anova() -> None:
    table = {(0, 0): 1.0, (0, 1): 0.0, (1, 0): 0.0, (1, 1): 1.0}
    assert unexplained(table) == pytest.approx(1)  # exclusive or: no main effect at all
    draw = random.Random(1)
    table = {(a, b): draw.random() for a in range(4) for b in range(3)}
    mean = sum(table.values()) / 12
    row = [sum(table[a, b] for b in range(3)) / 3 for a in range(4)]
    column = [sum(table[a, b] for a in range(4)) / 4 for b in range(3)]
    rest = sum((table[a, b] - row[a] - column[b] + mean) ** 2 for a, b in itertools.product(range(4), range(3)))
    assert unexplained(table) == pytest.approx(rest / sum((value - mean) ** 2 for value in table.values()))
    assert unexplained({(0, 0): 0.1, (0, 1): 0.1}) is None


def test_interacting_pair_comes_first(tmp_path: Path) -> None:
    content = make_content({"lr": [1, 2], "wd": [1, 2], "batch": [1, 2]}, epochs=1)
    for run in content["runs"]:
        run["val_accuracy"] = 0.1 * (run["lr"] == run["wd"]) + 0.01 * run["batch"]
    results = load(tmp_path, content)
    found = interactions(results, group_trials(results))
    assert [(pair.first, pair.second) for pair in found] == [("lr", "wd")]
    assert (found[0].share, found[0].cells, found[0].possible, found[0].per_cell) == (pytest.approx(1), 4, 4, 2)
    text = show(lambda console: render_report(results, console))
    assert "lr × wd  100 %" in text
    assert "2.0 trials per combination are few: part of the shares is noise" in text


def test_noise_of_drawn_settings_is_no_interaction(tmp_path: Path) -> None:
    """Nothing matters here; what is left is chance, of which the correction takes away what is to be expected."""
    results = drawn(tmp_path, 60, hash_of)
    content = json.loads((tmp_path / "results.json").read_text())
    content["sweep"]["search"] = {"method": "random", "runs": 60, "seed": 0}
    found = {(pair.first, pair.second): pair.share for pair in interactions(results, group_trials(results))}
    corrected = load(tmp_path, content)
    less = {(pair.first, pair.second): pair.share for pair in interactions(corrected, group_trials(corrected))}
    assert sum(less.values()) < sum(found.values()) / 2


def test_settings_without_a_hyperparameter_show_no_interaction_with_it(tmp_path: Path) -> None:
    results = drawn(tmp_path, 60, lambda run: (run["optimizer"] == "sgd") + hash_of(run) / 10)
    pairs = {(pair.first, pair.second) for pair in interactions(results, group_trials(results))}
    assert ("optimizer", "momentum") not in pairs


def test_hyperparameter_of_one_optimizer_does_not_matter_because_the_optimizer_does(tmp_path: Path) -> None:
    results = drawn(tmp_path, 100, lambda run: (run["optimizer"] == "adam") + hash_of(run) / 10)
    found = importance(results, group_trials(results))
    assert next(iter(found)) == "optimizer"
    assert found["momentum"] < found["optimizer"] / 2
