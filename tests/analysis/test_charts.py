"""The choices of each chart: which values, in which order, how many, with which words."""

import dataclasses
from pathlib import Path

import pytest
from results_by_hand import fail_run, load, make_content, make_replicates, stop_run

from cnnsweep.analysis.chart_batches import batch_chart
from cnnsweep.analysis.chart_classes import class_chart, confusion_charts
from cnnsweep.analysis.chart_cost import cost_charts, time_unit
from cnnsweep.analysis.chart_effects import effects_chart
from cnnsweep.analysis.chart_heat_map import heat_maps
from cnnsweep.analysis.chart_importance import importance_chart, interaction_chart
from cnnsweep.analysis.chart_learning import learning_charts
from cnnsweep.analysis.chart_parallel import UNUSED_AT, parallel_chart
from cnnsweep.analysis.chart_stopping import stopping_chart
from cnnsweep.analysis.run_evaluation import RunEvaluation
from cnnsweep.analysis.trials import group_trials


def many(count: int) -> dict:
    """One hyperparameter of `count` values, the first the best."""
    return make_content({"lr": [round(0.1 / n, 9) for n in range(1, count + 1)]}, epochs=2)


# Learning curves


def test_learning_curves_are_of_the_best_five_and_a_part_of_the_others(tmp_path: Path) -> None:
    results = load(tmp_path, many(405))
    charts = learning_charts(results, group_trials(results))
    assert [chart.metric for chart in charts] == ["val_accuracy", "val_loss"]
    first = charts[0]
    assert [curve.place for curve in first.curves] == [1, 2, 3, 4, 5]
    assert first.curves[0].label == "1  lr=0.1"
    assert [curve.place for curve in first.others[:3]] == [6, 9, 12]  # of 400 every third: 150 at most
    assert len(first.others) == 134
    assert first.notes == ("Of 400 other trials every 3th is drawn.",)
    assert first.description == "by epoch, the best 5 of 405 trials"
    assert first.diagnostic == "The best, lr=0.1, ends at 0.8000 after epoch 2."


def test_the_objective_comes_first_and_without_a_best_nothing_is_called_so(tmp_path: Path) -> None:
    content = many(3)
    content["sweep"].update(metric="val_loss", mode="min", validation_images=100, largest_class=90)
    results = load(tmp_path, content)
    charts = learning_charts(results, group_trials(results))
    assert [chart.metric for chart in charts] == ["val_loss", "val_accuracy"]
    assert charts[0].diagnostic.startswith("The first, ")  # 0.8 is below 90 of 100
    assert charts[0].description == "by epoch, all 3 trials"


def test_curves_of_one_epoch_are_no_chart(tmp_path: Path) -> None:
    results = load(tmp_path, make_content(epochs=1))
    assert learning_charts(results, group_trials(results)) == []


def test_a_band_reaches_over_the_runs_of_a_trial(tmp_path: Path) -> None:
    results = load(tmp_path, make_replicates({"lr": [0.1, 0.01]}, {1: [0.8, 0.9], 2: [0.5, 0.6]}))
    chart = learning_charts(results, group_trials(results))[0]
    last = chart.curves[0].points[-1]
    assert (last.mean, last.low, last.high) == (pytest.approx(0.85), 0.8, 0.9)
    assert chart.curves[0].point_text(last) == "epoch 2: 0.85, 0.8 to 0.9 over 2 runs"
    assert "bands reach" in chart.description


# Effects


def test_effects_are_of_the_best_values_and_tell_of_those_left_out(tmp_path: Path) -> None:
    content = make_content({"lr": [f"v{n}" for n in range(10, 22)], "wd": [1, 2]})
    results = load(tmp_path, content)
    chart = effects_chart(results, group_trials(results))
    assert chart is not None
    assert [group.name for group in chart.groups] == ["lr", "wd"]
    assert [row.value for row in chart.groups[0].rows] == [f"v{n}" for n in range(10, 18)]
    assert chart.groups[0].rest == "… 4 worse"
    assert [row.is_best for row in chart.groups[0].rows] == [True, *[False] * 7]
    assert [row.difference for row in chart.groups[1].rows] == [0.0, pytest.approx(-0.001)]
    assert chart.diagnostic == "lr makes the largest difference: its means lie 0.1100 apart, best with v10."
    fewer = effects_chart(results, group_trials(results), most=1)
    assert fewer is not None
    assert fewer.notes == ("1 more hyperparameter makes smaller differences.",)


