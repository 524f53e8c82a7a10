"""Which runs train together in a sweep, what becomes of a group that cannot go on, and what a plan says."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal

import pytest
import torch
from small_sweeps import SMALL, SilentDisplay, sweep, tables, untimed

from cnnsweep.config.load import parse_sweep
from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint
from cnnsweep.formatting.numbers import bytes_text
from cnnsweep.report.plan import plan_to_json
from cnnsweep.storage.best_weights import load_best
from cnnsweep.storage.journal import read_journal
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.training import autotune as calibration
from cnnsweep.training.fused_learner import FusedLearner
from cnnsweep.training.learner import SingleLearner
from cnnsweep.tuner.forecast import ForecastOptions, forecast_sweep
from cnnsweep.types import RunStatus


def planned_groups(folder):
    """Return the groups of the last plan in the journal, as sizes of trajectories."""
    (*_, last) = [e for e in read_journal(SweepPaths(folder).journal) if e["event"] == "planned"]
    return [[len(runs) for program in group["programs"] for runs in program] for group in last["groups"]]


def notes_on_groups(display):
    return [note for note in display.notes if not note.startswith("baseline: ")]


def figures(folder):
    return [
        {k: v for k, v in row.items() if k in ("run", "epoch", "loss", "val_loss", "accuracy", "val_accuracy")}
        for row in tables(folder)["epochs"]
    ]


def assert_alike(rows, expected):
    assert [(row["run"], row["epoch"]) for row in rows] == [(row["run"], row["epoch"]) for row in expected]
    for row, other in zip(rows, expected, strict=True):
        for name in ("loss", "val_loss", "accuracy", "val_accuracy"):
            assert row[name] == pytest.approx(other[name], rel=1e-9)  # float64


EIGHT = ("params.lr=[0.01, 0.001]", "params.seed=[0, 1]", "params.shuffle=[true, false]", "precision=fp64")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "small"
    sweep(folder, overrides=EIGHT)
    return folder


def test_a_sweep_trained_together_has_the_figures_of_one_trained_alone(alone, tmp_path):
    sweep(tmp_path / "s", overrides=EIGHT, fuse=8)
    assert planned_groups(tmp_path / "s") == [[1] * 8]
    assert_alike(figures(tmp_path / "s"), figures(alone))


def test_auto_trains_every_run_whatever_it_chooses(alone, tmp_path):
    display = SilentDisplay()
    sweep(tmp_path / "s", overrides=EIGHT, fuse="auto", display=display)
    (note,) = notes_on_groups(display)
    assert note.startswith("8 runs of cnn, batch size 16: ")
    assert_alike(figures(tmp_path / "s"), figures(alone))


def test_runs_of_different_batch_sizes_train_apart_and_those_of_different_optimizers_together(tmp_path):
    overrides = ["params.batch_size=[16, 32]", "params.optimizer=[sgd, adam]", "params.epochs=1"]
    sweep(tmp_path / "s", overrides=overrides, fuse=100)
    assert planned_groups(tmp_path / "s") == [[1] * 4] * 2


def test_runs_that_differ_in_epochs_alone_are_trained_once_if_no_schedule_looks_at_the_end(tmp_path):
    sweep(tmp_path / "s", overrides=["params.lr=0.01", "params.epochs=[1, 3]"], fuse="auto")
    assert planned_groups(tmp_path / "s") == [[2]]
    short, long = (
        [row for row in figures(tmp_path / "s") if row["run"] == run["run"]] for run in tables(tmp_path / "s")["runs"]
    )
    assert [row["epoch"] for row in short] == [1]
    assert [row["epoch"] for row in long] == [1, 2, 3]
    assert short[0]["loss"] == long[0]["loss"]
    with_end = ["params.lr=0.01", "params.epochs=[1, 3]", "params.schedule=cosine"]
    sweep(tmp_path / "t", overrides=with_end, fuse=2)
    assert planned_groups(tmp_path / "t") == [[1, 1]]


OWN_NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.dropout = dropout
        self.layer = nn.Sequential(nn.Flatten(), nn.Linear(144, 3)) if dropout < 0.5 else nn.Linear(144, 3)

    def forward(self, x):
        return self.layer(torch.nn.functional.dropout(x, self.dropout, self.training).flatten(1))
"""


