"""Events and rows as plain JSON values: journal, last checkpoint and tables hold the same.

The standard metrics are fields of their own, as they always were; others are below `metrics`, which earlier journals
do not have. A field that is added later must be optional here.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cnnsweep.metrics.names import ALWAYS, STANDARD
from cnnsweep.types import PLAIN, EpochRecord, FailureKind, PruneDecision, Run, RunOutcome, RunStatus


def row_from_record(record: EpochRecord) -> dict[str, Any]:
    """Return the fields of a record but for its run."""
    metrics = record.metrics
    row: dict[str, Any] = {"epoch": record.epoch}
    for name in STANDARD:
        row[name] = metrics.get(name)
    row["epoch_duration"] = record.epoch_duration
    row["run_duration"] = record.run_duration
    row["lr"] = record.lr
    row["steps"] = record.steps
    row["divergence"] = record.divergence
    further = {name: value for name, value in metrics.items() if name not in STANDARD}
    if further:
        row["metrics"] = further
    if record.weights != PLAIN:
        row["weights"] = record.weights
    if record.others:
        row["others"] = {name: dict(values) for name, values in record.others.items()}
    return row


def event_from_record(record: EpochRecord, checkpoint: str | None, best: str | None = None) -> dict[str, Any]:
    """Return the fields of an `epoch` event; a value that is not finite becomes null in the file.

    Args:
        checkpoint: the SHA-256 of the last checkpoint.
        best: the digest of the weights, where they are the best so far.
    """
    return {"run": record.run_id, **row_from_record(record), "checkpoint": checkpoint, "best": best}


def record_from_event(event: Mapping[str, Any]) -> EpochRecord:
    """Return the record of an `epoch` event."""
    return record_from_row(event["run"], event)


def record_from_row(run_id: str, row: Mapping[str, Any]) -> EpochRecord:
    """Undo `row_from_record`; a loss or accuracy that is null was NaN.

    Raises:
        LookupError: a field is missing.
    """
    metrics: dict[str, float | None] = {}
    for name in STANDARD:
        metrics[name] = row[name]
    for name in ALWAYS:
        if metrics[name] is None:
            metrics[name] = math.nan
    metrics.update(row.get("metrics") or {})
    return EpochRecord(
        run_id,
        row["epoch"],
        metrics,
        row["epoch_duration"],
        row["run_duration"],
        row["lr"],
        row["steps"],
        row["divergence"],
        row.get("weights", PLAIN),
        row.get("others", {}),
    )


def event_from_decision(decision: PruneDecision) -> dict[str, Any]:
    """Return a decision as a `judged` event has it; there a trial is called a configuration."""
    fields = asdict(decision)
    return {"configuration": fields.pop("trial_id"), **fields}


def decision_from_event(fields: Mapping[str, Any]) -> PruneDecision:
    """Undo `event_from_decision`.

    Raises:
        LookupError, TypeError: a field is missing or unknown.
    """
    others = {name: value for name, value in fields.items() if name != "configuration"}
    return PruneDecision(trial_id=fields["configuration"], **others)


def event_from_run(run: Run, parameters: int) -> dict[str, Any]:
    """Return the fields of a `run` event."""
    return {
        "run": run.id,
        "name": run.name,
        "settings": dict(run.params),
        "parameters": parameters,
        "configuration": run.trial_id,
        "fold": run.fold,
        "epochs": run.hyperparameters.epochs,
    }


def outcome_from_event(event: Mapping[str, Any]) -> RunOutcome:
    """Return the outcome of an `ended` event; earlier journals do not have a kind."""
    failure = None if event.get("kind") is None else FailureKind(event["kind"])
    return RunOutcome(event["run"], RunStatus(event["status"]), event["cause"], failure=failure)