def test_a_value_whose_runs_all_failed_is_shown_without_a_mean(tmp_path: Path) -> None:
    content = make_content({"lr": [0.1, 0.01, 0.001]})
    fail_run(content, 3)
    results = load(tmp_path, content)
    chart = effects_chart(results, group_trials(results))
    assert chart is not None
    worst = next(row for row in chart.rows if row.value == "0.001")
    assert (worst.mean, worst.difference, worst.runs) == (None, None, "0 runs, 1 failed")
    assert chart.counted == "finished runs alone"


def test_differences_without_pairs_are_marked(tmp_path: Path) -> None:
    results = load(tmp_path, make_content({"lr": [0.1, 0.01]}))
    chart = effects_chart(results, group_trials(results))
    assert chart is not None
    assert chart.has_unpaired  # one run of each value
    assert chart.legend("hollow").endswith("; hollow: not in pairs, since other hyperparameters differ")
    assert "not in pairs" not in chart.legend(None)


# Importance and interaction


def test_shares_are_the_ten_largest_and_tell_how_many_are_left_out(tmp_path: Path) -> None:
    results = load(tmp_path, make_content({"lr": [1, 2], "wd": [1, 2]}))
    chart = importance_chart(results, group_trials(results), {f"h{n}": 0.3 - n / 50 for n in range(12)})
    assert chart is not None
    assert [bar.label for bar in chart.bars] == [f"h{n}" for n in range(10)]
    assert chart.bars[0].text == "30 %"
    assert chart.notes == (
        "4 trials are too few for 12 hyperparameters: shares are a rough guess below 20 trials.",
        "2 more hyperparameters matter less.",
    )
    assert importance_chart(results, group_trials(results), {}) is None
    assert importance_chart(results, group_trials(results), None) is None


def test_pairs_that_are_printed_as_zero_are_left_out(tmp_path: Path) -> None:
    content = make_content({"lr": [1, 2], "wd": [1, 2], "batch": [1, 2]}, epochs=1)
    for run in content["runs"]:
        run["val_accuracy"] = 0.1 * (run["lr"] == run["wd"]) + 0.01 * run["batch"]
    results = load(tmp_path, content)
    chart = interaction_chart(results, group_trials(results))
    assert chart is not None
    assert [(bar.label, bar.text) for bar in chart.bars] == [("lr × wd", "100 %")]
    assert chart.notes == ("2.0 trials per combination are few: part of the shares is noise.",)


# Heat maps


def test_the_first_heat_map_is_of_what_matters_most_with_fewer_values_across(tmp_path: Path) -> None:
    results = load(tmp_path, make_content({"a": [1, 2, 3], "b": [1, 2], "c": [1, 2]}))
    trials = group_trials(results)
    by_effect, by_importance = heat_maps(results, trials, None), heat_maps(results, trials, {"c": 0.6, "b": 0.4})
    assert by_effect is not None
    assert by_importance is not None
    assert by_effect.names == ("a", "b", "c")
    one = by_effect.maps[by_effect.chosen]
    assert (one.across.name, one.up.name) == ("b", "a")
    # A step along a costs 0.01, along b 0.001, along c 0.0001.
    assert one.table[1] == [pytest.approx(0.78995), pytest.approx(0.78895)]
    assert one.cell_text((0, 0)) == f"mean val_accuracy {0.79995:.4f}, 2 trials"
    assert one.diagnostic == f"The best is b 1 with a 1: {0.79995:.4f}."
    assert {by_importance.names[n] for n in by_importance.chosen} == {"b", "c"}
    assert len(by_effect.maps) == 6


def test_the_first_heat_map_has_no_empty_rows_if_another_has_none(tmp_path: Path) -> None:
    content = make_content({"opt": ["adam", "sgd"], "momentum": [0.0, 0.9], "lr": [1, 2, 3]})
    for run in content["runs"]:
        run["momentum"] = None if run["opt"] == "adam" else run["momentum"]
    results = load(tmp_path, content)
    shares = {"momentum": 0.5, "opt": 0.3, "lr": 0.2}
    charts = heat_maps(results, group_trials(results), shares)
    assert charts is not None
    one = charts.maps[charts.chosen]
    assert (one.across.name, one.up.name) == ("momentum", "lr")  # nothing is known of adam's momentum


