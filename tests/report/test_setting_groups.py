from pathlib import Path

import pytest
from results_by_hand import fail_run, load, make_content, make_replicates, stop_run

from cnnsweep.analysis.chart_stopping import saving
from cnnsweep.analysis.effects import effects
from cnnsweep.analysis.pareto import pareto
from cnnsweep.analysis.trials import best_of, group_trials, replicate_words, sort_trials, trial_words

AXES = {"lr": [0.1, 0.01, 0.001]}
# Trials 1 and 2 differ by less than their seeds do; 3 is far behind. Seed 2 is a bad one for all.
FIGURES = {1: [0.90, 0.92, 0.87], 2: [0.91, 0.92, 0.88], 3: [0.70, 0.72, 0.68]}


def ranked(content: dict, folder: Path) -> list[tuple]:
    return [(s.trial_id, s.place, s.tied, s.failed) for s in group_trials(load(folder, content))]


def test_settings_are_ranked_by_mean_and_ties_are_marked(tmp_path: Path) -> None:
    content = make_replicates(AXES, FIGURES)
    assert ranked(content, tmp_path) == [("c2", 1, True, 0), ("c1", 2, True, 0), ("c3", 3, False, 0)]
    best = group_trials(load(tmp_path, content))[0]
    assert best.params == {"lr": 0.01, "epochs": 2, "optimizer": "adam"}
    assert best.figures == {("0", None): 0.91, ("1", None): 0.92, ("2", None): 0.88}
    assert best.estimate.mean == pytest.approx((0.91 + 0.92 + 0.88) / 3)
    assert trial_words(load(tmp_path, content), best) == "lr=0.01"


def test_setting_with_a_failed_seed_comes_after_all_sound_ones(tmp_path: Path) -> None:
    content = make_replicates(AXES, FIGURES)
    fail_run(content, 6)  # the seed that is bad for trial 2
    assert ranked(content, tmp_path) == [("c1", 1, True, 0), ("c3", 2, False, 0), ("c2", 3, None, 1)]
    for number in (3, 9):
        fail_run(content, number)
    # Where all have failures, they are compared all the same.
    assert [place for _, place, *_ in ranked(content, tmp_path)] == [1, 2, 3]
    assert ranked(content, tmp_path)[0] == ("c2", 1, True, 1)


def test_setting_whose_seeds_all_failed_has_no_place(tmp_path: Path) -> None:
    content = make_replicates(AXES, FIGURES)
    for number in (4, 5, 6):
        fail_run(content, number)
    assert ranked(content, tmp_path)[-1] == ("c2", None, None, 3)


def test_runs_that_still_train_do_not_count_beside_finished_ones(tmp_path: Path) -> None:
    content = make_replicates(AXES, FIGURES)
    content["runs"][0]["status"] = "running"
    first = next(s for s in group_trials(load(tmp_path, content)) if s.trial_id == "c1")
    assert list(first.figures.values()) == [0.92, 0.87]
    for run in content["runs"]:
        run["status"] = "interrupted"
    assert all(len(s.figures) == 3 for s in group_trials(load(tmp_path, content)))
    content["runs"][1].update(status="diverged")  # after its first epoch, of which it has a figure
    first = next(s for s in group_trials(load(tmp_path, content)) if s.trial_id == "c1")
    assert list(first.figures.values()) == [0.90, 0.87]


def test_a_setting_takes_as_long_as_its_complete_runs_do(tmp_path: Path) -> None:
    content = make_replicates(AXES, FIGURES)
    content["runs"][0].update(status="interrupted", run_duration=0.5)
    content["runs"][1]["run_duration"] = 4.0
    found = {s.trial_id: s.run_duration for s in group_trials(load(tmp_path, content))}
    assert found == {"c1": pytest.approx((4.0 + 2.5) / 2), "c2": 2.5, "c3": 2.5}


def test_folds_make_replicates_with_a_wider_interval(tmp_path: Path) -> None:
    content = make_replicates(AXES, FIGURES, folds=3)
    trials = group_trials(load(tmp_path, content))
    assert list(trials[0].figures) == [("0", 0), ("0", 1), ("0", 2)]
    plain = group_trials(load(tmp_path, make_replicates(AXES, FIGURES)))[0].estimate
    assert trials[0].estimate.half == pytest.approx(plain.half * ((1 / 3 + 1 / 2) * 3) ** 0.5)
    assert replicate_words(trials[0].figures) == "3 folds"
    assert replicate_words([("0", 0), ("0", 1), ("1", 0), ("1", 1)]) == "2 seeds × 2 folds"
    assert replicate_words([("0", None), ("1", None)]) == "2 seeds"


def test_settings_are_sorted_by_columns_of_their_runs(tmp_path: Path) -> None:
    content = make_replicates(AXES, FIGURES)
    for run, seconds in zip(content["runs"], [1, 9, 9, 2, 2, 2, 5, 5, 5], strict=True):
        run["run_duration"] = seconds
    results = load(tmp_path, content)
    trials = group_trials(results)

    def order(sort: str | None) -> list[str]:
        return [trial.trial_id for trial in sort_trials(results, trials, sort)]

    assert order(None) == order("val_accuracy") == ["c2", "c1", "c3"]
    assert order("lr") == ["c3", "c2", "c1"]
    assert order("run_duration") == ["c2", "c3", "c1"]
    assert order("run") == order("loss") == ["c1", "c2", "c3"]


