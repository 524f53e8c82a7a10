from pathlib import Path

import pytest
from results_by_hand import fail_run, load, make_content

from cnnsweep.analysis.effects import effects
from cnnsweep.analysis.summary import best_run, group_failures, places, rank_runs
from cnnsweep.errors import UsageError


def names(runs: list) -> list[str]:
    return [run.name for run in runs]


def test_runs_are_ranked_by_the_metric(tmp_path: Path) -> None:
    content = make_content({"lr": [1, 2, 3]})
    for run, accuracy in zip(content["runs"], (0.7, 0.9, 0.8), strict=True):
        run["val_accuracy"] = accuracy
    assert names(rank_runs(load(tmp_path, content))) == ["run-2", "run-3", "run-1"]


def test_lowest_loss_is_first_where_the_mode_is_min(tmp_path: Path) -> None:
    content = make_content({"lr": [1, 2, 3]})
    content["sweep"].update(metric="val_loss", mode="min")
    for run, loss in zip(content["runs"], (0.7, 0.9, 0.8), strict=True):
        run["val_loss"] = loss
    assert names(rank_runs(load(tmp_path, content))) == ["run-1", "run-3", "run-2"]


def test_failed_runs_come_last_whatever_they_reached(tmp_path: Path) -> None:
    content = make_content({"lr": [1, 2, 3, 4]})
    content["runs"][0].update(status="diverged", cause="loss is nan", val_accuracy=0.99)
    content["runs"][1].update(status="waiting", val_accuracy=None)
    results = load(tmp_path, content)
    assert names(rank_runs(results)) == ["run-3", "run-4", "run-2", "run-1"]
    assert places(results) == {"run-3": 1, "run-4": 2}


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("lr", ["run-2", "run-3", "run-1", "run-4"]),
        ("run_duration", ["run-1", "run-4", "run-3", "run-2"]),
        ("accuracy", ["run-3", "run-1", "run-2", "run-4"]),
        ("loss", ["run-1", "run-2", "run-3", "run-4"]),
        ("run", ["run-1", "run-2", "run-3", "run-4"]),
    ],
)
def test_runs_are_sorted_by_any_column(tmp_path: Path, sort: str, order: list[str]) -> None:
    content = make_content({"lr": [3, 1, 2, 4]})
    runs = content["runs"]
    for run, seconds, accuracy in zip(runs, (1, 9, 5, 1), (0.5, 0.4, 0.6, None), strict=True):
        run.update(run_duration=seconds, accuracy=accuracy)
    runs[3]["loss"] = None
    assert names(rank_runs(load(tmp_path, content), sort)) == order


def test_settings_of_mixed_types_can_be_sorted(tmp_path: Path) -> None:
    content = make_content({"x": ["b", None, [1], True, 2, "a", {"k": 1}, False, 1.5]})
    ordered = [run.params["x"] for run in rank_runs(load(tmp_path, content), "x")]
    assert ordered == [1.5, 2, False, True, "a", "b", [1], {"k": 1}, None]


def test_unknown_column_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    results = load(tmp_path, make_content({"lr": [1, 2]}))
    with pytest.raises(UsageError) as caught:
        rank_runs(results, "val_acuracy")
    assert str(caught.value) == (
        "--sort: no column 'val_acuracy'; did you mean 'val_accuracy'? allowed: lr, epochs, optimizer, run, "
        "id, configuration, fold, status, failure, epochs_done, epochs_planned, best_epoch, loss, accuracy, "
        "val_loss, val_accuracy, run_duration, parameters"
    )


def test_best_run_is_the_one_that_the_sweep_names(tmp_path: Path) -> None:
    content = make_content({"lr": [1, 2]})
    content["sweep"]["best"] = "run-2"
    assert best_run(load(tmp_path, content)).name == "run-2"
    content["sweep"]["best"] = None
    assert best_run(load(tmp_path, content)) is None


def test_effects_equal_means_taken_by_hand(tmp_path: Path) -> None:
    content = make_content({"lr": [0.1, 0.01], "shuffle": [True, False]})
    for run, accuracy in zip(content["runs"], (0.5, 0.6, 0.9, 0.4), strict=True):
        run["val_accuracy"] = accuracy
    shuffle, lr = effects(load(tmp_path, content))
    # shuffle: true (0.5 + 0.9) / 2, false (0.6 + 0.4) / 2; lr: 0.01 (0.9 + 0.4) / 2, 0.1 (0.5 + 0.6) / 2
    assert shuffle.name == "shuffle"
    assert [(v.value, v.runs, v.failed) for v in shuffle.values] == [(False, 2, 0), (True, 2, 0)]
    assert [v.mean for v in shuffle.values] == pytest.approx([0.5, 0.7])
    assert shuffle.spread == pytest.approx(0.2)
    assert [(v.value, v.runs) for v in lr.values] == [(0.01, 2), (0.1, 2)]
    assert [v.mean for v in lr.values] == pytest.approx([0.65, 0.55])
    assert lr.spread == pytest.approx(0.1)


def test_effects_leave_failed_and_unfinished_runs_out_and_count_failures(tmp_path: Path) -> None:
    content = make_content({"lr": [0.1, 0.01, 10], "shuffle": [True, False]})
    for run in content["runs"][:4]:
        run["val_accuracy"] = 0.5
    content["runs"][0].update(status="diverged", val_accuracy=0.99)
    content["runs"][1].update(status="running", val_accuracy=0.99)
    fail_run(content, 5)
    fail_run(content, 6)
    lr = next(effect for effect in effects(load(tmp_path, content)) if effect.name == "lr")
    assert [(v.value, v.mean, v.runs, v.failed) for v in lr.values] == [
        (0.01, 0.5, 2, 0),
        (0.1, None, 0, 1),
        (10, None, 0, 2),
    ]
    assert lr.spread is None


def test_values_that_are_lists_have_effects_too(tmp_path: Path) -> None:
    content = make_content({"channels": [[6, 12], [16, 32]]})
    (effect,) = effects(load(tmp_path, content))
    assert [value.value for value in effect.values] == [[6, 12], [16, 32]]


def test_failures_are_grouped_by_cause(tmp_path: Path) -> None:
    content = make_content()
    for number in (2, 4, 6):
        fail_run(content, number)
    fail_run(content, 7, "failed", "out of memory")
    groups = group_failures(load(tmp_path, content))
    assert [(g.status, g.cause, [run.name for run in g.runs]) for g in groups] == [
        ("diverged", "loss is not finite", ["run-2", "run-4", "run-6"]),
        ("failed", "out of memory", ["run-7"]),
    ]
