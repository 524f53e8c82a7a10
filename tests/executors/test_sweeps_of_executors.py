"""Whole sweeps come to the same figures, weights, events and verdicts, whoever trains them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from executors import ELSEWHERE, STAFFS
from safetensors.torch import load_file
from small_sweeps import SEARCH, SMALL, SilentDisplay, sweep, untimed
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from cnnsweep.executors.local_processes import LocalWorkers
from cnnsweep.executors.messages import Decisions
from cnnsweep.executors.options import ExecutorOptions
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import read_state
from cnnsweep.types import RunStatus

HERE = ExecutorOptions(jobs=1, threads=1)
GRID = SMALL.replace("[0.01, 0.001]", "[0.01, 0.001, 0.003, 0.03]")
SEEDS = SMALL.replace("name: small", "name: small\nseeds: 3")
HALVING = GRID.replace("epochs: 2", "epochs: 4") + "early_stop: {method: halving, min_epochs: 1, factor: 2}\n"
PATIENCE = SEEDS.replace("epochs: 2", "epochs: 4") + "early_stop: {method: patience, epochs: 1}\n"
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "grid": (GRID, {"fuse": "off"}),
    "fused": (GRID, {"fuse": 2}),
    "seeds": (SEEDS, {"fuse": 3}),
    "halving": (HALVING, {"fuse": "off"}),
    "patience": (PATIENCE, {"fuse": 3}),
    "search": (SEARCH, {"fuse": "off"}),
}


def everything(folder: Path) -> dict[str, Any]:
    history = read_state(SweepPaths(folder).journal)
    lasts = {path.parent.name: weights(path) for path in sorted(folder.glob("*/last.safetensors"))}
    boards = {path.parent.name: events(path) for path in sorted(folder.glob("*/events.out.tfevents*"))}
    rounds = [(asked.drawn, asked.picks, asked.trial_ids) for asked in history.rounds]
    return {**untimed(folder), "last": lasts, "events": boards, "rounds": rounds, "verdicts": history.decisions}


def weights(path: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(path).items()}


def events(path: Path) -> list[tuple[int, str, bytes]]:
    """Return what TensorBoard shows, but for times."""
    return [
        (event.step, value.tag, value.SerializeToString(deterministic=True))
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
        if "duration" not in value.tag and "hparams" not in value.tag
    ]


def check(tmp_path: Path, kind: str, executor_options: ExecutorOptions) -> None:
    text, how = KINDS[kind]
    sweep(tmp_path / "here", text, executor_options=HERE, **how)
    display = SilentDisplay()
    result = sweep(tmp_path / "there", text, display, executor_options=executor_options, **how)
    assert set(result.statuses.values()) <= {RunStatus.FINISHED, RunStatus.STOPPED}
    here, there = everything(tmp_path / "here"), everything(tmp_path / "there")
    for part, expected in here.items():
        assert there[part] == expected, part
    assert display.messages == []
    assert here["last"]
    assert bool(here["verdicts"]) == ("early_stop" in text)


@pytest.mark.parametrize("executor", ELSEWHERE)
def test_a_search_with_rungs_ends_alike(tmp_path, executor):
    check(tmp_path, "search", STAFFS[executor])


@pytest.mark.faults
@pytest.mark.parametrize("executor", ELSEWHERE)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sweep_ends_alike(tmp_path, executor, kind):
    check(tmp_path, kind, STAFFS[executor])


@pytest.mark.faults
def test_a_worker_that_is_lost_at_a_rung_trains_nobody_beyond_it(tmp_path, monkeypatch):
    """It has told of the rung's epoch, and does not live to hear that its run is to wait there."""
    send, lost = LocalWorkers.send, []

    def send_too_late(self, worker, message):
        if not lost and isinstance(message, Decisions):  # the answer about epoch 1, which is a rung
            lost.append(worker)
            worker.kill()
        send(self, worker, message)

    text, how = KINDS["halving"]
    sweep(tmp_path / "here", text, executor_options=HERE, **how)
    monkeypatch.setattr(LocalWorkers, "send", send_too_late)
    sweep(tmp_path / "there", text, executor_options=STAFFS["processes"], **how)
    assert lost
    here, there = everything(tmp_path / "here"), everything(tmp_path / "there")
    assert there == here
