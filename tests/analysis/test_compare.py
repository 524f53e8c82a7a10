"""Sweeps beside each other: what is ranked, shared, different, and what is said where something is missing."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from results_by_hand import Content, fail_run, load, make_content, make_replicates, show
from scipy import stats

from cnnsweep.analysis.compare import Comparison, compare_sweeps
from cnnsweep.analysis.compare_differences import UNKNOWN_FACT
from cnnsweep.analysis.compare_sources import letters, load_sources
from cnnsweep.errors import ResultsError, UsageError
from cnnsweep.formatting.numbers import UNKNOWN
from cnnsweep.report.compare_json import compare_to_json
from cnnsweep.report.compare_table import render_comparison
from cnnsweep.storage.journal import Journal

SPEC = """\
name: {name}
dataset: {{name: fashion_mnist, normalize: standard}}
model: {model}
seed: 0
seeds: [0, 1, 2]
validation: 0.1
metric: val_accuracy
mode: max
scope: best
device: auto
precision: fp32
tensorboard: {{batch_loss: false}}
params:
  lr: {lr}
  optimizer: adam
  epochs: 2
  # shuffle: true (default)
  # beta1: 0.9 (default)
  # eps: 1.0e-08 (default)
"""
BETTER, CLOSE, WORSE = [0.91, 0.92, 0.93], [0.909, 0.921, 0.928], [0.80, 0.811, 0.819]


def put(
    folder: Path, content: Content, data: str | None = "d" * 64, spec: str | None = None, **environment: Any
) -> Path:
    """Write a sweep's folder: its results, and beside them what a sweep leaves there."""
    load(folder, content)
    if data is not None:
        about = {
            "python": "3.11.7", "packages": {"cnnsweep": "0.1.0", "torch": "2.15.0"}, "processor": "AMD EPYC",
            "git": {"commit": "0123456789abcdef", "modified": False}, "data_sha256": data, **environment,
        }  # fmt: skip
        (folder / "environment.json").write_text(json.dumps(about))
    if spec is not None:
        (folder / "sweep.yaml").write_text(spec)
    return folder


def frozen(name: str, lr: str, model: str = "lenet") -> str:
    return SPEC.format(name=name, lr=lr, model=model)


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """A has lr 0.01 and 0.001, B has 0.01 (nearly as good as in A) and 0.1, all with three seeds."""
    first = make_replicates({"lr": [0.01, 0.001]}, {1: BETTER, 2: WORSE})
    second = make_replicates({"lr": [0.01, 0.1]}, {1: CLOSE, 2: WORSE})
    return [
        put(tmp_path / "one", first, spec=frozen("one", "[0.01, 0.001]")),
        put(tmp_path / "two", second, spec=frozen("two", "[0.01, 0.1]")),
    ]


def table(comparison: Comparison, width: int = 100, top: int | None = None) -> str:
    return show(lambda console: render_comparison(comparison, console, top), width)


def distinctions(comparison: Comparison) -> dict[str, list[Any]]:
    return {one.name: list(one.values.values()) for one in comparison.distinctions}


def ranks(comparison: Comparison) -> list[tuple[Any, ...]]:
    return [(one.trial.place, one.source.letter, one.values.get("lr"), one.trial.tied) for one in comparison.trials]


def test_settings_of_both_are_ranked_together(two):
    found = compare_sweeps(two)
    assert ranks(found)[:2] == [(1, "A", 0.01, True), (2, "B", 0.01, True)]
    assert sorted(ranks(found)[2:]) == [(3, "A", 0.001, False), (4, "B", 0.1, False)]
    assert found.axes == ("lr",)
    assert found.warnings == ()
    assert found.trials[0].trial.estimate.mean == pytest.approx(fmean(BETTER))


