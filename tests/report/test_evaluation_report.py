"""What `cnnsweep evaluate` prints."""

from results_by_hand import show

from cnnsweep.analysis.evaluation import Evaluation, TrialEvaluation
from cnnsweep.report.evaluation import render_evaluation, render_trial

NAME = "lr=0.0036437,batch_size=44,optimizer=adam,label_smoothing=0.023305,weight_decay=0.00012,seed=0-384e3a"


def evaluation(correct: int, **trials: object) -> Evaluation:
    confusion = ((correct, 100 - correct), (10, 90))
    return Evaluation("best.safetensors", NAME, 3, "test", 0.5, ("cat", "dog"), confusion, {"lr": 0.1, **trials})


def test_runs_of_a_setting_are_told_apart_by_seed_and_fold_however_long_their_names() -> None:
    runs = (evaluation(80, seed=0, fold=1), evaluation(90, seed=1, fold=1))
    text = show(lambda console: render_trial(TrialEvaluation("c", runs), console), 80)
    assert "\n seed 0, fold 1      3    85.00%" in text
    assert "\n seed 1, fold 1      3    90.00%" in text
    assert "…" not in text


def test_titles_and_names_are_not_broken_on_narrow_terminals() -> None:
    text = show(lambda console: render_evaluation(evaluation(80), console), 60)
    assert text.startswith(f"{NAME}, epoch 3\n")
    assert "\nConfusion matrix  rows: true class, columns: predicted\n" in text
