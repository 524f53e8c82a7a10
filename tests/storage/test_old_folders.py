"""Folders that earlier versions left behind when they were killed: read, evaluated and gone on with.

`old/` holds one folder each: `alone` from when runs trained one at a time, `together` from when they were first fused,
`params` and `search` from when a sweep could search and stop early. Last checkpoints of ended runs, and what a sweep
makes again by itself, were left out.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from small_sweeps import SilentDisplay, tables

from cnnsweep.analysis.results import load_results
from cnnsweep.config.load import load_sweep
from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint, evaluate_chosen
from cnnsweep.storage.best_weights import load_best
from cnnsweep.storage.state import read_state
from cnnsweep.sweep import SweepOptions, run_sweep
from cnnsweep.types import RunStatus

OLD = Path(__file__).parent / "old"
FUSE = {"alone": "off", "together": 2, "settings": "off", "search": "off"}


@pytest.fixture(params=FUSE)
def kind(request):
    return request.param


@pytest.fixture
def folder(kind, tmp_path):
    return Path(shutil.copytree(OLD / kind, tmp_path / kind))


def resume(folder, kind, display):
    return run_sweep(load_sweep(folder / "sweep.yaml"), SweepOptions(folder, folder, fuse=FUSE[kind]), [display])


def epochs_of(folder):
    """Return every finished epoch that a journal has, without what the clock said."""
    return {
        (run.name, record.epoch): (record["loss"], record["accuracy"], record["val_loss"], record["val_accuracy"])
        for run in read_state(folder / "journal.jsonl").runs.values()
        for record in run.records
    }


def statuses_of(folder):
    return {run.name: run.status for run in read_state(folder / "journal.jsonl").runs.values()}


def test_an_old_sweep_goes_on_and_keeps_every_finished_epoch(kind, folder):
    before, statuses = epochs_of(folder), statuses_of(folder)
    assert {RunStatus.RUNNING, RunStatus.FINISHED} <= set(statuses.values()), "one in the middle, one done"
    bests = {name: (folder / name / "best.safetensors").read_bytes() for name, s in statuses.items() if s.is_final}
    display = SilentDisplay()
    result = resume(folder, kind, display)
    assert result.interrupted is None
    assert set(result.statuses.values()) <= {RunStatus.FINISHED, RunStatus.STOPPED}
    assert not [message for message in display.messages if "damaged" in message or "starts over" in message]
    after = epochs_of(folder)
    assert {epoch: after[epoch] for epoch in before} == before
    ids = {run.id: run.name for run in read_state(folder / "journal.jsonl").runs.values()}
    trained = [(ids[record.run_id], record.epoch) for record in display.records]
    # A run whose record and checkpoint agree trains no epoch again.
    assert sorted(trained) == sorted(after.keys() - before.keys())
    assert {name: (folder / name / "best.safetensors").read_bytes() for name in bests} == bests
    content = tables(folder)
    assert content["sweep"]["status"] == "finished"
    assert all(load_best(folder / run["checkpoint"]).weights for run in content["runs"])
    assert len(content["epochs"]) == len(after)


@pytest.mark.parametrize("kind", ["alone", "search"])
def test_an_old_results_file_is_read(folder):
    results = load_results(folder)
    raw = json.loads((folder / "results.json").read_text())
    assert results.sweep.best == raw["sweep"]["best"]
    assert {run.name for run in results.runs} == {run["run"] for run in raw["runs"]}
    assert sum(map(len, results.epochs.values())) == len(raw["epochs"]) > 0


@pytest.mark.parametrize("kind", ["alone", "search"])
def test_old_best_weights_are_evaluated_and_give_the_figures_they_were_kept_for(folder):
    options = EvaluationOptions(folder, split="val")
    for weights in sorted(folder.glob("*/best.safetensors")):
        figures = load_best(weights).description["figures"]
        measured = evaluate_checkpoint(weights, options)
        assert measured.accuracy == pytest.approx(figures["val_accuracy"])
        assert measured.loss == pytest.approx(figures["val_loss"], rel=1e-5)
    assert evaluate_chosen(folder, options).evaluations