def test_names_of_too_many_values_cannot_be_chosen_for_a_heat_map(tmp_path: Path) -> None:
    results = load(tmp_path, make_content({"act": [f"f{n}" for n in range(13)], "b": [1, 2], "c": [1, 2]}))
    trials = group_trials(results)
    few = heat_maps(results, trials, None, 12)
    assert few is not None
    assert few.names == ("b", "c")
    assert few.notes == ("1 hyperparameter cannot be chosen: fewer than two means, little effect, or too many values.",)
    assert heat_maps(load(tmp_path, make_content({"lr": [1, 2]})), trials, None) is None


# Parallel coordinates


def test_lines_are_the_best_hundred_and_a_part_of_the_rest(tmp_path: Path) -> None:
    results = load(tmp_path, many(1000))
    chart = parallel_chart(results, group_trials(results))
    assert chart is not None
    assert len(chart.words) == 100 + 300
    assert chart.words[0] == "lr=0.1"
    assert chart.diagnostic == "The best is lr=0.1. Of 1,000 trials 400 are drawn, the best among them."
    rate, metric = chart.axes
    assert (rate.name, metric.name) == ("lr", "val_accuracy")
    assert rate.places[0] == pytest.approx(1.0)  # the largest, on a logarithmic axis
    assert rate.ticks[2] == (0.5, "0.00317")
    assert max(chart.goodness) == chart.goodness[0] == 1.0


def test_of_a_loss_less_is_better_and_an_unused_value_lies_below_the_axis(tmp_path: Path) -> None:
    content = make_content({"lr": [0.1, 0.01], "momentum": [0.9, None]})
    content["sweep"].update(metric="val_loss", mode="min")
    for number, run in enumerate(content["runs"]):
        run["val_loss"] = 1.0 + number
    results = load(tmp_path, content)
    chart = parallel_chart(results, group_trials(results))
    assert chart is not None
    assert chart.means == (1.0, 2.0, 3.0, 4.0)
    assert chart.goodness == [pytest.approx(share) for share in (1, 2 / 3, 1 / 3, 0)]
    assert chart.axes[1].places == (0.5, UNUSED_AT, 0.5, UNUSED_AT)
    assert chart.has_unused


# Cost


def cost_content() -> dict:
    content = make_content({"lr": [1, 2, 3, 4, 5, 6]}, epochs=2)
    seconds, accuracies = (240.0, 480.0, 360.0, 120.0, 300.0, 300.0), (0.7, 0.9, 0.6, 0.5, 0.8, 0.8)
    for run, time, accuracy in zip(content["runs"], seconds, accuracies, strict=True):
        run.update(run_duration=time, val_accuracy=accuracy)
    content["sweep"]["best"] = "run-2"
    stop_run(content, 6, 1, 0.5, 0.61, 3)
    content["runs"][5]["run_duration"] = 60.0
    return content


def test_costs_join_what_nothing_is_better_and_cheaper_than(tmp_path: Path) -> None:
    results = load(tmp_path, cost_content())
    (chart,) = cost_charts(results, group_trials(results))  # all have as many parameters
    assert chart.axis == "training time of a run (min)"
    assert [(point.cost, point.mean) for point in chart.efficient.points] == [(2, 0.5), (4, 0.7), (5, 0.8), (8, 0.9)]
    assert {one.label: len(one.points) for one in chart.others} == {"other trials": 1, "stopped early": 1}
    assert chart.diagnostic == (
        "4 of 5 trials are efficient: no other is both better and cheaper. The cheapest takes 2 m 00 s and reaches "
        "val_accuracy 0.5000, the best 8 m 00 s for 0.9000. 1 trial (stopped early) is not compared."
    )
    assert chart.is_starred
    assert not chart.is_log


def test_no_star_where_no_run_has_learned_anything_and_wide_costs_are_logarithmic(tmp_path: Path) -> None:
    content = cost_content()
    content["runs"][3]["run_duration"] = 1.0
    content["sweep"].update(validation_images=100, largest_class=95)
    results = load(tmp_path, content)
    (chart,) = cost_charts(results, group_trials(results))
    assert not chart.is_starred
    assert chart.is_log
    assert [time_unit(seconds)[0] for seconds in (119, 120, 7200)] == ["s", "min", "h"]


# Classes


def evaluated(*rows: tuple[int, ...], split: str = "test") -> RunEvaluation:
    names = tuple("abcdefgh"[: len(rows)])
    return RunEvaluation("run-1", split, 0.5, None, names, rows, ())


