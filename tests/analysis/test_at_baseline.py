"""Trials that are no better than a constant answer: marked, not praised, and no reason for advice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from results_by_hand import Content, load, make_content, make_replicates, show

from cnnsweep.analysis.baseline import (
    baselines_words,
    caution_words,
    few_images_words,
    is_praised,
    runs_at_baseline,
    starred_run,
    trials_at_baseline,
    unpraised_words,
)
from cnnsweep.analysis.chart_effects import effects_chart
from cnnsweep.analysis.chart_heat_map import heat_maps
from cnnsweep.analysis.compare import compare_sweeps
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.significance import short_significance_words, significance_words
from cnnsweep.analysis.trials import group_trials
from cnnsweep.errors import ResultsError
from cnnsweep.html.run_table import run_table
from cnnsweep.html.sections import summary_section
from cnnsweep.metrics.objective import Objective
from cnnsweep.report.compare_json import compare_to_json
from cnnsweep.report.compare_table import render_comparison
from cnnsweep.report.export import to_csv, to_json, to_markdown
from cnnsweep.report.next_steps import next_steps
from cnnsweep.report.terminal import final_summary, render_report
from cnnsweep.report.trial import render_run
from cnnsweep.storage.results_tables import best_run

CATS = 90 / 132
UNEQUAL = {
    "classes": ["cat", "dog", "ship", "truck"],
    "counts": {"training": [810, 270, 81, 27], "validation": [90, 30, 9, 3], "test": [200, 67, 20, 7]},
    "baselines": {"val_accuracy": CATS, "val_loss": 0.85},
    "validation_images": 132,
    "largest_class": 90,
}


def with_accuracies(accuracies: list[float], losses: list[float] | None = None, **sweep: Any) -> Content:
    content = make_content({"lr": [0.1, 0.03, 0.01, 0.001][: len(accuracies)]})
    for position, (run, accuracy) in enumerate(zip(content["runs"], accuracies, strict=True)):
        run.update(val_accuracy=accuracy, val_loss=1.0 if losses is None else losses[position])
    content["sweep"].update(**UNEQUAL, **sweep)
    objective = Objective(content["sweep"]["metric"], content["sweep"]["mode"])
    content["sweep"]["best"] = best_run([{**run, "configuration": run["id"]} for run in content["runs"]], objective)
    return content


def report(results: Results) -> str:
    return show(lambda console: render_report(results, console), 110)


def steps(results: Results) -> str:
    return "\n".join(step.words for step in next_steps(results, group_trials(results)))


ABOVE = 120 / 132


def test_only_runs_at_the_baseline_are_marked(tmp_path: Path) -> None:
    results = load(tmp_path, with_accuracies([CATS, ABOVE, CATS, 0.2]))
    trials = group_trials(results)
    assert runs_at_baseline(results) == {"run-1", "run-3", "run-4"}
    assert is_praised(results, trials)
    assert starred_run(results) == "run-2"
    lines = report(results).splitlines()
    assert [line[0] for line in lines if line[1:5].strip() and line[2:4].strip().isdigit()][:4] == ["★", "○", "○", "○"]
    assert "○ no better than always answering 'cat' (val_accuracy 0.6818)" in lines
    assert "baseline    val_accuracy 0.6818 by always answering 'cat'" in lines
    page = run_table(results, tmp_path)
    assert page.count("○ run-") == 3
    assert "no better than always answering &#x27;cat&#x27; (val_accuracy 0.6818)" in page


def test_an_export_says_of_each_run_whether_it_is_better(tmp_path: Path) -> None:
    results = load(tmp_path, with_accuracies([CATS, ABOVE, 0.2]))
    rows = json.loads(to_json(results))["runs"]
    assert [(row["run"], row["is_better_than_baseline"]) for row in rows] == [
        ("run-2", True),
        ("run-1", False),
        ("run-3", False),
    ]
    assert "is_better_than_baseline" in to_csv(results).splitlines()[0].split(",")
    table = to_markdown(results)
    assert "| 2 ○ |" in table
    assert table.endswith("○ no better than always answering 'cat' (val_accuracy 0.6818)\n")
    content = json.loads(to_json(results))["sweep"]
    assert {name: content[name] for name in ("classes", "counts", "baselines")} == {
        name: UNEQUAL[name] for name in ("classes", "counts", "baselines")
    }


def test_nothing_is_praised_where_all_runs_are_at_the_baseline(tmp_path: Path) -> None:
    results = load(tmp_path, with_accuracies([CATS, CATS, CATS, 0.2]))
    trials = group_trials(results)
    words = "No run is better than always answering 'cat': none has a val_accuracy above 0.6818."
    assert (unpraised_words(results, trials) or "").startswith(words)
    assert (starred_run(results), is_praised(results, trials)) == (None, False)
    text, page = report(results), summary_section(results, trials)
    for shown in (text, page, show(lambda console: final_summary(results, console), 110)):
        assert "★" not in shown
        assert "tied" not in shown
    assert "◂" not in text.replace("◂ best", "")  # the legend alone
    assert "The best trial" not in page
    found = effects_chart(results, trials)
    assert found is not None
    assert not any(row.is_best for row in found.rows)
    assert "no best value" in found.diagnostic
    assert not any(
        word in steps(results) for word in ("smallest", "largest", "finer", "seeds", "epochs", "test images")
    )


def test_advice_for_unequal_classes_takes_the_place_of_advice_from_runs_at_the_baseline(tmp_path: Path) -> None:
    """The smallest learning rate alone has learned, by far; larger ones say nothing about even smaller ones."""
    results = load(tmp_path, with_accuracies([CATS, CATS, CATS, ABOVE]))
    advice = steps(results)
    assert "smaller ones" not in advice
    assert (
        "Classes are unequal: rank by metric: balanced_accuracy; try class_weight: [none, balanced]; "
        "try sampling: [natural, balanced]."
    ) in advice
    caution = caution_words(results, group_trials(results))
    assert caution == (
        "3 of 4 trials are no better than always answering 'cat' (val_accuracy 0.6818): comparisons with them say "
        "little about the best values."
    )
    assert " ".join(caution.split()) in " ".join(report(results).split())


def test_a_direction_among_runs_that_learned_is_still_advised(tmp_path: Path) -> None:
    results = load(tmp_path, with_accuracies([0.95, ABOVE - 0.1, CATS, CATS]))
    assert "lr=0.1 is the largest value that was trained (from 0.001): try larger ones." in steps(results)


def test_what_a_sweep_tries_already_is_not_advised(tmp_path: Path) -> None:
    content = with_accuracies([CATS, CATS])
    weights = ["none", "balanced"]
    for run, weight in zip(content["runs"], weights, strict=True):
        run["class_weight"] = weight
    content["sweep"]["axes"].append("class_weight")
    content["sweep"]["hyperparameters"].append("class_weight")
    assert "class_weight" not in steps(load(tmp_path, content))
    equal = with_accuracies([CATS, CATS])
    equal["sweep"]["counts"] = {"training": [300] * 4, "validation": [33] * 4}
    assert "Classes are unequal" not in steps(load(tmp_path / "equal", equal))


def test_the_mean_of_a_trial_counts_and_not_its_luckiest_run(tmp_path: Path) -> None:
    content = make_replicates({"lr": [1, 2]}, {1: [0.60, 0.70], 2: [0.66, 0.69]})
    content["sweep"].update(UNEQUAL)
    results = load(tmp_path, content)
    trials = group_trials(results)
    assert trials_at_baseline(results, trials) == {"c1", "c2"}
    assert unpraised_words(results, trials) == (
        "The first in the ranking is no better than always answering 'cat' (val_accuracy 0.6818): no trial is marked."
    )
    assert starred_run(results) is None
    assert significance_words(results, trials) == []
    assert short_significance_words(results, trials) is None
    text = report(results)
    assert "○ no better than" in text
    assert "is ahead" not in text
    better = make_replicates({"lr": [1, 2]}, {1: [0.80, 0.82], 2: [0.66, 0.69]})
    better["sweep"].update(UNEQUAL)
    results = load(tmp_path / "better", better)
    assert trials_at_baseline(results, group_trials(results)) == {"c2"}
    assert "★" in report(results)


def test_the_baseline_is_that_of_the_deciding_metric_in_its_direction(tmp_path: Path) -> None:
    by_loss = with_accuracies([0.6, 0.6], losses=[0.80, 0.90], metric="val_loss", mode="min")
    results = load(tmp_path, by_loss)
    assert runs_at_baseline(results) == {"run-2"}
    assert starred_run(results) == "run-1"
    assert baselines_words(results) == (
        "val_loss 0.8500 by always giving the class frequencies; val_accuracy 0.6818 by always answering 'cat'"
    )
    content = with_accuracies([0.5, 0.5])
    content["sweep"]["metrics"] = [{"name": "recalls", "label": "recalls", "greater_is_better": True}]
    for rows in (content["runs"], content["epochs"]):
        for row in rows:
            row.update(recalls=0.5, val_recalls=0.5)
    content["runs"][1]["val_recalls"] = 0.25
    content["sweep"].update(metric="val_recalls", best="run-1")
    content["sweep"]["baselines"] = {"val_accuracy": CATS, "val_recalls": 0.25}
    results = load(tmp_path / "recalls", content)
    assert runs_at_baseline(results) == {"run-2"}
    assert starred_run(results) == "run-1"  # whose accuracy is below its baseline: it sees small classes
    assert baselines_words(results) == "val_recalls 0.2500, val_accuracy 0.6818 by always answering 'cat'"


def test_an_accuracy_that_stands_in_for_a_loss_marks_runs_but_does_not_decide(tmp_path: Path) -> None:
    content = with_accuracies([CATS, ABOVE], losses=[0.6, 0.7], metric="val_loss", mode="min")
    del content["sweep"]["baselines"]
    results = load(tmp_path, content)
    assert runs_at_baseline(results) == {"run-1"}
    assert starred_run(results) == "run-1"
    content["runs"][1]["val_accuracy"] = CATS
    assert starred_run(load(tmp_path / "none", content)) is None


@pytest.mark.parametrize(("images", "told"), [(91, "1 image of 132"), (93, "3 images of 132"), (94, None), (90, None)])
def test_a_lead_of_a_few_images_over_the_baseline_is_told(tmp_path: Path, images: int, told: str | None) -> None:
    results = load(tmp_path, with_accuracies([images / 132, 0.2]))
    words = few_images_words(results, images / 132)
    expected = None if told is None else f"{told} better than always answering 'cat': this may be luck"
    assert words == expected
    if expected is not None:
        assert expected in report(results)
        assert expected in summary_section(results, group_trials(results)).replace("&#x27;", "'")


def test_the_report_of_a_run_says_that_it_is_no_better(tmp_path: Path) -> None:
    results = load(tmp_path, with_accuracies([CATS, ABOVE]))
    text = show(lambda console: render_run(results, "run-1", console), 120)
    assert "○ no better than always answering 'cat' (val_accuracy 0.6818)" in text.splitlines()[0]
    assert "no better" not in show(lambda console: render_run(results, "run-2", console), 120)


def test_a_comparison_marks_trials_at_the_baseline_of_their_own_sweep(tmp_path: Path) -> None:
    equal = {"counts": {"training": [300] * 4, "validation": [33] * 4}, "baselines": {"val_accuracy": 0.25}}
    load(tmp_path / "a", with_accuracies([CATS, ABOVE]))
    content = with_accuracies([0.5, 0.4])
    content["sweep"].update(equal)
    load(tmp_path / "b", content)
    comparison = compare_sweeps([tmp_path / "a", tmp_path / "b"])
    text = show(lambda console: render_comparison(comparison, console), 120)
    assert "○ no better than a constant answer" in text
    assert sum(line.startswith("○ ") for line in text.splitlines()) == 1
    trials = json.loads(compare_to_json(comparison))["settings"]
    assert [trial["is_better_than_baseline"] for trial in trials] == [True, False, True, True]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"counts": {"training": [1, 2], "validation": None}}, r"sweep.counts.training: has 2 numbers"),
        ({"counts": {"training": []}}, r"sweep.counts.training: has 0 numbers"),
        ({"counts": {"training": [1, 2, 3, -4]}}, r"sweep.counts.training\[3\]: is -4"),
        ({"counts": {"validation": [1, 2, 3, 4]}}, r"sweep.counts.training: is missing"),
        ({"baselines": {"val_accuracy": "high"}}, r"sweep.baselines.val_accuracy: is \"high\""),
        ({"classes": ["cat", 3, "ship", "truck"]}, r"sweep.classes\[1\]: is 3"),
    ],
)
def test_damaged_counts_are_refused_with_their_place(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    content = with_accuracies([CATS, ABOVE])
    content["sweep"].update(changed)
    with pytest.raises(ResultsError, match=message):
        load(tmp_path, content)


def test_a_heat_map_names_the_best_only_where_a_trial_beats_the_baseline(tmp_path: Path) -> None:
    for first, word in ((CATS, "first"), (ABOVE, "best")):
        content = make_content({"lr": [0.1, 0.01], "batch_size": [16, 32]})
        for run, accuracy in zip(content["runs"], (first, CATS, CATS, 0.2), strict=True):
            run.update(val_accuracy=accuracy)
        content["sweep"].update(**UNEQUAL)
        results = load(tmp_path / word, content)
        found = heat_maps(results, group_trials(results), None)
        assert found is not None
        assert found.maps[found.chosen].diagnostic.startswith(f"The {word} is ")


def test_the_table_of_very_many_classes_on_the_page_has_an_end(tmp_path: Path) -> None:
    content = with_accuracies([ABOVE, CATS])
    names, images = [f"c{number}" for number in range(1500)], [10] * 1500
    content["sweep"].update(classes=names, counts={"training": images, "validation": images})
    results = load(tmp_path, content)
    page = summary_section(results, group_trials(results))
    assert "The first 1,000 classes" in page
    assert "c999<" in page
    assert "c1000<" not in page
