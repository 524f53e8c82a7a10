"""Sweeps that train in a moment, and what to ask of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnsweep.callbacks import INFO, WARNING, HasRecord, RunInfo, SweepOverview
from cnnsweep.config.load import parse_sweep
from cnnsweep.progress.base import Display
from cnnsweep.sweep import SweepOptions, SweepResult, run_sweep
from cnnsweep.types import EpochRecord, RunOutcome

SMALL = """
name: small
dataset: {name: shapes, size: 12, classes: 3, train: 60, test: 30}
model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8], dropout: 0.2}
params:
  lr: [0.01, 0.001]
  batch_size: 16
  augment: flip
  epochs: 2
tensorboard: {graph: false}
"""

SEARCH = """
name: small
dataset: {name: shapes, size: 12, classes: 3, train: 48, test: 6}
model: {name: cnn, channels: [2], kernel_size: 3, hidden: []}
search: {method: tpe, runs: 4, round: 2}
early_stop: {method: halving, min_epochs: 1, factor: 2}
params: {lr: {log_uniform: [1.0e-3, 0.1]}, batch_size: 16, epochs: 2}
tensorboard: false
"""


class SilentDisplay(Display):
    """Shows nothing, and keeps the events; a test overrides `run_started`, `epoch_ended` or `run_ended`."""

    def __init__(self) -> None:
        self.overview: SweepOverview | None = None
        self.added: list[tuple[tuple[RunInfo, ...], int]] = []
        self.started: list[str] = []
        self.records: list[EpochRecord] = []
        self.outcomes: list[RunOutcome] = []
        self.data: list[str] = []
        self.notes: list[str] = []
        self.messages: list[str] = []

    def on_sweep_start(self, sweep: SweepOverview) -> None:
        self.overview = sweep
        super().on_sweep_start(sweep)

    def on_trials_added(self, runs: Sequence[RunInfo], to_come: int) -> None:
        self.added.append((tuple(runs), to_come))
        super().on_trials_added(runs, to_come)

    def on_run_start(self, run: RunInfo, last: EpochRecord | None) -> None:
        super().on_run_start(run, last)
        self.run_started(run.id)

    def on_epoch_end(self, reports: Sequence[HasRecord]) -> None:
        for report in reports:
            super().on_epoch_end((report,))
            self.epoch_ended(report.record, self.progress.runs[report.record.run_id].selected)

    def on_run_end(self, outcome: RunOutcome) -> None:
        super().on_run_end(outcome)
        self.run_ended(outcome)

    def run_started(self, run_id: str) -> None:
        self.started.append(run_id)

    def epoch_ended(self, record: EpochRecord, selected: EpochRecord | None) -> None:
        self.records.append(record)

    def run_ended(self, outcome: RunOutcome) -> None:
        self.outcomes.append(outcome)

    def on_log(self, text: str, level: int = WARNING) -> None:
        is_of_data = text.startswith(("data: ", "images: "))  # every sweep begins with these
        (self.messages if level > INFO else self.data if is_of_data else self.notes).append(text)


def sweep(
    folder: Path, text: str = SMALL, display: Any = None, overrides: Sequence[str] = (), **options: Any
) -> SweepResult:
    """Run a sweep file's text in a folder; each run alone if not asked otherwise, since measuring differs each time."""
    options.setdefault("fuse", "off")
    spec = parse_sweep(text, "small.yaml", overrides)
    return run_sweep(spec, SweepOptions(folder, folder, tuple(overrides), **options), [display or SilentDisplay()])


def tables(folder: Path) -> dict[str, Any]:
    """Return the content of results.json."""
    content: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return content


def untimed(folder: Path) -> dict[str, Any]:
    """Return every figure of a sweep that must not depend on when, where and how often it was interrupted."""
    content = tables(folder)
    rows = [
        {k: v for k, v in row.items() if not k.endswith("duration")} for row in [*content["runs"], *content["epochs"]]
    ]
    losses = {row["run"]: (folder / row["run"] / "batch_loss.csv").read_text() for row in content["runs"]}
    weights = {row["run"]: folder / row["run"] / "best.safetensors" for row in content["runs"]}
    best = {run: path.read_bytes() if path.exists() else None for run, path in weights.items()}
    evaluations = {path.parent.name: path.read_bytes() for path in folder.glob("*/evaluation.json")}
    winner = content["sweep"]["best"]
    return {"rows": rows, "batch losses": losses, "best": best, "winner": winner, "evaluations": evaluations}
