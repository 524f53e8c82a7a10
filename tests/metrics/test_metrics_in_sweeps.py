"""Metrics of a sweep file, from the key `metric` to tables, options, searches and pruners."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from small_sweeps import SEARCH, SMALL, SilentDisplay, sweep, tables
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from cnnsweep import api
from cnnsweep.cli.app import app
from cnnsweep.config.load import dump_spec, parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.datasets.load import load_dataset
from cnnsweep.errors import SpecError, UsageError
from cnnsweep.storage.state import read_state
from cnnsweep.training.data_module import DataModule
from cnnsweep.training.memory_estimate import run_bytes
from cnnsweep.training.metric_sums import MetricSums, Predictions, gathered_images
from cnnsweep.types import Choice, LabelCounts

HALF = "validation=0.5"
ODD_CLASSES = ["a b", "x/y", "tr[u]ck", "größe: ü", "<b>q</b>", "top_5"]
DATA = f"""
import torch

def load():
    labels = torch.arange(120) % 6
    images = torch.rand(120, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    images[torch.arange(120), 0, labels] += 1
    return (images / 2, labels), (images[:60] / 2, labels[:60]), {ODD_CLASSES!r}

def without_trucks():
    (images, labels), test, names = load()
    labels[labels == 2] = 0
    return (images, labels), test, names

def of_one_class():
    (images, labels), test, names = load()
    return (images, labels * 0), test, names
"""
FUNCTIONS = """
from cnnsweep.metrics.accuracy import Accuracy
from sklearn.metrics import f1_score, log_loss

def cost(probabilities, labels, *, missed=1.0):
    return missed * log_loss(labels.numpy(), probabilities.numpy(), labels=range(probabilities.shape[1]))

cost.greater_is_better = False

def f1s(probabilities, labels, average="macro"):
    return f1_score(labels, probabilities.argmax(1), average=average)

def text(probabilities, labels):
    return "x"

def two(probabilities, labels):
    return probabilities[:, 0]

def nan(probabilities, labels):
    return float("nan")

def raises(probabilities, labels):
    first = probabilities[:, 99]
    return first

def alone(probabilities):
    return 1.0

def wrong_way(probabilities, labels):
    return 1.0

setattr(wrong_way, "greater_is_better", False)

class Share(Accuracy):
    missed: float = 1.0
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(FUNCTIONS)
    (tmp_path / "data.py").write_text(DATA)
    return tmp_path


def columns_of(folder: Path) -> list[str]:
    return [name for name in pd.read_csv(folder / "results.csv") if not name.endswith("duration")][2:]


STANDARD = ["loss", "accuracy", "val_loss", "val_accuracy"]


def test_the_deciding_metric_is_recorded_on_its_own(tmp_path: Path) -> None:
    sweep(tmp_path / "s", overrides=["metric=macro_f1", HALF])
    history = read_state(tmp_path / "s" / "journal.jsonl")
    assert (history.objective.metric, history.objective.mode) == ("val_macro_f1", "max")
    assert history.metrics == (*STANDARD, "macro_f1", "val_macro_f1")
    best = {run["run"]: run["val_macro_f1"] for run in tables(tmp_path / "s")["runs"]}
    rows = pd.read_csv(tmp_path / "s" / "results.csv")
    assert best == pytest.approx(rows.groupby("run")["val_macro_f1"].max().to_dict())
    assert best[tables(tmp_path / "s")["sweep"]["best"]] == max(best.values())


def test_scores_have_a_column_on_the_measured_images_alone(tmp_path: Path) -> None:
    names = "metrics=[auroc, ece]"
    sweep(tmp_path / "held", overrides=[names, HALF])
    assert columns_of(tmp_path / "held")[:7] == [*STANDARD, "val_auroc", "ece", "val_ece"]
    sweep(tmp_path / "all", overrides=[names, "metric=auroc", "validation=0"])
    assert columns_of(tmp_path / "all")[:7] == [*STANDARD, "auroc", "ece", "val_ece"]
    assert pd.read_csv(tmp_path / "all" / "results.csv")["auroc"].between(0, 1).all()
    assert api.load(tmp_path / "all").best.metrics["auroc"] > 0.3


def load(text: str, own: Path) -> DataModule:
    spec = parse_sweep(text, "sweep.yaml", folder=own)
    return DataModule.load(spec, load_dataset(spec.dataset_choice, own), torch.device("cpu"))


@pytest.mark.parametrize(
    ("written", "metric", "mode"),
    [
        ("recall[square]", "val_recall[square]", "max"),
        ("val_f1[square]", "val_f1[square]", "max"),
        ("ece", "val_ece", "min"),
        ("top_2", "val_top_2", "max"),
        ("{name: top_k, k: 2}", "val_top_2", "max"),
        ("accuracy", "accuracy", "max"),
        ("loss", "loss", "min"),
        ("OWN:cost", "val_cost", "min"),
        ("OWN:f1s", "val_f1s", "max"),
        ("{name: 'OWN:cost', missed: 2}", "val_cost", "min"),
    ],
)
def test_a_name_becomes_a_column_and_a_direction(own: Path, written: str, metric: str, mode: str) -> None:
    written = written.replace("OWN", str(own / "own.py"))
    spec = parse_sweep(f"{SMALL}metric: {written}\n", "s", folder=own)
    assert (spec.metric, spec.mode) == (metric, mode)
    assert parse_sweep(dump_spec(spec), "frozen") == spec


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("metric: macro_f2", "metric: unknown 'macro_f2'; did you mean 'macro_f1'?"),
        ("metric: auc", "did you mean 'auroc'?"),
        ("metric: recall", "of one class: write recall[truck], or macro_recall"),
        ("metrics: [f1]", "of one class: write f1[truck], or macro_f1"),
        ("metric: top_0", "found 0, allowed is a whole number from 1"),
        ("metric: top_3", "top_3 cannot be computed: there are only 3 classes"),
        ("metrics: [val_auroc]", "found 'val_auroc'; write auroc"),
        ("metric: val_auroc\nvalidation: 0", "nothing is held out; allowed are accuracy and loss and auroc"),
        ("metric: [auroc]", "found a list, allowed is one of val_accuracy"),
        ("metrics: [top_0]", "allowed is a whole number from 1 to"),
        ("metrics: [top_05]", "metrics: unknown 'top_05'; did you mean 'top_5'?"),
        ("metric: {name: top_3}", "found 'top_3'; write it without a mapping, or as {name: top_k, k: 3}"),
        ("metric: 'recall[]'", "metric: found 'recall[]'; of one class is recall[class]"),
        ("metric: 'val_Recall[0]'", "metric: found 'Recall[0]'; of one class is recall[class]"),
        ("metrics: ['kappa[0]']", "found 'kappa[0]'; of one class are f1[class], precision[class], recall[class]"),
        ("metric: val_val_f1", "metric: unknown 'val_val_f1'; did you mean 'val_macro_f1'?"),
        ("metric: null", "metric: found nothing, allowed is one of val_accuracy"),
        ("metric: [kappa]", "metric: found a list, allowed is one of val_accuracy"),
        ("metric: {name: recall}", "metric.of_class: missing; add for example `of_class: truck`"),
        ("metrics: [top_3, {name: top_k, k: 3}]", "'top_3' is there twice"),
        ("metrics: [loss]", "metrics: loss is recorded anyway; leave it out"),
        ("metrics: [mAP]", "metrics: unknown 'mAP'; did you mean 'average_precision'?"),
        ("metrics: [log_loss]", "metrics: unknown 'log_loss'; did you mean 'nll'?"),
        ("params: {loss: nll}", "unknown 'nll'; did you mean 'cross_entropy'?"),
        ("metric: own.py:none", "'none'"),
        ("metric: {name: own.py:cost, mised: 2}", "metric.mised: unknown key; did you mean 'missed'?"),
        ("metrics: [own.py:cost]\nmetric: {name: own.py:cost, missed: 2}", "'cost' is among `metrics` too"),
        ("metrics: [other.py:ece]", "is the name of a built-in metric"),
        ('metrics: ["recall[a\\tb]"]', "cannot be one"),
    ],
)
def test_mistakes_are_told_with_their_places(own: Path, keys: str, message: str) -> None:
    (own / "other.py").write_text("def ece(probabilities, labels): return 0.5\n")
    with pytest.raises((SpecError, UsageError)) as error:
        load(f"{SMALL}{keys}\n", own)
    assert message in str(error.value)


