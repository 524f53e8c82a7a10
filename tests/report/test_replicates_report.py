"""What the terminal shows of sweeps whose trials have several runs, of early stopping and of tests."""

from pathlib import Path
from typing import Any

import pytest
from results_by_hand import Content, fail_run, load, make_content, make_replicates, show, stop_run

from cnnsweep.analysis.significance import short_significance_words, significance_words
from cnnsweep.analysis.trials import chosen_trial, group_trials
from cnnsweep.report.terminal import final_summary, render_report, render_run

AHEAD = {1: [0.90, 0.92, 0.87, 0.89, 0.91], 2: [0.885, 0.906, 0.859, 0.872, 0.894], 3: [0.70, 0.72, 0.68, 0.7, 0.71]}
TIED = {1: [0.90, 0.92, 0.87], 2: [0.91, 0.92, 0.88], 3: [0.70, 0.72, 0.68]}
LR = {"lr": [0.1, 0.01, 0.001]}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Reports name files as they were given, so they are given relative to here."""
    monkeypatch.chdir(tmp_path)
    return Path("fashion")


def report(content: Content, width: int = 120, **options: Any) -> str:
    results = load(Path("fashion"), content)
    return show(lambda console: render_report(results, console, **options), width)


def made_test(run: str, trial_id: str, accuracy: float, **others: Any) -> dict[str, Any]:
    figures = {"accuracy": accuracy, "loss": 0.3, "images": 10_000, "correct": round(accuracy * 10_000)}
    place = {"run": run, "configuration": trial_id, "split": "test", "time": "2026-11-21T10:00:00+00:00"}
    return {**place, **figures, "refit": False, **others}


def test_whole_summary_of_settings_with_five_seeds(folder: Path) -> None:
    content = make_replicates(LR, AHEAD)
    fail_run(content, 13)
    results = load(folder, content)
    text = show(lambda console: final_summary(results, console), 120)
    assert (
        text
        == """\
   #     lr  val acc ↑      95 %      sd  runs     worst..best    loss     acc  val loss   time  status
───────────────────────────────────────────────────────────────────────────────────────────────────────────
★  1  0.1       0.8980  ± 0.0239  0.0192     5  0.8700..0.9200  0.5010  0.8080    0.6010  2.5 s  finished
   2  0.01      0.8832  ± 0.0228  0.0184     5  0.8590..0.9060  0.5060  0.7980    0.6060  2.5 s  finished
   3  0.001     0.7075  ± 0.0152  0.0096     4  0.7000..0.7200  0.5110  0.7880    0.6110  2.5 s  1 diverged
mean ± half its 95 % interval; sd: of a run; ★ best mean
Trials with a failed run come last: their other seeds are a biased sample.

best        lr=0.1
            val_accuracy 0.8980 ± 0.0239 (95 %), mean of 5 seeds
best run    val_accuracy 0.9200, loss 0.5005, accuracy 0.8090, val_loss 0.6005 in epoch 2 of 2
checkpoint  fashion/run-2/best.safetensors
test it     cnnsweep evaluate fashion
how sure    ahead of all others; over 99.9 % sure to beat the second

Failures
1 diverged: loss is not finite
  lr=0.001 seed=2

