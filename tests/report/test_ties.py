"""What is exactly equal is said to be, and what is no better than chance is no best."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from results_by_hand import Content, fail_run, load, make_content, make_replicates, show

from cnnsweep.analysis.baseline import unpraised_words
from cnnsweep.analysis.compare import compare_sweeps
from cnnsweep.analysis.direction import is_clearly_better
from cnnsweep.analysis.effects import effects
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.statistics import chance_lead
from cnnsweep.analysis.summary import rank_runs
from cnnsweep.analysis.ties import tie_words
from cnnsweep.analysis.trials import group_trials
from cnnsweep.html.sections import summary_section
from cnnsweep.metrics.objective import Objective
from cnnsweep.report.compare_table import render_comparison
from cnnsweep.report.next_steps import next_steps
from cnnsweep.report.terminal import final_summary, render_report
from cnnsweep.report.trial import render_run
from cnnsweep.storage.results_tables import best_run

ACCURACY = Objective("val_accuracy", "max")


def with_figures(axis: dict[str, list[Any]], accuracies: list[float], losses: list[float] | None = None) -> Content:
    content = make_content(axis)
    for number, (run, accuracy) in enumerate(zip(content["runs"], accuracies, strict=True)):
        run.update(val_accuracy=accuracy, val_loss=1.0 if losses is None else losses[number])
    content["sweep"]["best"] = best_run([{**run, "configuration": run["id"]} for run in content["runs"]], ACCURACY)
    content["sweep"].update(validation_images=6000, largest_class=600)
    return content


def marks_of(text: str) -> list[str]:
    """What stands before the rows of the first table."""
    rows = text.partition("──\n")[2].splitlines()
    return list(itertools.takewhile(lambda mark: mark in "★=≈ ", (row[:1] for row in rows if row)))


def report(results: Results, width: int = 110) -> str:
    return show(lambda console: render_report(results, console), width)


def test_equal_accuracies_are_decided_by_the_loss_then_by_the_order(tmp_path: Path) -> None:
    content = with_figures({"lr": [1, 2, 3]}, [0.8, 0.8, 0.8], [0.5, 0.4, 0.4])
    assert content["sweep"]["best"] == "run-2"
    assert [run.name for run in rank_runs(load(tmp_path, content))] == ["run-2", "run-3", "run-1"]
    assert ACCURACY.rank([0.5, 0.5, None, 0.6], [0.1, 0.2, 0.0, 9.0]) == [3, 0, 1, 2]
    assert Objective("val_loss", "min").rank([0.5, 0.5], [2.0, 1.0]) == [0, 1]
    assert ACCURACY.rank([0.5, 0.5], [None, 1.0]) == [1, 0]


def test_the_settings_of_equal_mean_are_decided_by_the_mean_loss(tmp_path: Path) -> None:
    content = make_replicates({"lr": [1, 2]}, {1: [0.8, 0.9], 2: [0.9, 0.8]})
    for run in content["runs"]:
        run["val_loss"] = 0.3 if run["configuration"] == "c2" else 0.4
    assert best_run(content["runs"], ACCURACY) == "run-3"
    content["sweep"]["best"] = "run-3"
    results = load(tmp_path, content)
    trials = group_trials(results)
    assert [trial.trial_id for trial in trials] == ["c2", "c1"]
    assert tie_words(results, trials) == (
        "lr=1 reaches exactly the same val_accuracy: it has the lowest val_loss of them"
    )
    text = report(results)
    assert "★ best mean, = exactly the same" in text
    assert marks_of(text)[:2] == ["★", "="]


def test_a_setting_of_which_a_run_failed_does_not_tie_with_the_best(tmp_path: Path) -> None:
    content = make_replicates({"lr": [1, 2]}, {1: [0.25, 0.75], 2: [0.5, 0.5]})
    fail_run(content, 4)
    content["sweep"]["best"] = best_run(content["runs"], ACCURACY)
    results = load(tmp_path, content)
    assert [trial.estimate.mean for trial in group_trials(results)] == [0.5, 0.5]
    assert tie_words(results, group_trials(results)) is None
    assert marks_of(report(results))[:2] == ["★", " "]


def test_the_report_says_who_ties_with_the_best_and_why_it_is_the_best(tmp_path: Path) -> None:
    results = load(tmp_path, with_figures({"lr": [1, 2, 3, 4, 5, 6]}, [0.8, 0.8, 0.8, 0.8, 0.8, 0.7]))
    text = report(results)
    assert marks_of(text)[:6] == ["★", "=", "=", "=", "=", " "]
    assert "= exactly the val_accuracy of ★" in text
    words = "lr=2; lr=3; lr=4 and 1 more reach exactly the same val_accuracy: it comes first"
    assert f"tied        {words}" in text
    assert f"Tied: {words}." in summary_section(results, group_trials(results))
    assert words in show(lambda console: final_summary(results, console), 110)
    lone = load(tmp_path / "lone", with_figures({"lr": [1, 2]}, [0.8, 0.7]))
    assert "tied" not in report(lone)


def test_values_of_equal_mean_are_neither_best_nor_worse(tmp_path: Path) -> None:
    values = [f"v{n}" for n in range(10, 22)]
    text = report(load(tmp_path, with_figures({"lr": values}, [0.8] * 12)))
    assert "… 4 equal" in text
    assert text.count("◂") == 1  # the legend alone
    assert "worse" not in text
    half = report(load(tmp_path / "b", with_figures({"lr": values}, [0.8] * 6 + [0.7] * 6)))
    assert "… 4 no better" in half
    assert half.count("◂") == 1 + 6
    none = report(load(tmp_path / "c", with_figures({"lr": values}, [0.8 - n / 100 for n in range(12)])))
    assert "… 4 worse" in none


def test_values_of_an_axis_that_only_some_runs_have_stand_in_order(tmp_path: Path) -> None:
    """As `when` makes them: numbers ascend, others stand as in the file, whatever the ranking."""
    content = with_figures({"momentum": [0.9, None, 0.1, 0.5], "act": ["relu", "gelu"]}, [0.1 * n for n in range(8)])
    found = {effect.name: [value.value for value in effect.values] for effect in effects(load(tmp_path, content))}
    assert found["momentum"] == [0.1, 0.5, 0.9, None]
    assert found["act"] == ["relu", "gelu"]


def test_heat_maps_and_lists_of_values_have_the_same_order(tmp_path: Path) -> None:
    from cnnsweep.analysis.chart_heat_map import heat_maps
    from cnnsweep.html.summary import varied_rows

    accuracies = [0.1 * n for n in range(8)]
    results = load(tmp_path, with_figures({"momentum": [0.9, None, 0.1, 0.5], "act": ["relu", "gelu"]}, accuracies))
    trials = group_trials(results)
    assert dict(varied_rows(results, trials)) == {"momentum": "0.1, 0.5, 0.9", "act": "relu, gelu"}
    charts = heat_maps(results, trials, None)
    assert charts is not None
    ticks = {axis.texts for chart in charts.maps.values() for axis in (chart.across, chart.up)}
    assert ticks == {("0.1", "0.5", "0.9"), ("relu", "gelu")}


def test_every_chart_has_labels_that_differ(tmp_path: Path) -> None:
    from cnnsweep.analysis.chart_effects import effects_chart
    from cnnsweep.analysis.chart_heat_map import heat_maps
    from cnnsweep.analysis.chart_parallel import parallel_chart
    from cnnsweep.html.chart import drawn
    from cnnsweep.html.chart_effects import effects_view
    from cnnsweep.html.chart_heat_map import heat_map_view
    from cnnsweep.html.chart_parallel import parallel_view

    long = [f"package.with.a.long.name:{'x' * 20}{n}" for n in range(3)]
    axes = {"lr": [0.1, 0.10000001, 0.100000011], "model": long}
    results = load(tmp_path, with_figures(axes, [0.8 - n / 100 for n in range(9)]))
    trials = group_trials(results)
    charts = [
        drawn(heat_map_view, heat_maps(results, trials, None)),
        drawn(effects_view, effects_chart(results, trials)),
        drawn(parallel_view, parallel_chart(results, trials)),
    ]
    for chart in charts:
        assert chart is not None
        for view in chart.views.values():
            layout = view.figure["layout"]
            for axis in ("xaxis", "yaxis"):
                texts = layout[axis].get("ticktext", ())
                assert len(set(texts)) == len(texts)
            for place in {note["x"] for note in layout.get("annotations", ())}:
                labels = [note["text"] for note in layout["annotations"] if note["x"] == place]
                assert len(set(labels)) == len(labels)


# A lead of a few images


def test_a_lead_of_two_images_is_no_direction(tmp_path: Path) -> None:
    """5,402 against 5,400 of 6,000: nobody should look at larger learning rates for that."""
    results = load(tmp_path, with_figures({"lr": [0.01, 0.1]}, [5400 / 6000, 5402 / 6000]))
    trials = group_trials(results)
    assert not is_clearly_better(results, trials, "lr", 0.1, 0.01)
    assert not [step for step in next_steps(results, trials) if "lr=0.1" in step.words]


def test_a_clear_lead_is_one(tmp_path: Path) -> None:
    results = load(tmp_path, with_figures({"lr": [0.01, 0.1]}, [0.80, 0.90]))
    trials = group_trials(results)
    assert is_clearly_better(results, trials, "lr", 0.1, 0.01)
    assert not is_clearly_better(results, trials, "lr", 0.01, 0.1)
    words = [step.words for step in next_steps(results, trials)]
    assert "lr=0.1 is the largest value that was trained (from 0.01): try larger ones." in words
    assert chance_lead(0.9, 0.9, 6000) == pytest.approx(1.959964 * (2 * 0.9 * 0.1 / 6000) ** 0.5, rel=1e-6)
    assert chance_lead(1.0, 1.0, 1000) == 4 / 1000  # at the ends a normal distribution has no width


def test_of_a_loss_the_lower_one_is_ahead(tmp_path: Path) -> None:
    content = make_replicates({"lr": [0.01, 0.1]}, {1: [0.8, 0.8, 0.8], 2: [0.9, 0.9, 0.9]})
    for run, loss in zip(content["runs"], [0.50, 0.52, 0.51, 0.40, 0.43, 0.41], strict=True):
        run["val_loss"] = loss
    content["sweep"].update(metric="val_loss", mode="min", validation_images=6000)
    results = load(tmp_path, content)
    trials = group_trials(results)
    assert is_clearly_better(results, trials, "lr", 0.1, 0.01)  # lower by 0.1, 0.09 and 0.1 with equal seeds
    assert not is_clearly_better(results, trials, "lr", 0.01, 0.1)


def test_pairs_tell_more_than_one_run_unless_they_differ_by_a_few_images(tmp_path: Path) -> None:
    figures = {1: [0.900, 0.880, 0.890, 0.905, 0.895], 2: [0.905, 0.886, 0.895, 0.911, 0.900]}
    content = make_replicates({"lr": [0.01, 0.1]}, figures)
    content["sweep"].update(validation_images=6000, largest_class=600)
    results = load(tmp_path, content)
    assert is_clearly_better(results, group_trials(results), "lr", 0.1, 0.01)  # half a percent, in every pair
    tiny = {1: figures[1], 2: [figure + n / 6000 for figure, n in zip(figures[1], (1, 2, 1, 2, 2), strict=True)]}
    content = make_replicates({"lr": [0.01, 0.1]}, tiny)
    content["sweep"].update(validation_images=6000, largest_class=600)
    results = load(tmp_path / "tiny", content)
    assert not is_clearly_better(results, group_trials(results), "lr", 0.1, 0.01)


def test_where_the_number_of_images_is_not_known_one_run_shows_no_direction(tmp_path: Path) -> None:
    content = with_figures({"lr": [0.01, 0.1]}, [0.80, 0.90])
    content["sweep"].update(validation_images=None)
    results = load(tmp_path, content)
    assert not is_clearly_better(results, group_trials(results), "lr", 0.1, 0.01)


# No better than chance


def test_runs_at_the_share_of_the_largest_class_get_a_warning_and_no_star(tmp_path: Path) -> None:
    results = load(tmp_path, with_figures({"lr": [1e-9, 1e-8, 1e-7]}, [0.1, 0.1, 0.0999]))
    words = unpraised_words(results, group_trials(results))
    assert words is not None
    assert words.startswith(
        "No run is better than always answering the largest class: none has a val_accuracy above 0.1000"
    )
    text = report(results)
    assert words.split(",")[0] in text.replace("\n", " ")
    assert "★" not in text
    assert "tied" not in text
    page = summary_section(results, group_trials(results))
    assert "No run is better than" in page
    assert "★" not in page
    assert "The best trial" not in page
    assert "★" not in show(lambda console: render_run(results, "run-1", console), 100).partition("epoch")[0]
    steps = [step.words for step in next_steps(results, group_trials(results))]
    assert any("check the data" in step for step in steps)
    assert not any("try larger" in step or "test images" in step for step in steps)


def test_one_run_that_beats_chance_is_the_best(tmp_path: Path) -> None:
    results = load(tmp_path, with_figures({"lr": [1e-9, 1e-8]}, [0.1, 0.1001]))
    assert unpraised_words(results, group_trials(results)) is None
    assert "★" in report(results)
    content = with_figures({"lr": [1e-9, 1e-8]}, [0.1, 0.1])
    content["sweep"].update(validation_images=None, largest_class=None)  # an old file: nobody knows
    old = load(tmp_path / "old", content)
    assert unpraised_words(old, group_trials(old)) is None


def test_a_comparison_gives_no_star_to_a_sweep_that_learned_nothing(tmp_path: Path) -> None:
    for name, figures in (("a", [0.1, 0.1]), ("b", [0.09, 0.1])):
        load(tmp_path / name, with_figures({"lr": [1, 2]}, figures))
    text = show(lambda console: render_comparison(compare_sweeps([tmp_path / "a", tmp_path / "b"]), console), 120)
    assert text.count("No run is better than") == 2
    assert not any(line.startswith("★") for line in text.splitlines())


def test_a_comparison_marks_what_is_exactly_equal(tmp_path: Path) -> None:
    for name, figures in (("a", [0.8, 0.7]), ("b", [0.8, 0.6])):
        load(tmp_path / name, with_figures({"lr": [1, 2]}, figures))
    text = show(lambda console: render_comparison(compare_sweeps([tmp_path / "a", tmp_path / "b"]), console), 120)
    assert marks_of(text)[:4] == ["★", "=", " ", " "]
    assert ", = exactly the same" in text
