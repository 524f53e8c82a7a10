"""One epoch of a run in the form in which it is written: journal event, log line and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cnnsweep.storage.best_weights import weights_digest
from cnnsweep.storage.checkpoint import digest, encode_last, on_cpu
from cnnsweep.storage.rows import event_from_record
from cnnsweep.storage.state import SweepState
from cnnsweep.types import PLAIN, EpochRecord, EpochReport


@dataclass(frozen=True, slots=True)
class EncodedEpoch:
    """An epoch of a run before it is written: its journal event names the files that follow.

    Attributes:
        weights: those that count as the run's, as `on_cpu` returns them; empty for an epoch that diverged.
        last: the last checkpoint; None for an epoch that diverged.
        is_best: the run's best weights are those of this epoch.
    """

    record: EpochRecord
    event: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    last: bytes | None
    is_best: bool


def encode_epoch(report: EpochReport, history: SweepState) -> EncodedEpoch:
    """Encode the last checkpoint of an epoch, and select the best epoch of its run."""
    record = report.record
    # The last finite checkpoint is worth more than a diverged one.
    is_sound = record.divergence is None
    weights = on_cpu(report.weights) if is_sound else {}
    last = encode_last(record, weights, report.optimizer) if is_sound else None
    if is_sound and report.averaged is not None:
        weights = on_cpu(report.averaged)
    selected = history.objective.selected([*history.runs[record.run_id].records, record])
    is_best = selected is not None and selected.epoch == record.epoch
    best_sha256 = weights_digest(weights) if is_best else None
    fields = event_from_record(record, None if last is None else digest(last), best_sha256)
    return EncodedEpoch(record, {"event": "epoch", **fields}, weights, last, is_best)


def measured_metrics(record: EpochRecord) -> dict[str, float]:
    """Return the metrics of an epoch that were measured."""
    return {name: value for name, value in record.metrics.items() if value is not None}


def describe_epoch(report: EpochReport) -> str:
    """Return the line of an epoch in the run's log."""
    record = report.record
    values = [f"{name} {value:.6g}" for name, value in measured_metrics(record).items()]
    weights = "" if record.weights == PLAIN else f" with the {record.weights} of the weights"
    return f"epoch {record.epoch}: {', '.join(values)}{weights}, {record.epoch_duration:.2f} s"
