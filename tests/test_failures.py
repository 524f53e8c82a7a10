"""A failure is a row with its kind; what fails alike over and over ends the sweep, and so does a folder that fails."""

from __future__ import annotations

import csv
import errno
import json
import math
import shutil

import pytest
import torch
from small_sweeps import SEARCH, SMALL, SilentDisplay, sweep, tables

from cnnsweep.analysis.results import load_results
from cnnsweep.analysis.summary import places, rank_runs
from cnnsweep.errors import DiskFullError, FolderError
from cnnsweep.storage.atomic_files import OutputFile
from cnnsweep.storage.best_weights import load_best
from cnnsweep.storage.journal import Journal, read_journal
from cnnsweep.storage.state import read_state
from cnnsweep.training import trainer
from cnnsweep.training.learner import SingleLearner
from cnnsweep.tuner.failure_limit import FailureLimit
from cnnsweep.types import FailureKind, RunOutcome, RunStatus

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, fail="never", width=4):
        super().__init__()
        self.fail, self.batches = fail, 0
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(144, width), nn.Linear(width, 3))
    def forward(self, x):
        if self.training and len(x) > 2:
            self.batches += 1
        if self.fail == "always" and len(x) > 2:
            raise ValueError("too many\\n images")
        if self.fail == "diverges in epoch 2" and self.batches == 6:
            return self.layers(x) * torch.inf
        return self.layers(x)
"""


@pytest.fixture
def text(tmp_path):
    """A sweep of a person's own model, 4 batches an epoch."""
    (tmp_path / "net.py").write_text(NET)
    model = "model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8], dropout: 0.2}"
    return SMALL.replace(model, f"model: '{tmp_path}/net.py:Net'")


def with_axes(text: str, axes: str) -> str:
    return text.replace("lr: [0.01, 0.001]", axes)


def failed(cause: str | None = "same", kind: FailureKind = FailureKind.USER_CODE) -> RunOutcome:
    return RunOutcome("r", RunStatus.FAILED, cause, failure=kind)


@pytest.mark.parametrize(
    ("outcomes", "gives_up"),
    [
        ([failed()] * 3, True),
        ([failed()] * 2, False),
        ([failed(), failed("other"), failed(), failed()], False),
        ([failed(), failed(kind=FailureKind.DATA), failed()], False),
        ([failed(), failed(), RunOutcome("r", RunStatus.FINISHED), failed()], False),
        ([failed(), failed(), RunOutcome("r", RunStatus.STOPPED), failed()], False),
        ([failed(), failed(), RunOutcome("r", RunStatus.WAITING), failed()], False),
        ([failed(), failed(), RunOutcome("r", RunStatus.DIVERGED, "same"), failed()], True),
        ([failed(), failed(), RunOutcome("r", RunStatus.INTERRUPTED, "now"), failed()], True),
        ([RunOutcome("r", RunStatus.DIVERGED, "same", failure=FailureKind.DIVERGED)] * 9, False),
    ],
)
def test_three_that_fail_alike_with_none_in_between_that_got_on_are_enough(outcomes, gives_up):
    streak = FailureLimit(3)
    for outcome in outcomes:
        streak.on_run_end(outcome)
    assert (streak.reason is not None) is gives_up
    never = FailureLimit(0)
    for outcome in outcomes:
        never.on_run_end(outcome)
    assert never.reason is None


@pytest.mark.parametrize("fuse", ["off", 8])
def test_a_sweep_whose_runs_fail_alike_gives_up_and_goes_on_when_that_is_mended(tmp_path, text, fuse):
    text = with_axes(text, "model.fail: [always, never]\n  lr: [0.1, 0.2, 0.3, 0.4]")
    result = sweep(tmp_path / "s", text, fuse=fuse, max_failures=3)
    assert [str(status) for status in result.statuses.values()] == ["failed"] * 3 + ["waiting"] * 5
    assert result.interrupted == 1
    assert result.gave_up == "3 runs in a row failed alike (your code: ValueError: too many images)"
    content = tables(tmp_path / "s")
    assert content["sweep"]["status"] == "interrupted"
    assert [run["failure"] for run in content["runs"]] == ["your code"] * 3 + [None] * 5
    with (tmp_path / "s" / "runs.csv").open() as file:
        assert [row["failure"] for row in csv.DictReader(file)] == ["your code"] * 3 + [""] * 5
    ended = [event for event in read_journal(tmp_path / "s" / "journal.jsonl") if event["event"] == "ended"]
    assert [event["kind"] for event in ended] == ["your code"] * 3

    display = SilentDisplay()
    again = sweep(tmp_path / "s", text, display, fuse=fuse, max_failures=3)  # those that failed are left alone
    assert again.gave_up is None
    assert sorted(map(str, again.statuses.values())) == ["failed"] * 4 + ["finished"] * 4
    assert again.interrupted is None