ODD = """
name: odd
dataset: data.py:load
model: {name: cnn, channels: [4], kernel_size: 3, hidden: []}
params: {lr: [0.1, 0.01], batch_size: 16, epochs: 2}
tensorboard: {graph: false}
"""


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            "metric: recall[tr[o]ck]",
            "sweep.yaml:7:9  metric: recall[tr[o]ck] names the unknown class 'tr[o]ck'; did you",
        ),
        ("metrics: ['f1[q]']", "sweep.yaml:7:11  metrics: f1[q] names the unknown class 'q'; the data set has 'a b', "),
        ("metric: top_6", "sweep.yaml:7:9  metric: top_6 cannot be computed on the held-out images: there are only 6"),
    ],
)
def test_what_only_the_data_show_is_told_with_its_place_too(own: Path, keys: str, message: str) -> None:
    with pytest.raises(SpecError) as error:
        load(f"{ODD}{keys}\n", own)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("data", "metric", "reason"),
    [
        ("without_trucks", "recall[tr[u]ck]", "no image is of class 'tr[u]ck'"),
        ("of_one_class", "auroc", "all images are of class 'a b'"),
        ("of_one_class", "kappa", "all images are of class 'a b'"),
    ],
)
def test_a_metric_without_images_is_an_error_or_an_empty_column(own: Path, data: str, metric: str, reason: str) -> None:
    text = ODD.replace("data.py:load", f"{own / 'data.py'}:{data}") + "validation: {folds: 2}\n"
    with pytest.raises(UsageError, match="of fold 0, 1: ") as error:
        sweep(own / "s", f"{text}metric: {metric}\n")
    assert reason in str(error.value)
    display = SilentDisplay()
    sweep(own / "s", f'{text}metrics: ["{metric}", macro_f1]\n', display)
    assert [reason in message for message in display.messages if "stays empty" in message] == [True]
    assert {record[f"val_{metric}"] for record in display.records} == {None}
    assert all(record["val_macro_f1"] is not None for record in display.records)