def test_run_that_stands_for_a_setting_is_the_sweeps_best_or_its_own(tmp_path: Path) -> None:
    results = load(tmp_path, make_replicates(AXES, FIGURES))
    assert [best_of(results, trial).name for trial in group_trials(results)] == ["run-5", "run-2", "run-8"]


def test_effects_are_matched_by_seed_and_leave_the_seed_out(tmp_path: Path) -> None:
    (lr,) = effects(load(tmp_path, make_replicates(AXES, FIGURES)))
    by_value = {value.value: value for value in lr.values}
    assert by_value[0.01].difference is None
    found = by_value[0.1].difference
    assert (found.pairs, found.mean) == (3, pytest.approx(-0.02 / 3))
    # Paired by scipy: ttest_rel of (0.90, 0.92, 0.87) and (0.91, 0.92, 0.88).
    assert (found.low, found.high) == pytest.approx((-0.021009, 0.007676), abs=1e-6)


def test_effect_of_a_grid_is_matched_over_the_other_axes(tmp_path: Path) -> None:
    content = make_content({"lr": [1, 2], "batch": [10, 20, 30]})
    for run, figure in zip(content["runs"], [0.5, 0.6, 0.7, 0.4, 0.55, 0.6], strict=True):
        run["val_accuracy"] = figure
    fail_run(content, 6)  # and with it the pair of batch 30
    lr = next(effect for effect in effects(load(tmp_path, content)) if effect.name == "lr")
    found = lr.values[1].difference
    assert (found.pairs, found.mean) == (2, pytest.approx(-0.075))


def test_many_numbers_are_binned_and_seeds_are_no_evidence_of_their_own(tmp_path: Path) -> None:
    values = [10**-n for n in range(12)]
    figures = {n + 1: [n + seed / 100 for seed in range(5)] for n in range(12)}
    content = make_replicates({"lr": values, "other": [1]}, figures)
    for n, run in enumerate(content["runs"]):
        run["other"] = n // 5  # so nothing can be matched
    content["sweep"]["axes"] = ["lr", "other", "seed"]
    effect = next(e for e in effects(load(tmp_path, content)) if e.name == "lr")
    assert [value.value for value in effect.values] == [
        "1e-11 to 1e-09", "1e-08 to 1e-06", "1e-05 to 0.001", "0.01 to 1",
    ]  # fmt: skip
    assert [value.runs for value in effect.values] == [15, 15, 15, 15]
    found = effect.values[1].difference
    assert (found.pairs, found.freedom) == (None, pytest.approx(4))  # 3 + 3 trials, not 15 + 15 runs


def test_grid_of_few_values_is_not_binned(tmp_path: Path) -> None:
    content = make_content({"lr": list(range(1, 10)), "batch": [1, 2]}, epochs=1)
    found = effects(load(tmp_path, content))
    assert [len(effect.values) for effect in found if effect.name == "lr"] == [9]  # 9 values, 18 trials


def test_frontier_keeps_what_nothing_beats_in_both(tmp_path: Path) -> None:
    content = make_replicates({"lr": [1, 2, 3, 4, 5]}, {1: [0.9], 2: [0.8], 3: [0.7], 4: [0.95], 5: [0.8]})
    for run, seconds in zip(content["runs"], [5, 2, 3, 9, 2], strict=True):
        run["run_duration"] = seconds
    results = load(tmp_path, content)
    objective = results.sweep.objective
    found = pareto(objective, group_trials(results), lambda trial: trial.run_duration)
    assert [(s.params["lr"], cost) for s, cost in found] == [(2, 2), (1, 5), (4, 9)]


def test_frontier_leaves_settings_out_of_which_a_run_failed(tmp_path: Path) -> None:
    content = make_replicates({"lr": [1, 2]}, {1: [0.8, 0.8], 2: [0.9, 0.9]})
    fail_run(content, 4)
    results = load(tmp_path, content)
    found = pareto(results.sweep.objective, group_trials(results), lambda _: 1.0)
    assert [trial.params["lr"] for trial, _ in found] == [1]


def test_saving_counts_epochs_not_trained_at_each_runs_own_pace(tmp_path: Path) -> None:
    content = make_content({"lr": [1, 2, 3]}, epochs=10)
    stop_run(content, 2, 4, 0.5, 0.6, 3)
    stop_run(content, 3, 1, 0.5, 0.6, 3)
    content["runs"][2]["run_duration"] = 2.0
    found = saving(load(tmp_path, content))
    assert (found.epochs, found.planned, found.seconds) == (15, 30, pytest.approx(6 * 1.25 + 9 * 2.0))
    for row in (*content["runs"], *content["epochs"]):
        del row["epochs"]
    content["sweep"]["hyperparameters"].remove("epochs")
    assert saving(load(tmp_path, content)) == found  # as many as the finished run has