def test_shared_setting_is_compared_in_pairs_over_equal_seeds(two):
    (shared,) = compare_sweeps(two).shared
    interval = stats.ttest_rel(CLOSE, BETTER).confidence_interval(0.95)
    assert (shared.first.source.letter, shared.second.source.letter) == ("A", "B")
    assert shared.difference.mean == pytest.approx(fmean(CLOSE) - fmean(BETTER))
    assert (shared.difference.low, shared.difference.high) == pytest.approx((interval.low, interval.high))
    assert (shared.difference.pairs, shared.are_identical) == (3, False)


def test_shared_folds_are_compared_in_pairs_with_a_wider_interval(tmp_path):
    first, second = (make_replicates({"lr": [0.01]}, {1: figures}, folds=3) for figures in (BETTER, CLOSE))
    (shared,) = compare_sweeps([put(tmp_path / "one", first), put(tmp_path / "two", second)]).shared
    gains = [b - a for a, b in zip(BETTER, CLOSE, strict=True)]
    error = stdev(gains) * math.sqrt(1 / 3 + 1 / 2)  # Nadeau and Bengio: a fold is half as large as what it trains on
    expected = stats.t.interval(0.95, 2, loc=fmean(gains), scale=error)
    assert shared.difference.pairs == 3
    assert (shared.difference.low, shared.difference.high) == pytest.approx(expected)


@pytest.mark.parametrize("change", ["data", "seed", "validation", "no data", "folds"])
def test_other_images_are_said_and_not_paired(two, tmp_path, change):
    content = json.loads((two[1] / "results.json").read_text())
    if change in ("seed", "validation"):
        content["sweep"][change] = {"seed": 7, "validation": 0.2}[change]
    if change == "folds":
        content["sweep"]["folds"] = 3
    data = {"data": "e" * 64, "no data": None}.get(change, "d" * 64)
    other = put(tmp_path / "other", content, data=data)
    found = compare_sweeps([two[0], other])
    (shared,) = found.shared
    assert shared.difference.pairs is None
    assert shared.are_identical is False
    words = "may differ (no hash of B)" if change == "no data" else "not measured on the same validation images"
    assert len(found.warnings) == 1
    assert words in found.warnings[0]
    assert "mislead" in found.warnings[0]
    if change != "folds":  # its intervals are wider, for folds that share training images
        interval = stats.ttest_ind(CLOSE, BETTER, equal_var=False).confidence_interval(0.95)
        assert (shared.difference.low, shared.difference.high) == pytest.approx((interval.low, interval.high))


def test_pairs_decide_what_is_tied(tmp_path, two):
    """A lead that is small but the same for every seed counts, where seeds saw the same images, and only there."""
    small = [figure - 0.001 for figure in BETTER]
    content = make_replicates({"lr": [0.01]}, {1: [*small[:2], small[2] - 0.0001]})
    same, other = put(tmp_path / "same", content), put(tmp_path / "elsewhere", content, data="e" * 64)
    assert [one.trial.tied for one in compare_sweeps([two[0], same]).trials][:2] == [True, False]
    assert [one.trial.tied for one in compare_sweeps([two[0], other]).trials][:2] == [True, True]


def test_equal_figures_are_said_to_be_identical(two, tmp_path):
    copy = put(tmp_path / "copy", json.loads((two[0] / "results.json").read_text()), torch="x",
               packages={"cnnsweep": "0.1.0", "torch": "2.16.0"}, spec=frozen("one", "[0.01, 0.001]"))  # fmt: skip
    found = compare_sweeps([two[0], copy])
    assert [one.are_identical for one in found.shared] == [True, True]
    assert distinctions(found) == {"torch": ["2.15.0", "2.16.0"]}
    text = table(found)
    assert "equal in 2" in text
    assert "Metrics are identical to the last bit in 2." in " ".join(text.split())
    assert "torch  2.15.0 → 2.16.0" in text