report      cnnsweep report fashion
curves      tensorboard --logdir fashion
"""
    )


def test_winner_that_is_ahead_is_said_to_be_with_how_sure(folder: Path) -> None:
    results = load(folder, make_replicates(LR, AHEAD))
    # By scipy's ttest_rel: t = 12.8 with 4 degrees of freedom.
    assert significance_words(results, group_trials(results)) == [
        "lr=0.1 is ahead of the second, lr=0.01, by 0.0148 (95 % interval 0.0116 to 0.0180, 5 seeds in pairs): "
        "over 99.9 % sure."
    ]


def test_winner_that_is_tied_is_said_to_be_with_the_seeds_it_takes(folder: Path) -> None:
    results = load(folder, make_replicates(LR, TIED))
    assert significance_words(results, group_trials(results)) == [
        "lr=0.01 is statistically tied with 1 other: lr=0.1.",
        "It is ahead of the second, lr=0.1, by 0.0067 (95 % interval −0.0077 to 0.0210, 3 seeds in pairs): 91 % sure; "
        "about 3 more seeds would separate the first two.",
    ]


def test_how_sure_turns_round_where_less_is_better(folder: Path) -> None:
    content = make_replicates(LR, {number: [1 - value for value in values] for number, values in AHEAD.items()})
    content["sweep"].update(metric="val_loss", mode="min")
    for run in content["runs"]:
        run["val_loss"] = run["val_accuracy"]
    results = load(folder, content)
    (words,) = significance_words(results, group_trials(results))
    assert words.startswith("lr=0.1 is ahead of the second, lr=0.01, by 0.01480 (95 % interval 0.01159 to 0.01801, ")
    assert words.endswith("over 99.9 % sure.")


def test_seeds_that_are_too_few_to_tell_are_said_to_be(folder: Path) -> None:
    content = make_replicates(LR, TIED)
    content["runs"] = content["runs"][:2] + content["runs"][3:4]
    content["epochs"] = []
    content["sweep"]["best"] = "run-1"
    results = load(folder, content)
    assert significance_words(results, group_trials(results)) == [
        "Certainty of the best: unknown; this needs two trials with two seeds each, none failed."
    ]


def test_report_of_replicates_shows_settings_and_their_marks(folder: Path) -> None:
    text = report(make_replicates(LR, TIED))
    assert "9 runs of 3 trials: 9 finished" in text
    assert "★  1  0.01      0.9033  ± 0.0517  0.0208     3  0.8800..0.9200" in text
    assert "≈  2  0.1       0.8967  ± 0.0625  0.0252     3  0.8700..0.9200" in text
    assert "   3  0.001     0.7000  ± 0.0497  0.0200     3  0.6800..0.7200" in text
    assert "            val_accuracy 0.9033 ± 0.0517 (95 %), mean of 3 seeds\n" in text
    assert "checkpoint  fashion/run-5/best.safetensors\ntest it     cnnsweep evaluate fashion\n" in text
    assert "seed " not in text.split("Mean val_accuracy by trial")[1].split("Noise")[0]
    assert "Noise: runs that differ by seed alone have a standard deviation of 0.0208; median of 3 trials" in text
    assert "1 ━━ lr=0.01\n2 ━━ lr=0.1\n3 ━━ lr=0.001\n" in text
    assert "One run a trial" not in text


def test_top_and_sort_hold_for_settings(folder: Path) -> None:
    text = report(make_replicates(LR, TIED), top=1, sort="lr")
    assert "   3  0.001" in text
    assert "★" not in text.split("mean ±")[0]
    assert "… and 2 more: --top 0 shows all" in text


def test_failed_seed_is_counted_and_its_setting_comes_last(folder: Path) -> None:
    content = make_replicates(LR, TIED)
    fail_run(content, 5)
    text = report(content)
    assert "1 diverged\n" in text
    assert "   3  0.01 " in text
    assert "Trials with a failed run come last: their other seeds are a biased sample." in text


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_line_is_wider_than_the_terminal(folder: Path, width: int) -> None:
    crossed = {n: [0.7 + n / 50 * (-1) ** n, 0.71 + n / 50 * (-1) ** n] for n in range(1, 7)}
    content = make_replicates({**LR, "channels": [[6, 12], [16, 32]]}, crossed)
    for number, run in enumerate(content["runs"]):
        run.update(parameters=number % 4 * 1000, run_duration=float(number))
    fail_run(content, 3)
    stop_run(content, 6, 1, 0.5, 0.61, 6)
    content["tests"] = [made_test("run-11", "c6", 0.905), made_test("run-1", "c1", 0.9, refit=True)]
    lines = report(content, width).splitlines()
    unbroken = ("best  ", "best run  ", "checkpoint  ", "test it  ", " " * 12 + "val_accuracy 0")
    assert all(len(line) <= width for line in lines if not line.startswith(unbroken))
    for title in (
        "Tested",
        "Failures",
        "Early stopping",
        "Interaction",
        "Best for its time",
        "Best for its parameters",
    ):
        assert any(line.startswith(title) for line in lines)
    assert "time: training time of a run; its share if runs train together" in " ".join(lines)


def test_one_run_a_setting_is_said_to_be_little(folder: Path) -> None:
    text = report(make_content({"lr": [1, 2]}))
    assert "One run per trial: differences may be noise of the seed; check with `seeds: 5`.\n" in text
    assert "One run a trial" not in report(make_content({"lr": [1]}))


def test_test_figures_stand_apart_from_those_selected_on(folder: Path) -> None:
    content = make_replicates(LR, TIED)
    content["tests"] = [made_test("run-5", "c2", 0.5), made_test("run-5", "c2", 0.905)]
    text = report(content, 140)
    assert (
        """\
Tested
1  lr=0.01
   selected on val_accuracy 0.9033 (validation images, 3 seeds)
   tested: accuracy 0.9050 (95 % 0.8991 to 0.9106, 10,000 test images, weights of run-5), looked at 2026-11-21