def test_runs_that_differ_in_dropout_train_together_where_nothing_else_follows_from_it(tmp_path):
    overrides = ["params.dropout=[0, 0.2, 0.5]", "params.lr=0.01", "params.epochs=1", "precision=fp64"]
    sweep(tmp_path / "s", overrides=overrides, fuse=3)
    assert planned_groups(tmp_path / "s") == [[1, 1, 1]]
    sweep(tmp_path / "alone", overrides=overrides)
    assert_alike(figures(tmp_path / "s"), figures(tmp_path / "alone"))
    (tmp_path / "net.py").write_text(OWN_NET)
    text = SMALL.replace(
        "{name: cnn, channels: [4], kernel_size: 3, hidden: [8], dropout: 0.2}", f"'{tmp_path}/net.py:Net'"
    )
    overrides = ["params.dropout=[0.1, 0.2, 0.5]", "params.lr=[0.01, 0.1]", "params.epochs=1", "precision=fp64"]
    display = SilentDisplay()
    sweep(tmp_path / "own", text, overrides=overrides, fuse=6, display=display)
    assert planned_groups(tmp_path / "own") == [[1, 1]] * 3  # the last has other names, so each goes with its own
    sweep(tmp_path / "own-alone", text, overrides=overrides)
    both = ["params.dropout=[0.1, 0.2]", *overrides[1:]]
    sweep(tmp_path / "functional", text, overrides=both, fuse=6)
    assert planned_groups(tmp_path / "functional") == [[1] * 4]
    of_both = [row for row in figures(tmp_path / "own-alone") if "dropout=0.5" not in row["run"]]
    assert_alike(figures(tmp_path / "functional"), of_both)
    assert_alike(figures(tmp_path / "own"), figures(tmp_path / "own-alone"))


def fail_in_step(monkeypatch, program, limit, error):
    """Let a program raise in its step number `limit`, once."""
    steps = [0]
    step = program.train_step

    def train_step(self, *args):
        steps[0] += 1
        if steps[0] == limit:
            raise error
        return step(self, *args)

    monkeypatch.setattr(program, "train_step", train_step)


def test_a_group_out_of_memory_goes_on_in_halves_from_its_last_epoch(alone, tmp_path, monkeypatch):
    # The check before training takes a step of its own; then 4 a epoch, so this is in the second.
    fail_in_step(monkeypatch, FusedLearner, 7, torch.OutOfMemoryError("tried to allocate 3 GiB"))
    display = SilentDisplay()
    result = sweep(tmp_path / "s", overrides=EIGHT, fuse=8, display=display)
    assert set(result.statuses.values()) == {RunStatus.FINISHED}
    assert display.messages == [
        "8 runs go on in groups of 4 and 4: OutOfMemoryError: tried to allocate 3 GiB",
    ]
    assert planned_groups(tmp_path / "s") == [[1] * 4, [1] * 4]
    assert [record.epoch for record in display.records] == [1] * 8 + [2] * 8
    assert_alike(figures(tmp_path / "s"), figures(alone))


def test_a_group_that_fails_otherwise_goes_on_one_by_one(alone, tmp_path, monkeypatch):
    fail_in_step(monkeypatch, FusedLearner, 4, ValueError("a bug"))
    display = SilentDisplay()
    sweep(tmp_path / "s", overrides=EIGHT, fuse=8, display=display)
    assert display.messages == ["8 runs go on one by one: ValueError: a bug"]
    assert_alike(figures(tmp_path / "s"), figures(alone))


def test_one_runs_own_failure_leaves_the_others_of_its_kind_alone(tmp_path, monkeypatch):
    fail_in_step(monkeypatch, SingleLearner, 2, ValueError("a bug"))
    result = sweep(tmp_path / "s")
    assert [str(status) for status in result.statuses.values()] == ["failed", "finished"]


def test_a_fused_form_that_is_wrong_is_found_before_training(alone, tmp_path, monkeypatch):
    right = torch.baddbmm
    monkeypatch.setattr(torch, "baddbmm", lambda bias, a, b: right(bias, a, b) * (1 + 1e-4))
    display = SilentDisplay()
    sweep(tmp_path / "s", overrides=EIGHT, fuse=8, display=display)
    (note,) = notes_on_groups(display)
    assert note.startswith(
        "8 runs of cnn, batch size 16: one by one, its fused form differs from the model itself: the loss by "
    )
    assert planned_groups(tmp_path / "s") == [[1]] * 8
    monkeypatch.undo()
    assert_alike(figures(tmp_path / "s"), figures(alone))