def test_what_differs_is_listed_by_key(two, tmp_path):
    content = make_content({"lr": [0.01]})
    content["sweep"].update(device="cuda", threads=None, precision="bf16")
    spec = frozen("three", "0.01", model="resnet18").replace("normalize: standard", "normalize: none")
    spec = spec.replace("# shuffle: true (default)", "shuffle: false")
    content["sweep"]["model"] = "resnet18"
    third = put(tmp_path / "three", content, spec=spec, git=None)
    found = distinctions(compare_sweeps([two[0], third]))
    assert found == {
        "model": ["lenet", "resnet18"],
        "seeds": [[0, 1, 2], [0]],
        "precision": ["fp32", "bf16"],
        "device": ["cpu", "cuda"],
        "threads": [2, None],
        "git commit": ["0123456789", "no repository"],
        "dataset.normalize": ["standard", "none"],
        "lr": [[0.01, 0.001], 0.01],
        "shuffle": [True, False],
    }
    assert "dataset.normalize  standard → none" in table(compare_sweeps([two[0], third]))


def test_defaults_count_where_they_changed_but_not_where_an_optimizer_has_none(tmp_path):
    text = frozen("one", "0.01")
    other = text.replace("# shuffle: true", "# shuffle: false").replace("  # eps: 1.0e-08 (default)\n", "")
    one = put(tmp_path / "a", make_content({"lr": [0.01]}), spec=text)
    found = compare_sweeps([one, put(tmp_path / "b", make_content({"lr": [0.01]}), spec=other)])
    assert distinctions(found) == {"shuffle": [True, False]}


def test_nothing_is_shared_by_different_models(two, tmp_path):
    content = make_replicates({"lr": [0.01, 0.1]}, {1: CLOSE, 2: WORSE})
    wide = put(tmp_path / "wide", content, spec=frozen("wide", "0.01", model="{name: lenet, width: 8}"))
    found = compare_sweeps([two[0], wide])
    assert found.shared == ()
    assert found.axes == ("model.width", "lr")
    assert "No two sweeps share a trial." in table(found)


def test_models_may_vary_within_a_sweep(tmp_path, two):
    content = make_content({"lr": [0.01, 0.001], "model": ["lenet", {"name": "cnn", "channels": [4, 8]}]}, epochs=2)
    content["sweep"]["model"] = ""
    spec = frozen("models", "[0.01, 0.001]").replace("model: lenet\n", "")
    spec = spec.replace("  optimizer", "  model: [lenet, {name: cnn, channels: [4, 8]}]\n  optimizer")
    found = compare_sweeps([two[0], put(tmp_path / "models", content, spec=spec)])
    assert found.axes == ("model", "model.channels", "lr")
    assert sorted(one.first.values["lr"] for one in found.shared) == [0.001, 0.01]
    assert distinctions(found)["model"] == ["lenet", ["lenet", {"name": "cnn", "channels": [4, 8]}]]
    assert "model.channels" not in distinctions(found)
    assert "fashion  several models on fashion_mnist" in table(found)


def test_defaults_stand_where_a_sweep_has_no_such_column(tmp_path, two):
    """B varies what A leaves to its default, so A's value is known and the trial is the same."""
    content = make_replicates({"lr": [0.01], "shuffle": [True, False]}, {1: CLOSE, 2: WORSE})
    spec = frozen("b", "0.01").replace("# shuffle: true (default)", "shuffle: [true, false]")
    found = compare_sweeps([two[0], put(tmp_path / "b", content, spec=spec)])
    assert [one.values.get("shuffle") for one in found.trials if one.source.letter == "A"] == [True, True]
    assert [one.first.values["shuffle"] for one in found.shared] == [True]


def test_unknown_defaults_are_not_guessed(tmp_path):
    first = put(tmp_path / "a", make_content({"lr": [0.01]}))
    second = put(tmp_path / "b", make_content({"lr": [0.01], "shuffle": [True, False]}))
    found = compare_sweeps([first, second])
    assert found.axes == ("shuffle",)
    assert found.shared == ()
    (row,) = [line for line in table(found).splitlines() if line[:12].split()[-1:] == ["A"]]
    assert UNKNOWN in row


