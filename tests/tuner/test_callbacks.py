"""A user's callback: every event in order, alone, fused and with worker processes; its errors and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from small_sweeps import SEARCH, SMALL, SilentDisplay, tables

import cnnsweep
from cnnsweep.callbacks import Callback, ErrorPolicy
from cnnsweep.config.load import parse_sweep
from cnnsweep.storage.journal import read_journal
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.sweep import SweepOptions, SweepResult, run_sweep
from cnnsweep.trackers.base import Tracker
from cnnsweep.tuner.callbacks import CallbackList
from cnnsweep.types import Decision, RunOutcome, RunStatus

WAYS: dict[str, dict[str, Any]] = {"alone": {"fuse": "off"}, "fused": {"fuse": 2}, "processes": {"jobs": 2}}


class Log(Callback):
    """Keeps every event, and raises or decides at one of them."""

    def __init__(self, fails_at: str = "", decision: Decision | None = None, epoch: int = 1) -> None:
        self.events: list[tuple[str, Any]] = []
        self._fails_at = fails_at
        self._decision = decision
        self._epoch = epoch

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    def _add(self, name: str, detail: Any = None) -> None:
        self.events.append((name, detail))
        if name == self._fails_at:
            raise ValueError("mine")

    def on_sweep_start(self, sweep: Any) -> None:
        self._add("sweep_start", len(sweep.runs))

    def on_trials_added(self, runs: Sequence[Any], to_come: int) -> None:
        self._add("trials_added", (len(runs), to_come))

    def on_rewind(self, run: Any, last: Any) -> None:
        self._add("rewind", (run.id, last and last.epoch))

    def on_run_start(self, run: Any, last: Any) -> None:
        self._add("run_start", (run.id, last and last.epoch))

    def on_batch_end(self, run_ids: Any, epoch: int, done: int, total: int) -> None:
        self._add("batch_end", (tuple(run_ids), epoch, done, total))

    def on_epoch_end(self, reports: Any) -> dict[str, Decision]:
        self._add("epoch_end", [(report.record.run_id, report.record.epoch) for report in reports])
        at_epoch = [report.record.run_id for report in reports if report.record.epoch == self._epoch]
        return {} if self._decision is None else dict.fromkeys(at_epoch[:1], self._decision)

    def on_run_end(self, outcome: RunOutcome) -> None:
        self._add("run_end", (outcome.run_id, str(outcome.status)))

    def on_log(self, text: str, level: int = 0) -> None:
        self.events.append(("log", text))

    def on_sweep_end(self, status: str) -> None:
        self._add("sweep_end", status)


def train(folder: Path, callbacks: Sequence[Callback], text: str = SMALL, **options: Any) -> Any:
    options = {"fuse": "off", "quiet": True, **options}
    return cnnsweep.run(text, folder=folder, callbacks=callbacks, **options)


def statuses(folder: Path) -> list[str]:
    return [row["status"] for row in tables(folder)["runs"]]


@pytest.mark.parametrize("way", WAYS)
def test_a_callback_gets_every_event_in_order(tmp_path: Path, way: str) -> None:
    log = Log()
    sweep = train(tmp_path / "s", [log], **WAYS[way])
    names = [name for name in log.names if name != "log"]
    assert (names[0], names[-1]) == ("sweep_start", "sweep_end")
    assert log.events[-1] == ("sweep_end", "finished")
    runs = [detail[0] for name, detail in log.events if name == "run_start"]
    assert len(runs) == 2
    for run in runs:
        mine = [
            (name, detail[1]) for name, detail in log.events if name in ("run_start", "run_end") and detail[0] == run
        ]
        assert mine == [("run_start", None), ("run_end", "finished")]
        epochs = [epoch for name, detail in log.events if name == "epoch_end" for id_, epoch in detail if id_ == run]
        assert epochs == [1, 2]
    if way != "processes":  # of these, few batches are reported
        batches = [detail for name, detail in log.events if name == "batch_end"]
        assert [(epoch, done) for ids, epoch, done, _ in batches if runs[0] in ids] == [
            (epoch, done) for epoch in (1, 2) for done in range(1, batches[0][3] + 1)
        ]
    assert sweep.status == "finished"


def test_a_callback_gets_the_trials_that_a_sampler_adds(tmp_path: Path) -> None:
    log = Log()
    train(tmp_path / "s", [log], SEARCH)
    added = [detail for name, detail in log.events if name == "trials_added"]
    assert [count for count, _ in added] == [2, 1, 1] or sum(count for count, _ in added) == 4
    assert added[-1][1] == 0
    assert "waiting" in [detail[1] for name, detail in log.events if name == "run_end"]


def test_an_epoch_is_on_the_disk_before_a_callback_gets_it(tmp_path: Path) -> None:
    journal = SweepPaths(tmp_path / "s").journal
    seen = []

    class Reader(Callback):
        def on_epoch_end(self, reports: Any) -> None:
            known = sum(event["event"] == "epoch" for event in read_journal(journal))
            checkpoints = list((tmp_path / "s").glob("*/last.safetensors"))
            seen.append((known, len(checkpoints)))

    train(tmp_path / "s", [Reader()])
    assert seen == [(1, 1), (2, 1), (3, 2), (4, 2)]


@pytest.mark.parametrize(
    ("way", "event"),
    [
        *((way, event) for way in WAYS for event in ("sweep_start", "run_start", "epoch_end", "run_end")),
        *((way, "batch_end") for way in ("alone", "fused")),  # of processes, few batches are reported
    ],
)
def test_an_error_of_a_callback_stops_the_sweep_which_resumes_later(tmp_path: Path, way: str, event: str) -> None:
    folder = tmp_path / "s"
    log = Log(fails_at=event)
    with pytest.raises(ValueError, match="mine"):
        train(folder, [log], **WAYS[way])
    assert log.names.count(event) == 1
    assert log.names[-1] == event or log.names[-1] == "log"  # nothing more
    assert "failed" not in statuses(folder)
    whole = train(tmp_path / "whole", [], **WAYS[way])
    resumed = train(folder, [], **WAYS[way])
    assert list(resumed.runs["status"]) == ["finished", "finished"]
    columns = ["run", "epoch", "loss", "val_accuracy"]
    assert resumed.epochs[columns].values.tolist() == whole.epochs[columns].values.tolist()


def test_an_error_at_the_end_of_the_sweep_is_raised_as_well(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"):
        train(tmp_path / "s", [Log(fails_at="sweep_end")])
    assert statuses(tmp_path / "s") == ["finished", "finished"]


def test_a_callback_can_stop_a_run_early(tmp_path: Path) -> None:
    log = Log(decision=Decision.STOP)
    train(tmp_path / "s", [log], fuse=2)
    assert sorted(statuses(tmp_path / "s")) == ["finished", "stopped"]
    journal = read_journal(SweepPaths(tmp_path / "s").journal)
    causes = [event["cause"] for event in journal if event.get("status") == "stopped"]
    assert causes == ["stopped early after epoch 1"]
    train(tmp_path / "s", [])  # without a pruner it resumes
    assert statuses(tmp_path / "s") == ["finished", "finished"]


def test_a_callback_can_stop_the_sweep(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "s", [Log(decision=Decision.INTERRUPT)], fuse=2)
    assert statuses(tmp_path / "s") == ["interrupted", "interrupted"]


class Broken(Tracker, name="broken"):
    fails_at: str = "setup"

    def setup(self, context: Any) -> None:
        self._fail("setup")

    def on_run_start(self, run: Any, last: Any) -> None:
        self._fail("run_start")

    def on_epoch_end(self, reports: Any) -> None:
        self._fail("epoch_end")

    def on_run_end(self, outcome: Any) -> None:
        self._fail("run_end")

    def on_sweep_end(self, status: str) -> None:
        self._fail("sweep_end")

    def close(self) -> None:
        self._fail("close")

    def _fail(self, event: str) -> None:
        if event == self.fails_at:
            raise OSError(28, "No space left")


@pytest.mark.parametrize("event", ["setup", "run_start", "epoch_end", "run_end", "sweep_end", "close"])
def test_a_tracker_that_raises_is_dropped_with_one_line(tmp_path: Path, event: str) -> None:
    display = SilentDisplay()
    spec = parse_sweep(SMALL, "small.yaml", ())
    result: SweepResult = run_sweep(
        spec, SweepOptions(tmp_path / "s", tmp_path, fuse="off"), [display, Broken(fails_at=event)]
    )
    assert set(result.statuses.values()) == {RunStatus.FINISHED}
    assert [line for line in display.messages if "broken" in line] == [
        "broken: cannot write (No space left); the sweep continues without it"
    ]


def test_decisions_of_several_callbacks_are_merged() -> None:
    class Deciding(Callback):
        error_policy = ErrorPolicy.RAISE

        def __init__(self, **decisions: Decision) -> None:
            self._decisions = decisions

        def on_epoch_end(self, reports: Any) -> dict[str, Decision]:
            return self._decisions

    stop, interrupt, going = Decision.STOP, Decision.INTERRUPT, Decision.CONTINUE
    events = CallbackList([Deciding(a=interrupt, b=stop), Callback(), Deciding(a=stop, b=going, c=stop)])
    assert events.on_epoch_end([]) == {"a": interrupt, "b": stop, "c": stop}