def test_a_model_that_cannot_be_traced_trains_alone_and_the_note_says_where(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "_MOST_SHARE", math.inf)  # of a sweep as short as this, so that it is tried
    path = tmp_path / "net.py"
    path.write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(144, 3)\n"
        "    def forward(self, x):\n"
        "        if x.mean() > 0:\n"
        "            x = -x\n"
        "        return self.layer(x.flatten(1))\n"
    )
    text = SMALL.replace(
        "model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8], dropout: 0.2}", f"model: '{path}:Net'"
    )
    display = SilentDisplay()
    result = sweep(tmp_path / "s", text, display=display, fuse="auto")
    assert set(result.statuses.values()) == {RunStatus.FINISHED}
    (note,) = notes_on_groups(display)
    assert note == (
        f"2 runs of {path}:Net, batch size 16: one by one, its forward cannot be traced: "
        "its Python code depends on the values of tensors, at net.py:7: if x.mean() > 0:"
    )


def test_a_resume_groups_runs_as_before_and_another_wish_groups_them_anew(tmp_path):
    folder = tmp_path / "s"
    sweep(folder, overrides=["params.epochs=1"], fuse=2)
    events = sum(event["event"] == "planned" for event in read_journal(SweepPaths(folder).journal))
    sweep(folder, overrides=["params.epochs=1"], fuse=2)  # nothing is missing
    sweep(folder, overrides=["params.epochs=1", "params.lr=[0.01, 0.001, 0.1, 0.2]"], fuse=2)
    assert planned_groups(folder) == [[1, 1]]
    assert sum(event["event"] == "planned" for event in read_journal(SweepPaths(folder).journal)) == events + 1


STOPPED_EARLY = SMALL.replace("lr: [0.01, 0.001]", "lr: [0.01, 0.001, 0.1, 0.03]").replace(
    "epochs: 2", "epochs: 3"
) + (
    "validation: {folds: 2}\nseeds: 2\nearly_stop: {method: median, min_settings: 1}\n"
)  # fmt: skip


class InterruptingAfter(SilentDisplay):
    """Asks for an end after so many records."""

    def __init__(self, records):
        super().__init__()
        self._limit = records

    def epoch_ended(self, record, selected):
        super().epoch_ended(record, selected)
        if len(self.records) == self._limit:
            os.kill(os.getpid(), signal.SIGTERM)


def sizes_of_programs(folder):
    planned = [event for event in read_journal(SweepPaths(folder).journal) if event["event"] == "planned"]
    return [[len(program) for program in group["programs"]] for group in planned[-1]["groups"]]


@pytest.mark.parametrize(
    ("fuse", "sizes"), [("off", [[1] * 4] * 4), (2, [[2, 2]] * 4), (5, [[4, 4]] * 2)], ids=["off", "2", "5"]
)
def test_settings_that_are_stopped_early_go_on_in_step_and_resume_alike(tmp_path, fuse, sizes):
    whole, parted = tmp_path / "whole" / "small", tmp_path / "parted" / "small"
    sweep(whole, STOPPED_EARLY, fuse=fuse)
    assert sizes_of_programs(whole) == sizes
    stopped = {run["run"] for run in tables(whole)["runs"] if run["status"] == "stopped"}
    assert 0 < len(stopped) < 16
    assert len(stopped) % 4 == 0  # whole trials
    for records in (3, 9):
        sweep(parted, STOPPED_EARLY, display=InterruptingAfter(records), fuse=fuse)
    sweep(parted, STOPPED_EARLY, fuse=fuse)
    assert untimed(parted) == untimed(whole)


def test_a_checkpoint_of_a_fold_is_measured_on_what_its_fold_held_out(tmp_path):
    sweep(tmp_path / "s", overrides=["params.lr=0.01", "params.epochs=1", "validation={folds: 3}"])
    held_out = []
    for run in tables(tmp_path / "s")["runs"]:
        about = load_best(tmp_path / "s" / run["checkpoint"]).description
        assert about["split"] == {"validation": pytest.approx(1 / 3), "seed": 0, "folds": 3, "fold": len(held_out)}
        options = EvaluationOptions(tmp_path, split="val", device="cpu")
        evaluation = evaluate_checkpoint(tmp_path / "s" / run["checkpoint"], options)
        assert evaluation.loss == pytest.approx(run["val_loss"], rel=1e-5)  # float32
        held_out.append(sum(map(sum, evaluation.confusion)))
        rest = evaluate_checkpoint(tmp_path / "s" / run["checkpoint"], dataclasses.replace(options, split="train"))
        assert sum(map(sum, rest.confusion)) == 60 - held_out[-1]
    assert held_out == [20, 20, 20]