def command(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "250"})
    assert result.exit_code == 0, result.output
    return result.output


def test_classes_may_have_any_name(own: Path) -> None:
    names = [f"{kind}[{name}]" for kind, name in zip(["f1", "recall", "precision"] * 2, ODD_CLASSES, strict=True)]
    text = ODD.replace("data.py", str(own / "data.py")) + f"metrics: {json.dumps(names)}\nvalidation: 0.5\n"
    for folder in ("a", "b"):
        sweep(own / folder, f'{text}metric: "f1[<b>q</b>]"\n'.replace("f1[<b>", "recall[<b>"))
    recorded = [column for name in names for column in (name, f"val_{name}")]
    assert columns_of(own / "a")[4:16] == recorded
    assert [run for run in tables(own / "a")["runs"] if not set(recorded) <= set(run)] == []
    board = EventAccumulator(str(own / "a" / tables(own / "a")["sweep"]["best"])).Reload()
    assert {f"epoch/{name}" for name in recorded} <= set(board.Tags()["scalars"])
    assert "val_f1[a b]" in api.load(own / "a").runs.columns
    for name in names:
        assert name in command("report", own / "a", "--sort", f"val_{name}", "--format", "csv").replace('""', '"')
        for written in (name, f"val_{name}"):
            metric = json.loads(command("compare", own / "a", own / "b", "--metric", written, "--json"))["metric"]
            assert metric == f"val_{name}"
    assert "val f1[a b]" in command("report", own / "a", "--sort", "f1[a b]")
    page = own / "page.html"
    command("report", own / "a", "--html", page)
    assert "recall[&lt;b&gt;q&lt;/b&gt;]" in page.read_text()
    assert "<b>q" not in page.read_text()
    found = json.loads(command("evaluate", own / "a", "--json", "--allow-code"))
    assert "tr[u]ck" in json.dumps(found, ensure_ascii=False)


