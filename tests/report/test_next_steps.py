"""What a page tells a person to do next, and where it tells nothing."""

from pathlib import Path

import pytest
from results_by_hand import Content, load, make_content

from cnnsweep.analysis.trials import group_trials
from cnnsweep.report.next_steps import next_steps


def words(folder: Path, content: Content) -> str:
    results = load(folder, content)
    return "\n".join(step.words for step in next_steps(results, group_trials(results)))


def with_figures(values: list[float], accuracies: list[float]) -> Content:
    content = make_content({"lr": values})
    for run, accuracy in zip(content["runs"], accuracies, strict=True):
        run["val_accuracy"] = accuracy
    best = max(content["runs"], key=lambda run: run["val_accuracy"])
    content["sweep"].update(best=best["run"], validation_images=6000, largest_class=600)
    return content


@pytest.mark.parametrize(("epochs", "best_epoch", "more"), [(3, 3, True), (3, 2, False), (1, 1, False)])
def test_more_epochs_are_advised_where_the_best_of_several_is_the_last(
    tmp_path: Path, epochs: int, best_epoch: int, more: bool
) -> None:
    content = make_content({"lr": [0.1, 0.01]}, epochs=epochs)
    content["runs"][0]["best_epoch"] = best_epoch
    assert (f"best in its last epoch, {epochs}: more epochs may reach more" in words(tmp_path, content)) is more


@pytest.mark.parametrize(("accuracies", "finer"), [([0.7, 0.8, 0.7], True), ([0.7, 0.8, 0.7999], False)])
def test_finer_steps_are_advised_where_the_best_is_ahead_on_both_sides(
    tmp_path: Path, accuracies: list[float], finer: bool
) -> None:
    told = words(tmp_path, with_figures([0.01, 0.1, 1.0], accuracies))
    advice = "lr=0.1 lies between the trained values: try finer steps between 0.01 and 1."
    assert (advice in told) is finer


def test_values_beyond_the_best_are_advised_at_either_end(tmp_path: Path) -> None:
    assert "lr=0.01 is the smallest value that was trained (up to 1): try smaller ones." in words(
        tmp_path, with_figures([0.01, 0.1, 1.0], [0.9, 0.8, 0.7])
    )
    assert "lr=1 is the largest value that was trained (from 0.01): try larger ones." in words(
        tmp_path, with_figures([0.01, 0.1, 1.0], [0.7, 0.8, 0.9])
    )


def test_several_labels_are_advised_a_metric_that_is_defined_for_them(tmp_path: Path) -> None:
    content = with_figures([0.01, 0.1, 1.0], [0.5, 0.6, 0.55])
    del content["sweep"]["validation_images"], content["sweep"]["largest_class"]
    counts = {"training": [90, 9], "validation": [10, 1], "test": None}
    content["sweep"].update(classes=["cat", "dog"], counts=counts, baselines={"val_accuracy": 0.7}, labels="several")
    told = words(tmp_path, content)
    assert "Labels are unequal: rank by metric: average_precision; try class_weight: [none, balanced]" in told
    assert "balanced_accuracy" not in told
