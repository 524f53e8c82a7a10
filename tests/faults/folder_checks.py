"""What a sweep's folder must be like, whatever happened to the processes that wrote it."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from small_sweeps import untimed
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader

from cnnsweep.analysis.results import load_results
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import SweepState, read_state
from cnnsweep.types import EpochRecord


def figures(folder: Path) -> dict[str, Any]:
    """Return all that must not depend on kills: figures, losses, best weights, what a search asked and a rule found."""
    history = read_state(SweepPaths(folder).journal)
    rounds = [(asked.drawn, asked.picks, asked.trial_ids) for asked in history.rounds]
    return {**untimed(folder), "rounds": rounds, "verdicts": history.decisions}


def kept_epochs(folder: Path, history: SweepState) -> dict[str, Sequence[EpochRecord]]:
    """Return, by run, the epochs that a resume must keep: all of an ended run, else those up to its checkpoint."""
    kept = {}
    for run_id, run in history.runs.items():
        files = [path for path in (folder / run.name).glob("*") if path.name.startswith(("last", "previous"))]
        there = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
        epoch = max((run.checkpoints.get(sha256, 0) for sha256 in there), default=0)
        is_ended = run.outcome is not None and run.outcome.status.is_final
        kept[run_id] = [record for record in run.records if is_ended or record.epoch <= epoch]
    return kept


def lost_epochs(kept: Mapping[str, Sequence[EpochRecord]], history: SweepState) -> list[str]:
    """Return the epochs that are gone, or were trained again: their durations tell."""
    return [
        f"epoch {record.epoch} of {history.runs[run_id].name}"
        for run_id, records in kept.items()
        for record in records
        if record not in history.runs[run_id].records
    ]


def unreadable_files(folder: Path) -> list[str]:
    """Return the files of a sweep that their reader does not take."""
    problems = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            try:
                _read(path)
            except Exception as error:
                problems.append(f"{path.relative_to(folder)}: {error!r}")
    return problems


def _read(path: Path) -> None:
    if path.name == "journal.jsonl":
        read_state(path)
    elif path.name == "results.json":
        load_results(path)
    elif "tfevents" in path.name:
        _read_events(path)
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".csv":
        with path.open(newline="") as file:
            widths = {len(row) for row in csv.reader(file)}
        assert len(widths) <= 1, "rows of different lengths"
    elif path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a dict
                file.get_tensor(name)
    elif path.suffix == ".pt":
        torch.load(path, weights_only=True)
    else:
        assert path.suffix in (".yaml", ".txt"), "a file that nobody knows"
        path.read_text()


def _read_events(path: Path) -> None:
    """Read whole events; only a torn last one may fail to be read."""
    whole = 0
    try:
        for raw in RawEventFileLoader(str(path)).Load():
            whole += len(raw) + 16  # length and two checksums
    except Exception:
        assert whole <= path.stat().st_size