@pytest.mark.parametrize(("metric", "mode"), [("macro_f1", "max"), ("ece", "min")])
def test_searches_and_pruners_follow_it(tmp_path: Path, metric: str, mode: str) -> None:
    sweep(tmp_path / "s", SEARCH, overrides=[f"metric={metric}", "validation=0.5", "seeds=2"])
    history = read_state(tmp_path / "s" / "journal.jsonl")
    assert history.objective.mode == mode
    by_trial: dict[str, list[float]] = {}
    for run in history.runs.values():
        by_trial.setdefault(run.trial_id, []).append(run.records[0][f"val_{metric}"] or 0.0)
    rung = [decision for (_, epoch), decision in history.decisions.items() if epoch == 1]
    assert rung
    for decision in rung:
        assert decision.value == pytest.approx(sum(by_trial[decision.trial_id]) / 2)
        beaten = decision.value < decision.threshold if mode == "max" else decision.value > decision.threshold
        assert decision.stops or not beaten
    report = command("report", tmp_path / "s")
    assert f"val {metric} {'↑' if mode == 'max' else '↓'}" in report


def test_functions_are_measured_like_built_in_metrics(own: Path) -> None:
    names = [f"{own}/own.py:cost", f"{own}/own.py:f1s"]
    display = SilentDisplay()
    chosen = [f"metrics={json.dumps([*names, 'nll', 'macro_f1'])}", f"metric={names[0]}", HALF]
    for folder, fuse in (("alone", "off"), ("fused", 2)):
        sweep(own / folder, display=display, overrides=[*chosen, "precision=fp64"], fuse=fuse)
    for record in display.records:
        assert record["val_cost"] == pytest.approx(record["val_nll"], rel=1e-6)
        assert record["val_f1s"] == pytest.approx(record["val_macro_f1"], abs=1e-9)
        assert "cost" not in record.metrics
    rows = [pd.read_csv(own / folder / "results.csv")["val_cost"] for folder in ("alone", "fused")]
    pd.testing.assert_series_equal(*rows, rtol=1e-9)
    history = read_state(own / "alone" / "journal.jsonl")
    assert (history.objective.metric, history.objective.mode) == ("val_cost", "min")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("text", "own.py:{text}: returned 'x' (str), allowed is one number"),
        ("two", "own.py:{two}: returned tensor("),
        (
            "nan",
            "own.py:{nan}: returned nan for random probabilities of 30 measured images, allowed is a finite number",
        ),
        ("raises", "own.py:{99}: raised IndexError: index 99"),
        ("alone", "own.py:{alone}: found alone(probabilities), allowed is alone(probabilities, labels, ...)"),
        (
            "wrong_way",
            "own.py:{wrong_way}: its attribute greater_is_better is False, which the source does not show; write `mo",
        ),
    ],
)
def test_functions_that_cannot_be_used_are_refused_before_training(own: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        sweep(own / "s", overrides=[f"metric={own}/own.py:{name}", HALF])
    place, _, rest = message.partition("}")
    words = place.partition("{")[2]
    line = next(n for n, text in enumerate(FUNCTIONS.splitlines(), 1) if f"{words}(" in text or f"{words}]" in text)
    assert f"own.py:{line}{rest}" in str(error.value)
    assert not (own / "s" / "results.json").exists()


def test_a_slow_function_is_named_before_training(own: Path) -> None:
    (own / "own.py").write_text(
        f"import time\n{FUNCTIONS}\ndef slow(likely, labels):\n    time.sleep(0.3)\n    return 1\n"
    )
    keys = "metrics: [own.py:slow, own.py:f1s, kappa]\nvalidation: 0.5\n"
    (line,) = load(SMALL + keys, own).metric_warnings(parse_sweep(SMALL + keys, "s", folder=own))
    assert re.fullmatch(
        r"metric slow: takes 0\.\d s for \d+ images, and is called for every run after every epoch", line
    )


def ids(own: Path, keys: str) -> list[str]:
    return [run.id for run in expand_runs(parse_sweep(f"{SMALL}{keys}\n", "s", folder=own), 100).runs]


@pytest.mark.parametrize("one", ["cost", "Share"], ids=["function", "class"])
def test_code_that_decides_is_part_of_a_runs_identity(own: Path, one: str) -> None:
    decides, recorded = f"metric: own.py:{one}", f"metrics: [own.py:{one}]"
    before = {keys: ids(own, keys) for keys in (decides, f"{recorded}\nmetric: val_{one}", recorded, "")}
    assert before[recorded] == before[""]
    assert before[decides] == before[f"{recorded}\nmetric: val_{one}"]
    assert before[decides] != ids(own, f"metric: {{name: own.py:{one}, missed: 2}}")
    (own / "own.py").write_text(FUNCTIONS + "\n# edited\n")
    assert ids(own, decides) != before[decides]
    assert ids(own, recorded) == before[""]


def test_a_resume_after_an_edit_says_so(own: Path) -> None:
    chosen = [f"metrics=['{own}/own.py:cost']", HALF]
    sweep(own / "s", overrides=chosen)
    (own / "own.py").write_text(FUNCTIONS + "\n# edited\n")
    display = SilentDisplay()
    sweep(own / "s", display=display, overrides=chosen)
    assert display.records == []
    assert "metrics: the code of cost changed since the last time; measured epochs stay" in display.messages


def test_a_resume_after_an_edit_of_the_deciding_metric_trains_again(own: Path) -> None:
    chosen = [f"metric={own}/own.py:cost", HALF]
    sweep(own / "s", overrides=chosen)
    (own / "own.py").write_text(FUNCTIONS + "\n# edited\n")
    display = SilentDisplay()
    sweep(own / "s", display=display, overrides=chosen)
    assert len(display.records) == 4
    assert (
        "metrics: the code of cost changed since the last time; it decides, so all runs train again" in display.messages
    )


def test_predictions_are_gathered_before_metrics_are_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnsweep.metrics.confusion import ConfusionMetric

    sizes: list[tuple[int, ...]] = []
    update = ConfusionMetric.update

    def counted(self: ConfusionMetric, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(logits.shape[:2]))
        return update(self, logits, targets)

    monkeypatch.setattr(ConfusionMetric, "update", counted)
    limit = gathered_images(200)
    counts = LabelCounts(tuple(map(str, range(200))), (1,) * 200, 200)
    for runs in (1, 3):
        sums = MetricSums([Choice("macro_f1"), Choice("kappa"), Choice("recall", {"of_class": "7"})], counts)
        for _ in range(limit // 100 + 3):
            sums.add(Predictions(torch.randn(runs, 100, 200), torch.zeros(runs, 100, dtype=torch.int64)))
        sums.values([0.0] * runs, 100 * (limit // 100 + 3))
        whole = limit // 100 * 100
        assert sizes == [(runs, whole), (runs, (limit // 100 + 3) * 100 - whole)]  # one matrix for three metrics
        sizes.clear()


def test_the_memory_of_held_out_scores_is_counted(tmp_path: Path) -> None:
    def needed(keys: str) -> int:
        spec = parse_sweep(f"{SMALL}validation: 0.5\n{keys}\n", "s")
        task = DataModule.load(spec, load_dataset(spec.dataset_choice, tmp_path), torch.device("cpu"))
        return run_bytes(expand_runs(spec, 10).runs[0], task)

    assert needed("metrics: [auroc]") - needed("") == 2 * 4 * 30 * 3
    assert needed("metrics: [auroc, average_precision, kappa]") - needed("metrics: [auroc]") == 2 * 8 * 9


def facts_of_metrics(folder: Path) -> Any:
    return tables(folder)["sweep"]["metrics"]


def test_only_unusual_images_are_noted_in_the_journal(tmp_path: Path) -> None:
    sweep(tmp_path / "s", overrides=["metrics=[auroc, kappa]", HALF])
    assert facts_of_metrics(tmp_path / "s") == [
        {"name": "auroc", "label": "auroc", "greater_is_better": True, "on_training": False},
        {"name": "kappa", "label": "kappa", "greater_is_better": True},
    ]
