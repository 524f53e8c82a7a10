"""Sweeps of unequal classes whose runs always answer the largest: journal, tables, displays and reports say so."""

from __future__ import annotations

import io
import json
import textwrap
from pathlib import Path

import pytest
from results_by_hand import show
from small_sweeps import SilentDisplay, sweep, tables
from typer.testing import CliRunner

from cnnsweep.analysis.baseline import runs_at_baseline, starred_run
from cnnsweep.analysis.results import load_results
from cnnsweep.cli.app import app
from cnnsweep.html.page import render_page
from cnnsweep.maintenance.known_results import read_known_results
from cnnsweep.progress.journal_events import overview
from cnnsweep.progress.plain import PlainDisplay
from cnnsweep.report.terminal import final_summary, render_report
from cnnsweep.storage.journal import encode_event, read_journal
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import read_state

# All images are the same, so the best that a model can learn is the largest class.
DATA = """
import numpy as np

def load():
    labels = np.repeat([0, 1, 2], [60, 20, 10])
    images = np.full((90, 8, 8), 7, dtype=np.uint8)
    return (images, labels), (images[:9], labels[::10].copy()), ["cat", "dog", "truck"]
"""
SWEEP = """
name: unequal
dataset: {name: data.py:load, normalize: none}
model: {name: cnn, channels: [2], kernel_size: 3, hidden: []}
params: {lr: [0.1, 0.05], batch_size: 20, epochs: 6}
tensorboard: false
"""


NEW = ("classes", "counts", "baselines")  # fields that journals of earlier versions lack


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.py").write_text(textwrap.dedent(DATA))
    return tmp_path / "s"


def facts_of(folder: Path) -> dict:
    return dict([event for event in read_journal(folder / "journal.jsonl") if event["event"] == "sweep"][-1])


def test_a_constant_answer_is_recorded_marked_and_not_praised(folder: Path) -> None:
    display = SilentDisplay()
    sweep(folder, SWEEP, display, ["validation=0.3"])
    expected = {
        "classes": ["cat", "dog", "truck"],
        "counts": {"training": [42, 14, 7], "validation": [18, 6, 3], "test": [6, 2, 1]},
    }
    event, content = facts_of(folder), tables(folder)["sweep"]
    for facts in (event, content):
        assert {name: facts[name] for name in expected} == expected
        assert facts["baselines"]["val_accuracy"] == 18 / 27
        assert facts["baselines"]["val_loss"] == pytest.approx(0.8487, abs=1e-4)  # of the shares 2/3, 2/9 and 1/9
        assert (facts["validation_images"], facts["largest_class"]) == (27, 18)
    assert "images: class  training  validation  test" in display.data
    assert "baseline: always answering 'cat' is right for 66.67 % of the validation images" in display.notes
    assert display.messages == [
        "val_accuracy hides the small classes, of 7 (truck) to 42 (cat) images to train on: consider metric: "
        "balanced_accuracy or macro_f1"
    ]
    results = load_results(folder)
    assert runs_at_baseline(results) == {run.name for run in results.runs}
    assert starred_run(results) is None
    assert display.progress.best is None
    for text in (
        show(lambda console: render_report(results, console), 100),
        show(lambda console: final_summary(results, console), 100),
    ):
        assert "No run is better than always answering 'cat': none has a val_accuracy above 0.6667" in text
        assert "★" not in text
    page = render_page(results, folder)
    assert "<td>42</td>" in page
    assert "Classes are unequal: rank by metric: balanced_accuracy" in page


def test_folds_are_judged_by_the_one_whose_constant_answer_reaches_most(folder: Path) -> None:
    sweep(folder, SWEEP, overrides=["validation={folds: 4}", "params.lr=0.1", "seeds=2", "params.epochs=4"])
    facts = facts_of(folder)
    assert sum(map(sum, (facts["counts"]["training"], facts["counts"]["validation"]))) == 90
    held_out = facts["counts"]["validation"]
    assert facts["baselines"]["val_accuracy"] == max(held_out) / sum(held_out) >= 60 / 90
    results = load_results(folder)
    assert len(results.runs) == 8
    assert starred_run(results) is None


