"""Views of a sweep that records many metrics: lines name few, tables keep the most useful columns, one view has all."""

from pathlib import Path

import pytest
from results_by_hand import Content, load, make_content, show

from cnnsweep.analysis.results import Results
from cnnsweep.metrics.names import in_a_line, meant_column, on_validation
from cnnsweep.report.terminal import render_report, render_run

MACRO, FURTHER = "val_macro_f1", ["balanced_accuracy", "macro_f1", "f1[a b]", "kappa", "auroc", "nll"]


def content_of(further: list[str], *, is_held_out: bool = True) -> Content:
    content = make_content({"lr": [0.01, 0.001]})
    facts = [{"name": name, "label": name, "greater_is_better": name != "nll"} for name in further]
    content["sweep"] |= {"metrics": facts, "metric": MACRO if is_held_out else "macro_f1"}
    for row in [*content["runs"], *content["epochs"]]:
        for name in further:
            row[name] = None if name == "auroc" and is_held_out else row["accuracy"]
            row[on_validation(name)] = row["val_accuracy"] if is_held_out else None
        if not is_held_out:
            row |= {"val_loss": None, "val_accuracy": None}
    return content


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return load(tmp_path / "s", content_of(FURTHER))


def test_the_best_trial_has_its_metrics_in_lines_of_the_terminals_width(results: Results) -> None:
    lines = show(lambda console: render_report(results, console)).splitlines()
    first = lines.index("best        lr=0.01")
    assert lines[first + 1 : first + 5] == [
        "            val_macro_f1 0.8000, loss 0.5000, accuracy 0.8100, val_loss 0.6000,",
        "            val_accuracy 0.8000, val_balanced_accuracy 0.8000,",
        "            val_f1[a b] 0.8000, val_kappa 0.8000, val_auroc 0.8000,",
        "            val_nll 0.8000 in epoch 3 of 3",
    ]


def test_without_held_out_images_training_metrics_take_their_place(tmp_path: Path) -> None:
    results = load(tmp_path / "s", content_of(["macro_f1", "kappa"], is_held_out=False))
    text = show(lambda console: render_report(results, console))
    assert "            macro_f1 0.8100, loss 0.5000, accuracy 0.8100, kappa 0.8100\n" not in text
    assert "            macro_f1 0.8100, loss 0.5000, accuracy 0.8100,\n            kappa 0.8100 in epoch 3" in text
    assert "validation" not in show(lambda console: render_run(results, "run-1", console)).partition("by epoch")[0]


@pytest.mark.parametrize(
    ("width", "header"),
    [
        (60, "   #     lr  epoch  val loss  val acc  val macro_f1 ↑  curve"),
        (80, "   #     lr  epoch    loss     acc  val loss  val acc  val macro_f1 ↑  curve"),
        (
            100,
            "   #     lr  epoch    loss     acc  val loss  val acc  val balanced_accuracy  val macro_f1 ↑  curve",
        ),
    ],
)
def test_further_training_metrics_are_the_first_columns_to_go(results: Results, width: int, header: str) -> None:
    lines = show(lambda console: render_report(results, console), width).splitlines()
    assert next(line for line in lines if line.startswith("   #")) == header


def test_a_terminal_shows_few_curves_and_says_where_the_others_are(results: Results) -> None:
    text = show(lambda console: render_report(results, console))
    assert [line.split()[0] for line in text.splitlines() if line.endswith("by epoch")] == [
        *(MACRO, "val_accuracy", "val_loss", "val_balanced_accuracy")
    ]
    assert text.endswith("4 more metrics by epoch: TensorBoard, --html and --figures show all\n")


def test_the_view_of_a_run_has_every_metric_of_its_best_epoch(results: Results) -> None:
    lines = show(lambda console: render_run(results, "run-1", console)).splitlines()
    first = lines.index("metrics of epoch 3  training  validation")
    assert lines[first + 1 : first + 9] == [
        "loss                  0.5000      0.6000",
        "accuracy              0.8100      0.8000",
        "balanced_accuracy     0.8100      0.8000",
        "macro_f1              0.8100      0.8000",
        "f1[a b]               0.8100      0.8000",
        "kappa                 0.8100      0.8000",
        "auroc                      –      0.8000",
        "nll                   0.8100      0.8000",
    ]
    assert "macro_f1 by epoch (t training, v validation)" in lines[first + 10]
    assert "metrics of epoch" not in show(lambda console: render_run(plain(results), "run-1", console))


def test_the_view_of_a_run_has_the_values_of_a_constant_answer(tmp_path: Path) -> None:
    content = content_of(["macro_f1", "kappa"])
    content["sweep"]["baselines"] = {"val_accuracy": 0.25, "val_macro_f1": 0.1}
    lines = show(lambda console: render_run(load(tmp_path / "s", content), "run-1", console)).splitlines()
    first = lines.index("metrics of epoch 3  training  validation  constant answer")
    assert lines[first + 1 : first + 5] == [
        "loss                  0.5000      0.6000                –",
        "accuracy              0.8100      0.8000           0.2500",
        "macro_f1              0.8100      0.8000           0.1000",
        "kappa                 0.8100      0.8000                –",
    ]


def plain(results: Results) -> Results:
    return load(results.folder, make_content({"lr": [0.01, 0.001]}))


def test_a_metric_of_validation_images_alone_has_a_curve_of_these(tmp_path: Path) -> None:
    results = load(tmp_path / "s", content_of(["auroc", "macro_f1"]))
    assert "auroc by epoch (validation)" in show(lambda console: render_run(results, "run-1", console))


def test_the_deciding_metric_of_training_images_stays_beside_that_of_held_out_images() -> None:
    columns = ["loss", "val_loss", "kappa", "val_kappa", "mcc", "val_mcc", "nll"]
    assert in_a_line(columns, "mcc") == ["mcc", "loss", "val_loss", "val_kappa", "val_mcc", "nll"]


def test_a_name_without_prefix_means_the_held_out_images_except_for_loss_and_accuracy() -> None:
    recorded = ["loss", "accuracy", "val_loss", "val_accuracy", "kappa", "val_kappa", "val_auroc"]
    meant = {name: meant_column(name, recorded, recorded) for name in ("loss", "accuracy", "kappa", "auroc", "mcc")}
    assert meant == {
        **{"loss": "loss", "accuracy": "accuracy"},
        **{"kappa": "val_kappa", "auroc": "val_auroc", "mcc": None},
    }
    assert meant_column("kappa", recorded, ["loss", "kappa"]) == "kappa"  # nothing is held out