"""
        in text
    )
    assert "test it" not in text
    assert "flatters" not in text


def test_several_tested_settings_are_warned_of_and_the_best_is_still_to_be_tested(folder: Path) -> None:
    content = make_replicates(LR, TIED)
    content["tests"] = [made_test("run-1", "c1", 0.9), made_test("run-7", "c3", 0.7), made_test("old", "gone", 0.7)]
    text = report(content, 140)
    assert "3 trials were tested: the best of several tests is optimistic" in text
    assert "1 tested trial no longer in the sweep" in text
    assert "test it     cnnsweep evaluate fashion\n" in text


def test_folder_is_quoted_for_the_shell(folder: Path) -> None:
    results = load(Path("my runs"), make_content({"lr": [1, 2]}))
    text = show(lambda console: final_summary(results, console))
    assert "test it     cnnsweep evaluate 'my runs'\n" in text


def test_early_stopping_is_summed_up_by_epoch(folder: Path) -> None:
    content = make_content({"lr": [1, 2, 3, 4, 5, 6]}, epochs=10)
    content["sweep"]["early_stop"] = {"method": "halving", "factor": 3, "patience": None}
    stop_run(content, 2, 1, 0.5, 0.61, 3)
    stop_run(content, 3, 1, 0.5, 0.71, 6)
    stop_run(content, 4, 3, 0.6, None, 1)
    text = report(content, 140)
    assert (
        """\
Early stopping  halving factor=3
saved 25 of 60 epochs (42 %), about 31.2 s
2 trials stopped after epoch 1 (val_accuracy below 0.6100 to 0.7100)
1 trial stopped after epoch 3

epoch  val acc  needed  trial  reason
─────────────────────────────────────────────────────────
    3   0.6000       –  lr=4   no improvement in 2 epochs
    1   0.5000  0.6100  lr=2   top 1/3
    1   0.5000  0.7100  lr=3   top 1/3
"""
        in text
    )


def test_one_run_tells_why_it_was_stopped_and_of_its_setting(folder: Path) -> None:
    content = make_replicates(LR, TIED)
    stop_run(content, 8, 1, 0.5, 0.61, 3)
    content["tests"] = [made_test("run-8", "c3", 0.7)]
    results = load(folder, content)
    assert show(lambda console: render_run(results, "run-8", console), 120).startswith("""\
