"""Names of wrong images by class, and options of `cnnsweep evaluate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from hostile_values import ESCAPE
from PIL import Image
from small_sweeps import sweep, tables

from cnnsweep import Sweep, cli
from cnnsweep.analysis.results import load_results
from cnnsweep.analysis.run_evaluation import load_run_evaluation
from cnnsweep.datasets.images import MemoryImages
from cnnsweep.errors import UsageError
from cnnsweep.evaluation.further_metrics import read_metrics
from cnnsweep.evaluation.wrong_images import MOST_PICTURES, choose_wrong, wrong_images
from cnnsweep.storage.journal import encode_event, read_journal

HOSTILE = ["a\nb", f"{ESCAPE.replace('/', '')}", "[bold]x", "größe ★", "x" * 200, "<img src=x onerror=alert(1)>", "|a|"]
FOLDER = """
name: folder
dataset: {name: image_folder, path: data, size: 8}
model: {name: cnn, channels: [2], kernel_size: 3, hidden: []}
metrics: [kappa]
params: {lr: 0.0001, batch_size: 16, epochs: 1}
tensorboard: false
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A trained sweep whose images have hostile names."""
    found = tmp_path_factory.mktemp("hostile")
    for split in ("train", "test"):
        for label, count in (("[red]many", 4), ("few", 2)):
            inside = found / "data" / split / label
            inside.mkdir(parents=True)
            for number in range(count):
                for name in HOSTILE:
                    Image.new("L", (8, 8), 30 * number).save(inside / f"{number}{name}.png")
    sweep(found / "runs", FOLDER.replace("path: data", f"path: {found / 'data'}"))
    return found


@pytest.fixture(autouse=True)
def in_folder(folder, monkeypatch) -> None:
    """Go where the images may be read."""
    monkeypatch.chdir(folder)


def call(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["cnnsweep", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0


def test_wrong_images_come_in_turns_of_the_classes_and_are_never_right():
    labels = torch.tensor([0] * 50 + [1] * 5 + [2] * 3)
    predicted = labels.clone()
    predicted[:30] = 2
    predicted[[51, 52, 55]] = 0
    sure = torch.linspace(0.4, 0.9, 58)
    chosen = choose_wrong(labels, predicted, sure, 3).tolist()
    assert chosen[:6] == [29, 52, 55, 28, 51, 27]  # largest share of wrong images first, then the surest
    assert sorted(chosen) == (predicted != labels).nonzero()[:, 0].tolist()


def test_only_the_first_wrong_images_have_pictures():
    images = MemoryImages(torch.zeros(60, 1, 4, 4, dtype=torch.uint8), torch.zeros(60, dtype=torch.int64))
    labels, predicted, places = torch.zeros(60, dtype=torch.int64), torch.ones(60, dtype=torch.int64), torch.arange(60)
    found = wrong_images(images, "ab", places, labels, predicted, torch.full((60,), 0.7), 40)
    assert len(found) == 40
    assert [bool(one.png) for one in found] == [True] * MOST_PICTURES + [False] * (40 - MOST_PICTURES)


def test_hostile_file_names_are_written_as_they_are_and_shown_without_effect(folder, monkeypatch, capfd):
    assert call(monkeypatch, "evaluate", folder / "runs", "--wrong", 100, "-q") == 0
    shown = capfd.readouterr().out
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert "\u202e" not in shown
    found = load_run_evaluation(folder / "runs" / tables(folder / "runs")["sweep"]["best"])
    names = {one.file for one in found.wrong}
    assert len(names) == len(found.wrong) == found.images - found.correct
    for one in found.wrong:
        assert (folder / "data" / one.file).is_file()
        assert Path(one.file).parent.name == one.label
    assert call(monkeypatch, "report", folder / "runs", "--html", folder / "page.html", "-q") in (0, 2)
    assert Sweep(folder / "runs").report(html=folder / "page.html")
    assert "<img src=x onerror" not in (folder / "page.html").read_text(encoding="utf-8")


def test_option_lists_as_many_wrong_images_as_it_says(folder, monkeypatch, capfd):
    lines = {}
    for count in (0, 3, 9):
        assert call(monkeypatch, "evaluate", folder / "runs", "--wrong", count, "-q") == 0
        shown = capfd.readouterr().out
        lines[count] = shown.partition("Wrong images")[2].count("%")
    assert lines == {0: 0, 3: 3, 9: 9}


def test_further_metrics_join_those_of_the_sweep(folder, monkeypatch, capfd):
    assert call(monkeypatch, "evaluate", folder / "runs", "--metrics", "auroc, recall[few],top_1", "-q", "--json") == 0
    found = json.loads(capfd.readouterr().out)["runs"][0]
    assert {"kappa", "auroc", "recall[few]", "top_1", "balanced_accuracy", "macro_f1"} <= found["metrics"].keys()
    for name, (low, high) in found["intervals"].items():
        assert low <= {**found["metrics"], "accuracy": found["accuracy"], "loss": found["loss"]}[name] <= high, name
    again = Sweep(folder / "runs").evaluate(metrics=["mcc"], wrong=30, quiet=True)["runs"][0]
    assert "mcc" in again["metrics"]
    assert "auroc" not in again["metrics"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("f1", "'f1' is of one class: write f1[truck], or macro_f1"),
        ("auroc,nothing", "unknown 'nothing', allowed are accuracy, "),
        ("own.py:metric", "own.py:metric is code, which would be run; add --allow-code"),
    ],
)
def test_metrics_that_are_unknown_or_code_are_refused(names, message):
    with pytest.raises(UsageError) as refused:
        read_metrics(names, allow_code=False)
    assert message in str(refused.value)


def test_metric_of_an_unknown_class_is_refused_before_it_is_measured(folder, monkeypatch, capfd):
    assert call(monkeypatch, "evaluate", folder / "runs", "--metrics", "recall[truck]", "-q") != 0
    said = capfd.readouterr().err
    assert "truck" in said
    assert "few" in said


def test_file_of_an_earlier_version_is_read(folder):
    best = folder / "runs" / tables(folder / "runs")["sweep"]["best"]
    content = json.loads((best / "evaluation.json").read_text(encoding="utf-8"))
    for key in ("metrics", "intervals", "baseline", "sha256", "epoch"):
        content.pop(key, None)
    for one in content["wrong"]:
        one.pop("file")
    (best / "evaluation.json").write_text(json.dumps(content), encoding="utf-8")
    found = load_run_evaluation(best)
    assert found.metrics == found.intervals == found.baseline == {}
    assert found.wrong[0].file is None
    assert found.wrong[0].name == f"image {found.wrong[0].index}"


def test_record_of_a_test_of_an_earlier_version_is_read(folder, monkeypatch, capfd):
    assert call(monkeypatch, "evaluate", folder / "runs", "-q") == 0
    journal = folder / "runs" / "journal.jsonl"
    *_, last = (event for event in read_journal(journal) if event["event"] == "tested")
    older = {key: value for key, value in last.items() if key not in ("metrics", "intervals", "crc")}
    journal.write_bytes(journal.read_bytes() + encode_event(older))
    assert call(monkeypatch, "doctor", folder / "runs", "--repair", "-q") == 0
    test = load_results(folder / "runs").tests[-1]
    assert test.metrics == test.intervals == {}
    assert test.accuracy == last["accuracy"]
    capfd.readouterr()
    assert call(monkeypatch, "report", folder / "runs") == 0
    assert f"{test.accuracy:.4f}" in capfd.readouterr().out