def test_hyperparameters_that_an_optimizer_has_no_use_for_are_left_out(tmp_path, two):
    content = make_replicates({"lr": [0.01], "momentum": [0.9]}, {1: CLOSE})
    for run in content["runs"]:
        run["optimizer"] = "sgd"
    found = compare_sweeps([two[0], put(tmp_path / "sgd", content)])
    values = {one.source.letter: one.values for one in found.trials}
    assert values["B"]["momentum"] == 0.9
    assert "momentum" not in values["A"]


def test_defaults_are_those_of_the_setting_s_own_optimizer(tmp_path):
    spec = frozen("a", "0.01").replace("optimizer: adam", "optimizer: [adam, sgd]")
    spec = spec.replace("  # beta1", "  # momentum: 0.0 (default)\n  # beta1")
    both, content = make_content({"lr": [0.01, 0.02]}), make_content({"momentum": [0.0, 0.9]})
    for run in (both["runs"][1], *content["runs"]):
        run["optimizer"] = "sgd"
    found = compare_sweeps([put(tmp_path / "a", both, spec=spec), put(tmp_path / "b", content)])
    values = {one.values["optimizer"]: one.values for one in found.trials if one.source.letter == "A"}
    assert "momentum" not in values["adam"]
    assert values["sgd"]["momentum"] == 0.0


def test_lower_losses_are_better(two, tmp_path):
    content = json.loads((two[0] / "results.json").read_text())
    for run in content["runs"]:
        run["val_loss"] -= 0.125 + 0.001 * (run["seed"] - 1)  # by scipy: half the interval is 0.002484
    found = compare_sweeps([two[0], put(tmp_path / "lower", content)], "val_loss")
    text = table(found)
    assert "B against A, 2 trials: better in 2, worse in 0; on average −0.1250." in " ".join(text.split())
    assert text.count("−0.1275 to −0.1225") == 2
    other_way = table(compare_sweeps([tmp_path / "lower", two[0]], "val_loss"))
    assert other_way.count("+0.1225 to +0.1275") == 2
    assert "better in 0, worse in 2" in other_way


def test_equal_numbers_are_equal_settings(tmp_path):
    first = put(tmp_path / "a", make_content({"weight_decay": [1, 0.5]}))
    second = put(tmp_path / "b", make_content({"weight_decay": [1.0, True]}))
    assert [one.first.values["weight_decay"] for one in compare_sweeps([first, second]).shared] == [1]


def test_metrics_that_differ_are_refused_and_one_may_be_given(two, tmp_path):
    content = json.loads((two[1] / "results.json").read_text())
    content["sweep"].update(metric="val_loss", mode="min")
    other = put(tmp_path / "other", content)
    with pytest.raises(UsageError) as caught:
        compare_sweeps([two[0], other])
    message = str(caught.value)
    assert f"A ({two[0]}) by val_accuracy, max, at the best epoch" in message
    assert f"B ({other}) by val_loss, min" in message
    assert "--metric val_accuracy" in message
    found = compare_sweeps([two[0], other], "val_accuracy")
    assert ranks(found)[0] == (1, "A", 0.01, True)
    assert any("A by val_accuracy" not in w and "B by val_loss" in w for w in found.warnings)
    by_loss = compare_sweeps([two[0], other], "val_loss")
    assert (by_loss.objective.metric, by_loss.objective.mode) == ("val_loss", "min")
    means = [one.trial.estimate.mean for one in by_loss.trials]
    assert means == sorted(means)
    with pytest.raises(UsageError, match="--metric: found 'f1', allowed are val_accuracy"):
        compare_sweeps([two[0], other], "f1")


def test_scopes_that_differ_are_refused_then_said(two, tmp_path):
    content = json.loads((two[1] / "results.json").read_text())
    content["sweep"]["scope"] = "mean of last 3"
    other = put(tmp_path / "other", content)
    with pytest.raises(UsageError, match="mean of last 3 epochs"):
        compare_sweeps([two[0], other])
    (warning,) = compare_sweeps([two[0], other], "val_accuracy").warnings
    assert "A at the best epoch and B mean of last 3 epochs" in warning


def test_training_figures_are_warned_about(two):
    assert any("Ranked by training metrics" in warning for warning in compare_sweeps(two, "accuracy").warnings)