def test_a_plan_keeps_settings_that_are_stopped_early_whole(tmp_path):
    overrides = ["seeds=2", "early_stop={method: median}", "params.epochs=1"]
    assert [len(cost.group.programs) for cost in forecast(tmp_path, *overrides, fuse="off").groups] == [2, 2]
    assert [len(cost.group.programs) for cost in forecast(tmp_path, *overrides[1:], fuse="off").groups] == [1, 1]


def forecast(tmp_path, *overrides, fuse="auto"):
    spec = parse_sweep(SMALL, "small.yaml", overrides)
    return forecast_sweep(spec, ForecastOptions(tmp_path / "s", tmp_path, fuse, 100))


def test_a_plan_foresees_time_memory_and_disk_and_writes_nothing(tmp_path):
    plan = forecast(tmp_path, fuse="off")
    assert not (tmp_path / "s").exists()
    assert [(len(cost.group.runs), cost.why) for cost in plan.groups] == [(1, "--fuse off")] * 2
    # 8 parameter tensors' worth of small files: between a kilobyte and a megabyte each.
    assert 2_000 < plan.disk_bytes < 2_000_000
    assert all(0 < cost.seconds < 60 for cost in plan.groups)
    assert 10_000 < plan.memory_bytes < 10_000_000
    content = json.loads(plan_to_json(plan))
    assert content["seconds"] == pytest.approx(sum(group["seconds"] for group in content["groups"]))
    assert [group["together"] for group in content["groups"]] == [1, 1]


def test_a_plan_of_groups_of_a_given_size_foresees_their_time_too(tmp_path):
    (cost,) = forecast(tmp_path, fuse=2).groups
    assert (len(cost.group.trajectories), cost.why) == (2, "--fuse 2")
    assert 0 < cost.seconds < 60


def test_a_plan_of_a_finished_sweep_is_empty(tmp_path):
    sweep(tmp_path / "s", overrides=["params.epochs=1"])
    plan = forecast(tmp_path, "params.epochs=1")
    assert (plan.done, plan.groups, plan.seconds) == (2, (), 0)


def test_a_plan_together_takes_as_many_epochs_as_the_longest_run_of_a_trajectory(tmp_path):
    once = forecast(tmp_path, "params.lr=0.01", "params.epochs=4", fuse="off").groups[0]
    both = forecast(tmp_path, "params.lr=0.01", "params.epochs=[2, 4]", fuse=2)
    (cost,) = both.groups
    assert [len(runs) for runs in cost.group.trajectories] == [2]
    assert cost.seconds == pytest.approx(once.seconds, rel=5)  # two measurements of some milliseconds


@pytest.mark.parametrize(
    ("count", "text"), [(0, "1 kB"), (120_000, "120 kB"), (1_250_000, "1.2 MB"), (35e6, "35 MB"), (2.34e9, "2.3 GB")]
)
def test_bytes_are_written_as_people_read_them(count, text):
    assert bytes_text(int(count)) == text


def test_a_newcomer_that_trains_alone_is_told_why(tmp_path):
    rates = "params.lr=[0.01, 0.001{}]"
    more = ["params.lr=[0.01, 0.001, 0.1]"]

    class Interrupting(SilentDisplay):
        def epoch_ended(self, record, selected):
            super().epoch_ended(record, selected)
            if record.epoch == 1:
                os.kill(os.getpid(), signal.SIGINT)

    sweep(tmp_path / "part", overrides=[rates.format("")], fuse=8, display=Interrupting())
    sweep(tmp_path / "whole", overrides=[rates.format("")], fuse=8)
    reasons = {
        "part": "the others of its kind continue in the group that they began in",
        "whole": "the only one of its kind that is left to train",
    }
    for name, why in reasons.items():
        spec = parse_sweep(SMALL, "small.yaml", more)
        plan = forecast_sweep(spec, ForecastOptions(tmp_path / name, tmp_path, 8, 100))
        assert [(len(cost.group.runs), cost.why) for cost in plan.groups][-1] == (1, why)
        display = SilentDisplay()
        sweep(tmp_path / name, overrides=more, fuse=8, display=display)
        assert notes_on_groups(display) == [f"1 run of cnn, batch size 16: alone, {why}"]
    display = SilentDisplay()
    sweep(tmp_path / "new", overrides=["params.lr=0.1"], fuse=8, display=display)
    assert notes_on_groups(display) == []  # one run by itself needs no reason
