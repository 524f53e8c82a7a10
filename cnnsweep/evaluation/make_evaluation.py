"""The evaluation of a run, from what was measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnsweep.analysis.evaluation import Evaluation, LabelEvaluation
from cnnsweep.evaluation.measure import Measurement
from cnnsweep.evaluation.measure_labels import LabelMeasurement
from cnnsweep.metrics.names import ACCURACY, LOSS, without_prefix


def make_evaluation(
    found: Measurement | LabelMeasurement,
    weights_file: Path,
    *,
    run: str,
    epoch: int,
    split: str,
    classes: Sequence[str],
    params: Mapping[str, Any],
    objective: str | None,
    notes: Sequence[str] = (),
    tta: str | None = None,
) -> Evaluation:
    """Return the evaluation of a run from what was measured.

    Args:
        objective: the metric by which the sweep selects; None if unknown.
        tta: test-time augmentation; None without any.
    """
    unknown = [f"{name} has no value here: {reason}" for name, reason in found.missing.items()]
    ends = {LOSS: found.loss_interval, **{name: one.interval for name, one in found.metrics.items()}}
    common: dict[str, Any] = {
        "checkpoint": str(weights_file),
        "run": run,
        "epoch": epoch,
        "split": split,
        "loss": found.loss,
        "classes": tuple(classes),
        "params": params,
        "tta": tta,
        "notes": (*notes, *unknown),
        "wrong": found.wrong,
        "metrics": {name: one.value for name, one in found.metrics.items()},
        "intervals": {name: interval for name, interval in ends.items() if interval is not None},
        "baselines": {name: one.baseline for name, one in found.metrics.items() if one.baseline is not None},
        "objective": None if objective is None else without_prefix(objective),
    }
    if isinstance(found, Measurement):
        rows = [sum(row) for row in found.confusion]
        common["baselines"] = {ACCURACY: max(rows) / sum(rows), **common["baselines"]}
        return Evaluation(confusion=found.confusion, **common)
    common["baselines"] = {ACCURACY: found.baseline, **common["baselines"]}
    return LabelEvaluation(
        confusion=(),
        total=found.images,
        right=found.right,
        thresholds=found.thresholds,
        counts=found.counts,
        average_precision=found.average_precision,
        **{**common, "notes": (*common["notes"], *found.notes)},
    )