def test_failed_settings_come_last_and_are_not_tied(two, tmp_path):
    content = make_replicates({"lr": [0.01, 0.1]}, {1: [0.99, 0.99, 0.99], 2: WORSE})
    fail_run(content, 1)
    found = compare_sweeps([two[0], put(tmp_path / "failed", content)])
    last = found.trials[-1]
    assert (last.source.letter, last.trial.failed, last.trial.tied, last.trial.place) == ("B", 1, None, 4)
    assert ranks(found)[0] == (1, "A", 0.01, True)
    text = table(found)
    assert "2 finished, 1 diverged" in text
    assert "come last" in text


def test_unfinished_and_empty_sweeps(two, tmp_path):
    running = make_replicates({"lr": [0.01]}, {1: CLOSE})
    running["sweep"]["status"] = "running"
    for run in running["runs"]:
        run["status"] = "running"
    running["runs"][2].update(status="waiting", val_accuracy=None, epochs_done=0)
    empty = make_content({"lr": [0.01]})
    empty.update(runs=[], epochs=[])
    empty["sweep"].update(status="interrupted", best=None, hyperparameters=[], axes=[])
    paths = [two[0], put(tmp_path / "running", running), put(tmp_path / "empty", empty)]
    found = compare_sweeps(paths)
    assert [len(one.figures) for one in found.trials if one.source.letter == "B"] == [2]
    assert found.warnings == (
        "B has no finished run: its metrics are from unfinished runs.",
        "C has no runs yet.",
    )
    text = table(found)
    assert "3 runs of 1 trial: 1 waiting, 2 running; the sweep is running" in text
    assert "0 runs; the sweep is interrupted" in text
    nothing = table(compare_sweeps([paths[2], put(tmp_path / "empty too", empty)]))
    assert "No run has a metric yet." in nothing


def test_three_sweeps_have_letters_and_differences_to_the_first(two, tmp_path):
    content = make_replicates({"lr": [0.01, 0.1]}, {1: WORSE, 2: BETTER})
    third = put(tmp_path / "three", content, data="e" * 64, spec=frozen("three", "[0.01, 0.1]"))
    found = compare_sweeps([*two, third])
    pairs = sorted((s.first.source.letter, s.second.source.letter, s.first.values["lr"]) for s in found.shared)
    assert pairs == [("A", "B", 0.01), ("A", "C", 0.01), ("B", "C", 0.1)]
    assert [s.difference.pairs for s in found.shared if s.second.source.letter == "C"] == [None, None]
    text = table(found)
    assert "B − A" in text
    assert "C − A" in text
    assert f"data SHA-256  A, B: {'d' * 12}…; C: {'e' * 12}…" in text
    assert "C against B, 1 trial: better in 1, worse in 0" in text


def test_the_table(two):
    lines = table(compare_sweeps(two), width=100).splitlines()
    start = next(n for n, line in enumerate(lines) if "sweep" in line and "val acc" in line)
    assert lines[start].split() == ["#", "sweep", "lr", "val", "acc", "↑", "95", "%", "runs"]
    assert lines[start + 2].split() == ["★", "1", "A", "0.01", "0.9200", "±", "0.0248", "3"]
    assert lines[start + 3].split()[:4] == ["≈", "2", "B", "0.01"]
    assert lines[start + 6].startswith("mean ± half its 95 % interval; ★ best mean, ≈ tied with it")


@pytest.mark.parametrize("width", [40, 60, 100, 160])
def test_no_line_is_wider_than_the_terminal(two, tmp_path, width):
    content = make_content({"lr": [0.01, 0.001], "weight_decay": [0.0, 0.1], "batch_size": [32, 64]})
    third = put(tmp_path / "three", content, spec=frozen("three", "[0.01, 0.001]", "{name: cnn, channels: [4, 8]}"))
    for line in table(compare_sweeps([*two, third]), width).splitlines():
        assert len(line) <= width