def test_members_of_a_group_that_fail_one_by_one_count_one_by_one_and_the_others_wait(tmp_path, monkeypatch):
    def fail(*_arguments):
        raise KeyError("x")

    monkeypatch.setattr(trainer, "training_batches", fail)
    display = SilentDisplay()
    text = with_axes(SMALL, "lr: [0.1, 0.2, 0.3, 0.4]")
    result = sweep(tmp_path / "s", text, display, fuse=4, max_failures=2)
    assert any("4 runs go on one by one" in message for message in display.messages)
    assert [str(status) for status in result.statuses.values()] == ["failed"] * 2 + ["waiting"] * 2
    last = {outcome.run_id: str(outcome.status) for outcome in display.outcomes}
    assert list(last.values()) == ["failed"] * 2 + ["waiting"] * 2


def test_without_a_limit_everything_is_tried(tmp_path, text):
    text = with_axes(text, "model.fail: always\n  lr: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]")
    assert set(sweep(tmp_path / "s", text, max_failures=0).statuses.values()) == {RunStatus.FAILED}
    assert sweep(tmp_path / "t", text).gave_up is not None  # five, if nothing is said


def test_giving_up_before_a_rung_leaves_a_sweep_that_goes_on(tmp_path, text):
    rule = "early_stop: {method: halving, min_epochs: 1, factor: 2}\n"
    text = with_axes(text, "model.fail: [never, always]\n  lr: [0.1, 0.2, 0.3, 0.4]") + rule
    first = sweep(tmp_path / "s", text, max_failures=2)
    assert [str(status) for status in first.statuses.values()] == [
        *["interrupted"] * 4,  # they had come to the rung
        *["failed"] * 2,
        *["waiting"] * 2,
    ]
    again = sweep(tmp_path / "s", text, max_failures=0)
    ends = list(again.statuses.values())
    assert set(ends[:4]) == {RunStatus.FINISHED, RunStatus.STOPPED}
    assert set(ends[4:]) == {RunStatus.FAILED}


@pytest.mark.parametrize("kind", ["grid", "search"])
@pytest.mark.parametrize("epochs", [1, 2])
def test_seeds_that_failed_at_different_epochs_are_all_tried_again(tmp_path, monkeypatch, kind, epochs):
    rule = "early_stop: {method: halving, min_epochs: 2, factor: 2}\n"
    text = (SMALL + rule if kind == "grid" else SEARCH.replace("min_epochs: 1", "min_epochs: 2")) + "seeds: 2\n"
    text = text.replace("epochs: 2\n", "epochs: 4\n").replace("epochs: 2}\n", "epochs: 4}\n")
    batches, chosen = trainer.training_batches, []

    def fail(task, runs, of_each):
        (run,), (epoch,) = runs, of_each
        chosen.append(run.trial_id)
        if run.trial_id == chosen[0] and epoch > (epochs if run.hyperparameters.seed == 0 else 0):
            raise ValueError("bad luck")
        return batches(task, runs, of_each)

    with monkeypatch.context() as patched:
        patched.setattr(trainer, "training_batches", fail)
        sweep(tmp_path / "s", text)
    done = [row["epochs_done"] for row in tables(tmp_path / "s")["runs"] if row["status"] == "failed"]
    assert done == [epochs, 0]
    again = sweep(tmp_path / "s", text, retry_failed=True)
    assert set(again.statuses.values()) <= {RunStatus.FINISHED, RunStatus.STOPPED}


def test_a_run_that_diverges_late_keeps_its_last_finite_checkpoint_and_is_ranked_last(tmp_path, text):
    text = with_axes(text, "model.fail: [diverges in epoch 2, never]\n  lr: 0.0001").replace("epochs: 2", "epochs: 3")
    sweep(tmp_path / "s", text)
    content = tables(tmp_path / "s")
    bad, good = content["runs"]
    assert (bad["status"], bad["failure"], bad["epochs_done"], bad["best_epoch"]) == ("diverged", "diverged", 2, 1)
    assert bad["cause"] == "epoch 2: the loss became nan in batch 2; try a smaller lr"
    (first, second) = [row for row in content["epochs"] if row["run"] == bad["run"]]
    assert math.isfinite(first["loss"])
    assert second["loss"] is None  # null, which every reader of JSON takes
    weights = load_best(tmp_path / "s" / bad["run"] / "best.safetensors")
    assert weights.description["epoch"] == 1
    assert all(tensor.isfinite().all() for tensor in weights.weights.values())
    last = read_state(tmp_path / "s" / "journal.jsonl").runs[bad["id"]]
    assert list(last.checkpoints.values()) == [1]
    results = load_results(tmp_path / "s")
    assert [run.name for run in rank_runs(results)] == [good["run"], bad["run"]]
    assert list(places(results)) == [good["run"]]
    assert content["sweep"]["best"] == good["run"]


def full_disk(monkeypatch, at: int, code: int = errno.ENOSPC) -> None:
    """From some write on, there is no room."""
    write, count = OutputFile.flush, 0

    def flush(file):
        nonlocal count
        count += 1
        if count > at and file._waiting:
            file._waiting.clear()
            raise OSError(code, "No space left on device")
        write(file)

    monkeypatch.setattr(OutputFile, "flush", flush)