def test_without_validation_the_training_images_are_counted(folder: Path) -> None:
    sweep(folder, SWEEP, overrides=["validation=0", "params.lr=0.1"])
    facts = facts_of(folder)
    assert facts["counts"] == {"training": [60, 20, 10], "validation": None, "test": [6, 2, 1]}
    assert facts["baselines"] == {"accuracy": 60 / 90}
    assert facts["validation_images"] is None
    results = load_results(folder)
    assert runs_at_baseline(results)
    text = show(lambda console: render_report(results, console), 100)
    assert "no better than always answering 'cat' (accuracy 0.6667)" in text


def test_a_search_is_marked_too_and_a_watcher_sees_the_same(folder: Path) -> None:
    changes = ["params.lr={uniform: [0.05, 0.1]}", "search={method: random, runs: 3}"]
    stream = io.StringIO()
    sweep(folder, SWEEP, PlainDisplay(stream), changes)
    assert stream.getvalue().count(", no better than always answering 'cat' (val_accuracy 0.6667)") == 3
    state = read_state(folder / "journal.jsonl")
    seen = overview(state, SweepPaths(folder), lambda: "")
    assert seen.baseline is not None
    assert (seen.baseline.metric, seen.baseline.words) == ("val_accuracy", "always answering 'cat'")
    assert runs_at_baseline(load_results(folder)) == {run.name for run in state.runs.values()}


def test_a_lost_sweep_event_is_recovered_with_its_labels(folder: Path) -> None:
    sweep(folder, SWEEP, overrides=["params.lr=0.1"])
    known = read_known_results(SweepPaths(folder)).sweep
    assert known is not None
    facts = facts_of(folder)
    assert {name: known[name] for name in NEW} == {name: facts[name] for name in NEW}


def test_a_folder_of_an_earlier_version_gets_the_fields_from_the_next_command(folder: Path) -> None:
    sweep(folder, SWEEP, overrides=["params.lr=0.1"])
    journal = folder / "journal.jsonl"
    events = list(read_journal(journal))
    journal.write_bytes(b"".join(encode_event({k: v for k, v in event.items() if k not in NEW}) for event in events))
    assert not any(name in facts_of(folder) for name in NEW)
    display = SilentDisplay()
    sweep(folder, SWEEP, display, ["params.lr=[0.1,0.05]"])
    assert len(display.started) == 1
    assert {name: tables(folder)["sweep"][name] for name in NEW} == {name: facts_of(folder)[name] for name in NEW}


def plan(file: Path, *options: str) -> str:
    result = CliRunner().invoke(app, ["plan", str(file), "--quiet", "--fuse", "off", *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_plan_shows_and_returns_the_images_of_each_class(folder: Path) -> None:
    file = folder.parent / "unequal.yaml"
    file.write_text(SWEEP)
    content = json.loads(plan(file, "--json"))
    assert content["classes"] == [
        {"name": "cat", "training": 54, "validation": 6, "test": 6},
        {"name": "dog", "training": 18, "validation": 2, "test": 2},
        {"name": "truck", "training": 9, "validation": 1, "test": 1},
    ]
    assert content["baselines"]["val_accuracy"] == 6 / 9
    assert [note for note in content["notes"] if "hides the small classes" in note]
    text = plan(file)
    assert "        truck         9           1     1\n" in text
    assert "baseline: always answering 'cat' is right for 66.67 % of the validation images" in text
    assert text.count("hides the small classes") == 1
    assert json.loads(plan(file, "--cost", "1", "--json"))["classes"] == []


def test_training_images_that_are_drawn_by_class_have_no_baseline(folder: Path) -> None:
    """A constant answer is right for a third of them, in a run that draws each class equally often."""
    sweep(folder, SWEEP, overrides=["validation=0", "params.lr=0.1", "params.sampling=[natural,balanced]"])
    assert facts_of(folder)["baselines"] == {}
    assert runs_at_baseline(load_results(folder)) == frozenset()


def test_the_balanced_accuracy_is_judged_by_its_own_baseline(folder: Path) -> None:
    display = SilentDisplay()
    sweep(folder, SWEEP, display, ["metric=balanced_accuracy", "params.lr=0.1", "params.class_weight=[none,balanced]"])
    assert display.messages == []
    answer = "baseline: always answering 'cat' is right for 66.67 % of the validation images"
    assert f"{answer} and reaches val_balanced_accuracy 0.3333" in display.notes
    results = load_results(folder)
    assert len(runs_at_baseline(results)) == 2
    text = show(lambda console: render_report(results, console), 100)
    assert "val_balanced_accuracy 0.3333, val_accuracy 0.6667 by always answering 'cat'" in text
    assert "rank by metric" not in render_page(results, folder)