def test_top_cuts_both_tables_and_json(two):
    found = compare_sweeps(two)
    assert "… and 3 more: --top 0 shows all" in table(found, top=1)
    assert "more: --top" not in table(found, top=0)
    assert len(json.loads(compare_to_json(found, 1))["settings"]) == 1
    assert len(json.loads(compare_to_json(found, 0))["settings"]) == 4


def test_json_has_everything(two):
    found = compare_sweeps(two)
    content = json.loads(compare_to_json(found))
    assert (content["metric"], content["mode"], content["axes"]) == ("val_accuracy", "max", ["lr"])
    assert [sweep["sweep"] for sweep in content["sweeps"]] == ["A", "B"]
    assert content["sweeps"][0]["facts"]["data SHA-256"] == "d" * 64
    best = content["settings"][0]
    assert (best["place"], best["sweep"], best["settings"]["lr"], best["tied"]) == (1, "A", 0.01, True)
    assert best["mean"] == found.trials[0].trial.estimate.mean
    assert [run["val_accuracy"] for run in best["runs"]] == BETTER
    assert content["shared"][0]["difference"] == found.shared[0].difference.mean
    assert content["shared"][0]["pairs"] == 3
    assert content["differences"] == [
        {"name": "lr", "values": {"A": [0.01, 0.001], "B": [0.01, 0.1]}, "unknown": []},
    ]
    assert compare_to_json(found).isascii()


def test_same_sweep_twice_or_alone_is_refused(two):
    for again in (two[0], two[0] / "results.json", two[0] / ".." / "one"):
        with pytest.raises(UsageError, match="the same sweep is given twice"):
            compare_sweeps([two[0], two[1], again])
    for paths in ([], [two[0]]):
        with pytest.raises(UsageError, match="give two sweeps or more"):
            compare_sweeps(paths)
    with pytest.raises(ResultsError, match="no such file"):
        compare_sweeps([two[0], two[0] / "nowhere"])


def test_results_alone_are_compared_and_the_rest_is_said_to_be_missing(two, tmp_path):
    alone = put(tmp_path / "alone", make_replicates({"lr": [0.01, 0.1]}, {1: CLOSE, 2: WORSE}), data=None)
    found = compare_sweeps([two[0], alone])
    assert found.sources[1].missing == ("environment.json is missing", "sweep.yaml is missing")
    assert [one.first.values["lr"] for one in found.shared] == [0.01]  # by name and number of weights
    assert distinctions(found) == {}
    assert "B is incomplete: environment.json is missing; sweep.yaml is missing." in table(found)


def test_models_of_other_size_are_not_shared_where_files_are_missing(two, tmp_path):
    content = make_replicates({"lr": [0.01, 0.1]}, {1: CLOSE, 2: WORSE})
    for run in content["runs"]:
        run["parameters"] = 7
    assert compare_sweeps([two[0], put(tmp_path / "alone", content, data=None)]).shared == ()


def test_a_third_sweep_of_which_nothing_is_known(two, tmp_path):
    other = put(tmp_path / "x", make_content({"lr": [0.01]}), data="e" * 64, spec=frozen("x", "0.01"))
    alone = put(tmp_path / "alone", make_content({"lr": [0.01]}), data=None)
    found = distinctions(compare_sweeps([two[0], other, alone]))
    assert found["data SHA-256"] == ["d" * 64, "e" * 64, UNKNOWN_FACT]
    assert found["lr"] == [[0.01, 0.001], 0.01, UNKNOWN_FACT]
    assert "C: not known" in table(compare_sweeps([two[0], other, alone]))