def test_classes_stand_with_the_hardest_first_and_those_without_images_are_counted() -> None:
    one = evaluated((9, 1, 0), (0, 0, 0), (5, 0, 5))
    chart = class_chart([("x", one), ("y", evaluated((1, 0, 0), (0, 1, 0), (0, 0, 1), split="val"))])
    assert chart is not None
    assert chart.runs == ("x",)  # the other is measured on other images
    assert [(row.label, row.texts()) for row in chart.rows] == [("c (10)", ["50.00 %"]), ("a (10)", ["90.00 %"])]
    assert chart.images == "20 test images"
    assert chart.notes == ("1 class without images.",)
    assert chart.rows[1].texts("precision") == ["64.29 %"]  # 9 of the 14 taken for a
    assert chart.rows[1].texts("f1") == ["75.00 %"]  # 2 * 9 of 10 + 14
    assert chart.rows[1].ends("recall")[0] == (
        pytest.approx(0.5958, abs=1e-4),
        pytest.approx(0.9821, abs=1e-4),
    )  # Wilson, 9 of 10
    assert class_chart([("x", evaluated((0,)))]) is None
    few = class_chart([("x", one)], most=1)
    assert few is not None
    assert [row.name for row in few.rows] == ["c"]
    assert few.notes[0] == "1 more class is recognised better."


def test_order_of_classes_is_that_of_the_best_run_which_the_sentence_names() -> None:
    best, other = evaluated((6, 4), (1, 1)), evaluated((0, 10), (0, 2))
    chart = class_chart([("1 best", best), ("2 other", other)])
    assert chart is not None
    assert [row.name for row in chart.rows] == ["b", "a"]
    assert chart.diagnostic == "The hardest class of 1 best is b with 50.00 %, the easiest a with 60.00 %."


def test_a_confusion_matrix_names_the_commonest_mistakes() -> None:
    (chart,) = confusion_charts([("x", evaluated((9, 1, 0), (0, 0, 0), (5, 0, 5))), ("y", evaluated((0,)))])
    assert chart.run == "x, test images"
    assert chart.pairs == (("c", "a", 5), ("a", "b", 1))
    assert chart.shares == [[0.9, 0.1, 0], [0, 0, 0], [0.5, 0, 0.5]]
    assert chart.predicted_shares == [[9 / 14, 1, 0], [0, 0, 0], [5 / 14, 0, 1]]
    assert chart.true_labels == ["a (10)", "b (0)", "c (10)"]
    assert chart.predicted_labels == ["a (14)", "b (1)", "c (5)"]
    assert chart.diagnostic == "14 of 20 test images are right (70.00 %). Most often c is taken for a: 5 images."


# Batches and early stopping


def test_batch_losses_are_means_of_neighbours_and_logarithmic_where_they_span_much() -> None:
    chart = batch_chart([100.0, 1.0, 2.0, float("nan"), 1.0], "1  lr=1", "lr=1", most=3)
    assert chart is not None
    assert (chart.size, chart.points) == (2, ((1.5, 50.5), (3.5, 2.0), (5.5, 1.0)))
    assert chart.is_log
    assert chart.title == "loss by batch (means of 2)"
    assert batch_chart([1.0], "", "") is None


def test_stops_are_counted_by_epoch_with_their_thresholds(tmp_path: Path) -> None:
    content = make_content({"lr": [0.1, 0.01, 0.001, 0.0001]})
    stop_run(content, 4, 1, 0.5, 0.61, 4)
    stop_run(content, 3, 1, 0.6, 0.64, 4)
    stop_run(content, 2, 2, 0.7, 0.7, 4)
    content["sweep"]["early_stop"] = {"method": "halving", "factor": 3}
    results = load(tmp_path, content)
    chart = stopping_chart(results, group_trials(results))
    assert chart is not None
    assert [(one.epoch, one.went_on, len(one.stopped)) for one in chart.epochs] == [(1, 2, 2), (2, 1, 1), (3, 1, 0)]
    assert [one.against for one in chart.stops] == [
        "val_accuracy below 0.6100 to 0.6400", "val_accuracy not better than 0.7000"
    ]  # fmt: skip
    assert [one.text for one in chart.best] == [
        "0.7000, as others that continued", "0.6000, needed 0.6400", "0.5000, needed 0.6100"
    ]  # fmt: skip
    assert (
        chart.diagnostic == "3 trials of 4 stopped early by halving factor=3: saved 5 of 12 epochs (42 %), about 6.2 s."
    )
    assert stopping_chart(dataclasses.replace(results, runs=results.runs[:1]), group_trials(results)[:1]) is None
