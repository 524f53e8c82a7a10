"""The calls of Python functions in the package for one epoch's end of one run: rows, files and lines are made in place.

A count depends on no clock. It grows with the batches, whose losses TensorBoard has one by one, and with the tensors of
the model: here ten batches and six tensors.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from small_sweeps import sweep

import cnnsweep
from cnnsweep.tuner.training_events import TrainingEvents
from cnnsweep.types import Decision, EpochReport

OURS = str(Path(cnnsweep.__file__).parent)
TEXT = """
name: counted
dataset: {name: shapes, size: 12, classes: 3, train: 100, test: 10}
model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8]}
params: {lr: 0.01, batch_size: 10, epochs: 4}
metric: loss
mode: max
tensorboard: {graph: false}
"""  # by the greatest training loss the first epoch stays the best, so that later ones write no best weights


def test_an_epochs_end_makes_fewer_than_300_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    counts: list[int] = []
    on_epoch_end = TrainingEvents.on_epoch_end

    def counted(events: TrainingEvents, reports: Sequence[EpochReport]) -> Mapping[str, Decision]:
        calls = 0

        def note(frame: FrameType, event: str, _argument: Any) -> None:
            nonlocal calls
            calls += event == "call" and frame.f_code.co_filename.startswith(OURS)

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            return on_epoch_end(events, reports)
        finally:
            sys.setprofile(before)
            counts.append(calls)

    monkeypatch.setattr(TrainingEvents, "on_epoch_end", counted)
    sweep(tmp_path, TEXT)
    assert len(counts) == 4
    assert 0 < min(counts[1:]) < 300, counts  # the first writes the tables too, which takes its time from time to time
