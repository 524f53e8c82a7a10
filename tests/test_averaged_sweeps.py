"""Sweeps with averaged weights: what is kept, told, measured again, restored and resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_sweeps import SMALL, SilentDisplay, sweep, tables, untimed

from cnnsweep.analysis.results import load_results
from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.errors import SpecError
from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint
from cnnsweep.maintenance.check_sweep import check_sweep, find_sweep
from cnnsweep.maintenance.diagnostic import has_problems
from cnnsweep.maintenance.repair import repair_sweep
from cnnsweep.refit import refit_chosen
from cnnsweep.report.run_status import in_epoch_words
from cnnsweep.schedules.plateau import Plateau
from cnnsweep.storage.best_weights import load_best
from cnnsweep.sweep import SweepOptions
from cnnsweep.types import Decision

AVERAGED = SMALL.replace("dropout: 0.2", "batch_norm: true").replace(
    "  lr: [0.01, 0.001]\n", "  lr: 0.1\n  optimizer: sgd\n  momentum: 0.9\n"
)
AVERAGED = AVERAGED.replace("batch_size: 16", "batch_size: 4")
AVERAGED = AVERAGED.replace("  epochs: 2\n", "  epochs: 3\n  ema: [none, 0.8]\n  swa: [none, 2]\n  accumulate: 2\n")
BY_LOSS = ("metric=val_loss", "tensorboard=false")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("averaged") / "small"
    sweep(folder, AVERAGED, overrides=BY_LOSS)
    return folder


class Interrupts(SilentDisplay):
    """Interrupts a sweep after the next epoch."""

    def on_epoch_end(self, reports):
        super().on_epoch_end(reports)
        return {report.record.run_id: Decision.INTERRUPT for report in reports}


def silent(_what: str, _done: int, _total: int) -> None:
    pass


def kept(folder: Path) -> dict[str, str]:
    return {row["run"]: row["weights"] for row in tables(folder)["runs"] if "weights" in row}


def test_kept_weights_are_those_that_the_metrics_are_of(whole):
    assert {"ema", "swa"} & set(kept(whole).values())
    for run in load_results(whole).runs:
        path = whole / run.name / "best.safetensors"
        about = load_best(path).description
        assert about.get("weights", "plain") == kept(whole).get(run.name, "plain") == run.weights
        found = evaluate_checkpoint(path, EvaluationOptions(whole, split="val", device="cpu"))
        assert found.loss == pytest.approx(run["val_loss"], rel=1e-5)
        is_noted = any(f"({run.weights})" in note for note in found.notes)
        assert is_noted == (run.weights != "plain") == (f"({run.weights})" in in_epoch_words(run))


def test_journal_has_the_metrics_of_all_weights(whole):
    events = [json.loads(line) for line in (whole / "journal.jsonl").read_text().splitlines()]
    several = [event for event in events if "others" in event]
    assert several
    for event in several:
        assert event["val_loss"] <= min(values["val_loss"] for values in event["others"].values())
        assert event.get("weights", "plain") not in event["others"]


def test_averaged_weights_come_back_from_the_last_checkpoint(whole, tmp_path):
    folder = tmp_path / "small"
    sweep(folder, AVERAGED, overrides=BY_LOSS)
    name = next(row["run"] for row in tables(folder)["runs"] if row.get("weights", "plain") != "plain")
    best = folder / name / "best.safetensors"
    content = best.read_bytes()
    best.unlink()
    assert repair_sweep(find_sweep(folder), silent)
    assert best.read_bytes() == content
    assert not has_problems(check_sweep(find_sweep(folder), silent))


@pytest.mark.parametrize("fuse", ["off", 4])
def test_an_interrupted_sweep_equals_an_uninterrupted_one(tmp_path, fuse):
    whole, cut = tmp_path / "whole" / "small", tmp_path / "cut" / "small"
    sweep(whole, AVERAGED, overrides=BY_LOSS, fuse=fuse)
    times = 2 if fuse == 4 else 11  # all epochs but the last one, of the group or of each run
    for _ in range(times):
        sweep(cut, AVERAGED, Interrupts(), BY_LOSS, fuse=fuse)
        assert tables(cut)["sweep"]["status"] == "interrupted"
    sweep(cut, AVERAGED, overrides=BY_LOSS, fuse=fuse)
    assert untimed(cut) == untimed(whole)


def test_only_values_beside_the_defaults_change_an_id():
    ids = {run.id for run in expand_runs(parse_sweep(SMALL, "small.yaml"), 9).runs}
    defaults = "params.ema=none", "params.swa=none", "params.accumulate=1", "params.drop_last=false"
    same = parse_sweep(SMALL, "small.yaml", (*defaults, "params.freeze_bn=false"))
    assert {run.id for run in expand_runs(same, 9).runs} == ids
    for value in ("ema=0.9", "swa=1", "accumulate=2", "drop_last=true", "freeze_bn=true"):
        other = parse_sweep(SMALL, "small.yaml", (f"params.{value}",))
        assert not {run.id for run in expand_runs(other, 9).runs} & ids


@pytest.mark.parametrize(
    ("line", "place", "allowed"),
    [
        ("ema: 1", "8:8", "above 0 and below 1"),
        ("ema: [0.9, 0]", "8:14", "above 0 and below 1"),
        ("swa: 1.0", "8:8", "a number of last epochs from 1, a share"),
        ("swa: 3", "8:8", "runs have 2 epochs"),
        ("accumulate: 0", "8:15", "a whole number from 1"),
        ("drop_last: 2", "8:14", "true or false"),
        ("freeze_bn: maybe", "8:14", "true or false"),
    ],
)
def test_wrong_values_are_named_with_their_place(line, place, allowed):
    text = SMALL.replace("  augment: flip", f"  {line}").replace("  augment", "  ")
    with pytest.raises(SpecError, match=f"small.yaml:{place} .*{allowed}"):
        parse_sweep(text, "small.yaml")


def test_what_needs_the_data_or_the_model_is_refused_before_training(tmp_path):
    text = SMALL.replace("  augment: flip", "  drop_last: true\n  freeze_bn: true").replace(
        "batch_size: 16", "batch_size: 64"
    )
    with pytest.raises(SpecError) as refused:
        sweep(tmp_path / "small", text)
    said = str(refused.value)
    assert "small.yaml:8:3  params.drop_last: drop_last leaves no batch of 54 training images" in said
    assert "small.yaml:9:3  params.freeze_bn: model cnn has no batch-norm layer to freeze" in said
    assert not list((tmp_path / "small").glob("*/last.safetensors"))


def test_refit_averages_what_was_kept(whole, tmp_path):
    folder = tmp_path / "small"
    sweep(folder, AVERAGED, overrides=BY_LOSS)
    options = SweepOptions(folder, folder, fuse="off")
    refit_chosen(folder, options, [SilentDisplay()], device=None, allow_code=False)
    (best,) = (row for row in tables(folder)["runs"] if row["run"] == tables(folder)["sweep"]["best"])
    ((row,),) = (tables(path)["runs"] for path in (folder / "refit").iterdir())
    averages = {name: row[name] for name in ("ema", "swa") if row[name] is not None}
    kept_before = best.get("weights", "plain")
    assert kept_before != "plain"
    assert averages == {kept_before: best[kept_before]}
    assert row["weights"] == kept_before


def test_averages_do_not_change_what_a_schedule_learns_of_the_metrics(tmp_path, monkeypatch):
    seen: dict[int, set[tuple[float | None, ...]]] = {}
    lr_factor = Plateau.lr_factor

    def noted(schedule, history):
        seen.setdefault(len(history), set()).add(tuple(metrics["val_loss"] for metrics in history))
        return lr_factor(schedule, history)

    monkeypatch.setattr(Plateau, "lr_factor", noted)
    overrides = (*BY_LOSS, "params.schedule=plateau", "params.swa=none", "params.epochs=5")
    for _ in range(5):  # each epoch resumes, with the history of the journal
        sweep(tmp_path / "small", AVERAGED, Interrupts(), overrides, fuse=4)
    without, averaged = load_results(tmp_path / "small").epochs.values()
    assert [one["val_loss"] for one in without][:4] != [one["val_loss"] for one in averaged][:4]
    assert {epochs: len(histories) for epochs, histories in seen.items()} == dict.fromkeys(range(5), 1)