run-8  stopped
1 of 2 epochs in 1.2 s, 44,426 parameters
stopped early: val_accuracy 0.5000 after epoch 1, below 0.6100 (top 1/3, 3 trials compared)
one of 3 runs of its trial: mean val_accuracy 0.6267 ± 0.2736 over 3 seeds
tested: accuracy 0.7000 (95 % 0.6909 to 0.7089, 10,000 test images, weights of run-8), looked at 2026-11-21
""")


@pytest.mark.parametrize(
    ("scope", "heading", "epoch"),
    [
        ("best", "each run at its best epoch", "in epoch 3 of 3"),
        ("last", "each run at its last epoch", "in epoch 3 of 3"),
        ("mean of last 2", "each run by the mean of its last 2 epochs", "as mean of last 2 of 3 epochs"),
    ],
)
def test_scope_is_said(folder: Path, scope: str, heading: str, epoch: str) -> None:
    content = make_content({"lr": [1, 2]})
    content["sweep"].update(scope=scope, folds=5, search={"method": "random", "runs": 2, "seed": 7})
    text = report(content)
    assert heading in text
    assert epoch in text
    assert "2 runs: 2 finished (random search, 2 draws, seed 7; cross-validation in 5 folds)" in text


@pytest.mark.parametrize("status", ["waiting", "running", "diverged"])
def test_replicates_without_a_figure_can_be_shown(folder: Path, status: str) -> None:
    content = make_replicates({**LR, "channels": [[6], [16]]}, {n: [0.9, 0.9] for n in range(1, 7)})
    for number in range(1, 13):
        fail_run(content, number, status, "loss is not finite" if status == "diverged" else "")
    content["sweep"].update(best=None, status="running")
    text = report(content)
    assert f"12 runs of 6 trials: 12 {status}" in text
    assert "No run has a metric" in text
    assert "Mean" not in text


def test_interrupted_replicates_are_ranked_by_what_they_reached(folder: Path) -> None:
    content = make_replicates(LR, TIED)
    for run in content["runs"]:
        run.update(status="interrupted", cause="Ctrl-C")
    text = report(content)
    assert "★  1  0.01      0.9033  ± 0.0517" in text
    assert "interrupted" in text


def test_folds_are_compared_in_pairs_where_the_seed_is_no_axis(folder: Path) -> None:
    content = make_replicates(LR, AHEAD, folds=5)
    for run in content["runs"]:
        del run["seed"]
    content["sweep"].update(hyperparameters=["lr", "epochs", "optimizer"], axes=["lr"])
    results = load(folder, content)
    (words,) = significance_words(results, group_trials(results))
    assert "5 folds in pairs" in words
    text = report(content)
    assert ", mean of 5 folds\n" in text
    assert "runs that differ by fold alone" in text


def test_two_seeds_claim_no_accuracy_outside_0_and_1_and_foretell_nothing(folder: Path) -> None:
    content = make_replicates(LR, {1: [0.7, 0.9], 2: [0.65, 0.75], 3: [0.6, 0.6]})
    text = report(content)
    assert "95 %: interval of the mean; sd: of a run; ★ best mean, ≈ tied with it\n" in text
    assert "★  1  0.1       0.8000  0.000..1.000" in text
    assert "≈  3  0.001     0.6000             –" in text  # two equal accuracies say nothing about the spread
    assert "val_accuracy 0.8000 (95 % 0.0000 to 1.0000), mean of 2 seeds\n" in text
    assert "(95 % interval −0.5353 to 0.7353, 2 seeds in pairs)" in text
    assert "2 are too few to estimate how many more would separate the first two." in " ".join(text.split())


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ([0.88, 0.93, 0.85, 0.88, 0.90], "about 4 more seeds would separate"),
        ([0.89, 0.93, 0.85, 0.88, 0.92], "about 50 more seeds would separate"),
        ([0.89, 0.93, 0.86, 0.88, 0.92], "it would take hundreds of seeds to separate"),
    ],
)
def test_more_seeds_are_told_as_exactly_as_they_can_be(folder: Path, second: list[float], words: str) -> None:
    results = load(folder, make_replicates(LR, {**AHEAD, 2: second}))
    assert words in " ".join(significance_words(results, group_trials(results)))


def test_end_of_a_run_says_in_half_a_line_how_sure_the_best_is_and_what_stopping_saved(folder: Path) -> None:
    content = make_replicates(LR, TIED)
    stop_run(content, 8, 1, 0.5, 0.61, 3)
    results = load(folder, content)
    trials = group_trials(results)
    assert (
        short_significance_words(results, trials) == "statistically tied with both others; 91 % sure to beat the second"
    )
    text = show(lambda console: final_summary(results, console))
    assert "\nhow sure    statistically tied with both others; 91 % sure to beat the second\n" in text
    assert "\nstopped     saved 1 of 18 epochs (6 %), about 1.2 s\n" in text
    assert "Early stopping" not in text


def test_several_tested_runs_are_one_line(folder: Path) -> None:
    content = make_replicates(LR, TIED)
    content["tests"] = [made_test(f"run-{n}", "c2", 0.88 + n / 100) for n in (4, 5, 6)]
    words = " ".join(report(content).split())
    assert "tested: accuracy 0.9300 ± 0.0248 (95 %), mean of 3 runs from 0.9200 to 0.9400; 10,000 test images" in words


def test_hyperparameter_that_some_settings_have_no_use_for_does_not_lead_for_that(folder: Path) -> None:
    content = make_content({"method": ["adam", "sgd"], "momentum": [None, 0.0, 0.9]}, epochs=1)
    content["runs"] = [run for run in content["runs"] if (run["method"] == "adam") == (run["momentum"] is None)]
    content["epochs"] = []
    for run, accuracy in zip(content["runs"], [0.9, 0.5, 0.52], strict=True):
        run["val_accuracy"] = accuracy
    effects = report(content).split("Mean val_accuracy by trial")[1]
    assert effects.index("method") < effects.index("momentum")
    assert "spread 0.0200" in effects
    assert "0.5200 ◂" in effects
    assert "–     0.9000   " in effects
    assert "1 run without" in effects
    assert "none" not in effects


def test_unfinished_sweep_has_a_winner_so_far_only(folder: Path) -> None:
    content = make_replicates(LR, AHEAD)
    for run in content["runs"][10:]:
        run.update(status="waiting", val_accuracy=None, epochs_done=0, checkpoint=None)
    content["sweep"].update(status="interrupted")
    results = load(folder, content)
    trials = group_trials(results)
    assert (
        short_significance_words(results, trials) == "ahead of all others so far; over 99.9 % sure to beat the second"
    )
    assert significance_words(results, trials)[0].startswith(
        "lr=0.1 so far is ahead of the second, lr=0.01, by 0.0148 ("
    )
    text = show(lambda console: final_summary(results, console))
    assert "… and 1 more: --top 0 shows all" in text
    assert "   –  0.001" not in text


def test_setting_that_is_complete_stands_for_the_sweep_before_one_that_still_trains(folder: Path) -> None:
    content = make_replicates(LR, TIED)
    for run in content["runs"][3:6]:
        run.update(status="running")
    content["sweep"].update(status="running")
    results = load(folder, content)
    trials = group_trials(results)
    chosen = chosen_trial(results, trials)
    assert chosen is not None
    assert chosen.params["lr"] == 0.1
    assert "best        lr=0.1\n" in report(content)