@pytest.mark.parametrize("at", [30, 45, 60])
def test_a_full_disk_ends_the_sweep_says_so_of_each_run_and_loses_nothing(tmp_path, monkeypatch, at):
    whole = tmp_path / "whole"
    sweep(whole, overrides=["params.epochs=4"], fuse=2)
    display = SilentDisplay()
    with monkeypatch.context() as patched:
        full_disk(patched, at)
        with pytest.raises(DiskFullError, match=r"disk full.*free some space and run"):
            sweep(tmp_path / "s", display=display, overrides=["params.epochs=4"], fuse=2)
    running = set(display.started)
    assert len(running) == 2
    ends = [outcome for outcome in display.outcomes if outcome.status is RunStatus.INTERRUPTED]
    assert {(one.run_id, one.cause, one.failure) for one in ends} == {
        (run_id, "disk full", FailureKind.DISK) for run_id in running
    }
    sweep(tmp_path / "s", overrides=["params.epochs=4"], fuse=2)
    figures = [
        [(row["epoch"], row["loss"], row["val_loss"]) for row in tables(folder)["epochs"]]
        for folder in (whole, tmp_path / "s")
    ]
    assert figures[0] == figures[1]


def test_a_disk_that_is_full_for_a_moment_is_journaled_as_an_interruption(tmp_path, monkeypatch):
    journal = Journal.append
    epochs = 0

    def append(self, *events):
        nonlocal epochs
        epochs += any(event["event"] == "epoch" for event in events)
        if epochs == 2:
            epochs += 1
            raise DiskFullError("disk full")
        journal(self, *events)

    monkeypatch.setattr(Journal, "append", append)
    with pytest.raises(DiskFullError):
        sweep(tmp_path / "s")
    content = tables(tmp_path / "s")
    assert content["sweep"]["status"] == "interrupted"
    assert [(run["status"], run["epochs_done"]) for run in content["runs"]] == [("interrupted", 1), ("waiting", 0)]
    log = (tmp_path / "s" / content["runs"][0]["run"] / "log.txt").read_text()
    assert log.endswith("  interrupted: disk full\n")
    display = SilentDisplay()
    sweep(tmp_path / "s", display=display)
    assert not any("cut off" in message for message in display.messages)


def test_a_folder_that_vanishes_has_words_of_its_own(tmp_path):
    class Vandal(SilentDisplay):
        def epoch_ended(self, record, selected):
            shutil.rmtree(tmp_path / "s")

    display = Vandal()
    with pytest.raises(FolderError, match="check that the folder is there"):
        sweep(tmp_path / "s", display=display)
    assert (display.outcomes[-1].status, display.outcomes[-1].cause) == (
        RunStatus.INTERRUPTED,
        "its folder or journal was replaced",
    )
    assert not (tmp_path / "s").exists()


def test_a_command_that_was_killed_is_mentioned_by_the_next_one_and_by_no_other(tmp_path, monkeypatch):
    class KilledError(BaseException):
        pass

    class Killer(SilentDisplay):
        def epoch_ended(self, record, selected):
            raise KilledError

    with pytest.raises(KilledError):
        sweep(tmp_path / "s", display=Killer())
    told = []
    for _ in range(2):
        display = SilentDisplay()
        sweep(tmp_path / "s", display=display)
        told.append([message for message in display.messages if "was cut off" in message])
    assert [len(messages) for messages in told] == [1, 0]
    fresh = SilentDisplay()
    sweep(tmp_path / "t", display=fresh)
    assert fresh.messages == []


def test_a_journal_from_before_failures_had_a_kind_is_read(tmp_path, text):
    sweep(tmp_path / "s", with_axes(text, "model.fail: always\n  lr: 0.1"))
    path = tmp_path / "s" / "journal.jsonl"
    events = [{k: v for k, v in event.items() if k not in ("kind", "crc")} for event in read_journal(path)]
    path.unlink()
    journal = Journal(path)
    journal.append(*events)
    journal.close()
    (run,) = read_state(path).runs.values()
    assert (run.outcome.status, run.outcome.failure) == (RunStatus.FAILED, None)
    results = json.loads((tmp_path / "s" / "results.json").read_text())
    del results["runs"][0]["failure"]
    (tmp_path / "s" / "results.json").write_text(json.dumps(results))
    assert load_results(tmp_path / "s").runs[0].failure is None


def test_a_run_alone_that_runs_out_of_memory_names_its_batch_size_and_keeps_it(tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. 1.5 GiB are free.")

    monkeypatch.setattr(SingleLearner, "train_step", refuse)
    sweep(tmp_path / "s")
    assert {(run["failure"], run["cause"], run["batch_size"]) for run in tables(tmp_path / "s")["runs"]} == {
        ("out of memory", "tried to allocate 2.00 GiB; use a batch_size below 16, or a smaller model", 16)
    }