def test_the_journal_stands_in_for_files_that_are_missing(two, tmp_path):
    folder = put(tmp_path / "journaled", make_replicates({"lr": [0.01]}, {1: CLOSE}), data=None)
    journal = Journal(folder / "journal.jsonl")
    journal.append({"event": "sweep", "fingerprint": "d" * 64, "spec": frozen("journaled", "0.02")})
    journal.append({"event": "run", "run": "x"})
    journal.close()
    found = compare_sweeps([two[0], folder])
    assert found.sources[1].fingerprint == "d" * 64
    assert found.shared[0].difference.pairs == 3
    assert distinctions(found)["lr"] == [[0.01, 0.001], 0.02]
    (folder / "journal.jsonl").write_bytes(b"{}\n{}\n")
    assert any("damaged" in words for words in compare_sweeps([two[0], folder]).sources[1].missing)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"packages": 3, "git": 4, "data_sha256": 5}', "\ud800"])
def test_damaged_files_beside_results_are_no_failure(two, tmp_path, text):
    folder = put(tmp_path / "damaged", make_content({"lr": [0.01]}))
    (folder / "environment.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    (folder / "sweep.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    found = compare_sweeps([two[0], folder])
    assert found.sources[1].fingerprint is None
    table(found)
    compare_to_json(found)


def test_what_no_cnnsweep_wrote_is_left_out(two, tmp_path):
    nested: Any = "deep"
    for _ in range(200):
        nested = [nested]
    content = make_content({"lr": [0.01]})
    content["sweep"].update(search={"method": "tpe", "runs": 4, "x": nested}, early_stop={"x": {"y": nested}})
    found = compare_sweeps([two[0], put(tmp_path / "nested", content, python=nested, host={"x": nested})])
    assert {"python", "host"}.isdisjoint(found.sources[1].environment)
    assert distinctions(found)["search"] == [{"method": "grid"}, {"method": "tpe", "runs": 4}]
    assert distinctions(found)["early stop"] == [None, {}]


def test_a_results_file_by_another_name_owns_nothing_beside_it(two, tmp_path):
    folder = put(tmp_path / "mixed", make_content({"lr": [0.01]}), spec=frozen("mixed", "0.01"))
    (folder / "copied.json").write_text((two[1] / "results.json").read_text())
    source = load_sources([folder / "copied.json", two[0]])[0]
    assert (source.fingerprint, source.spec) == (None, None)
    assert "only beside a file named results.json" in source.missing[0]
    assert compare_sweeps([folder / "copied.json", folder / "results.json"]).sources[1].fingerprint == "d" * 64


def test_foreign_text_cannot_steer_the_terminal(two, tmp_path):
    content = make_content({"lr\x1b[31m": ["[bold]\x1b[2J", 1]})
    content["sweep"].update(name="n\x1b[2J", device="\x1b]0;x\x07")
    folder = put(tmp_path / "evil", content, processor="\x1b[2J[red]", packages={"torch": "\x1b[1m"})
    (folder / "sweep.yaml").write_text('params: {"a\\e": "\\e[2J"}\n')
    found = compare_sweeps([two[0], folder])
    for text in (table(found), compare_to_json(found)):
        assert "\x1b" not in text
    assert "[red]" in table(found)


def test_letters_go_on_after_z():
    assert [letters(n) for n in (0, 25, 26, 27, 51, 52, 701, 702)] == ["A", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA"]


def test_the_command_and_its_exit_codes(two, tmp_path):
    def call(*arguments: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cnnsweep", "compare", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "90"})

    shown = call(*two, "--top", "1")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "… and 3 more" in shown.stdout
    as_json = call(*two, "--json", "--metric", "val_loss")
    assert (as_json.returncode, json.loads(as_json.stdout)["metric"]) == (0, "val_loss")
    alone = call(two[0])
    assert (alone.returncode, alone.stdout) == (2, "")
    assert alone.stderr.startswith("error: compare: give two sweeps or more")
    assert call(two[0], tmp_path / "nowhere").returncode == 4
    assert call().returncode == 2


def test_comparing_loads_nothing_heavy(two):
    code = (
        "import sys; from pathlib import Path; from rich.console import Console;"
        "from cnnsweep.report import compare_json, compare_table; from cnnsweep.analysis import compare as ranking;"
        "sources = ranking.load_sources([Path(path) for path in sys.argv[1:]]);"
        "print({'torch', 'pandas', 'numpy', 'tensorboard'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, *map(str, two)], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
