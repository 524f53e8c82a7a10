"""Evaluations as JSON: the output of `--json`, and `evaluation.json` in a run's folder."""

from __future__ import annotations

import base64
import json
from typing import Any

from cnnsweep.analysis.evaluation import Evaluation, LabelEvaluation, TrialEvaluation
from cnnsweep.analysis.run_evaluation import VERSION, WrongImage
from cnnsweep.analysis.statistics import Estimate
from cnnsweep.metrics.names import ACCURACY
from cnnsweep.storage.atomic_files import to_json


def trial_to_json(trial: TrialEvaluation) -> str:
    """Return every metric of every run as JSON, and their means with intervals."""
    content = {
        "configuration": trial.trial_id,
        "refit": trial.is_refit,
        "metric": trial.together.decides,
        "accuracy": _mean(trial.accuracy),
        "metrics": {name: _mean(one) for name, one in trial.estimates.items()},
        "notes": list(trial.notes),
        "runs": [_to_mapping(one) for one in trial.evaluations],
    }
    return json.dumps(content, indent=2)  # ASCII cannot control a terminal


def _mean(found: Estimate) -> dict[str, Any]:
    return {"mean": found.mean, "low": found.low, "high": found.high, "runs": found.count}


def evaluation_to_json(evaluation: Evaluation) -> str:
    """Return every metric as JSON."""
    return json.dumps(_to_mapping(evaluation), indent=2)  # ASCII cannot control a terminal


def evaluation_file(evaluation: Evaluation) -> str:
    """Return the text of `evaluation.json`, which `run_evaluation` reads."""
    content = {
        "version": VERSION,
        "run": evaluation.run,
        "epoch": evaluation.epoch,
        "split": evaluation.split,
        "accuracy": evaluation.accuracy,
        "loss": evaluation.loss,
        "classes": list(evaluation.classes),
        **_tables(evaluation),
        "wrong": [
            {**_wrong(one), "png": base64.b64encode(one.png).decode("ascii")} for one in evaluation.wrong if one.png
        ],
        **({"metrics": dict(evaluation.metrics)} if evaluation.metrics else {}),
        "intervals": evaluation.known_intervals,
        "baseline": dict(evaluation.baselines),
        **_tta(evaluation),
    }
    return to_json(content) + "\n"


def _to_mapping(evaluation: Evaluation) -> dict[str, Any]:
    names = evaluation.classes
    intervals = evaluation.known_intervals
    low, high = intervals[ACCURACY]
    return {
        "checkpoint": evaluation.checkpoint,
        "run": evaluation.run,
        "epoch": evaluation.epoch,
        "settings": dict(evaluation.params),
        "split": evaluation.split,
        **_tta(evaluation),
        "images": evaluation.images,
        "metric": evaluation.decides,
        "loss": evaluation.loss,
        "accuracy": evaluation.accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "metrics": dict(evaluation.metrics),
        "intervals": intervals,
        "baseline": dict(evaluation.baselines),
        "remarks": evaluation.remarks(),
        "classes": list(names),
        "class_accuracy": dict(zip(names, evaluation.class_accuracies(), strict=True)),
        "by_class": [_class_to_mapping(evaluation, place) for place in range(len(names))],
        **_tables(evaluation),
        **_most_confused(evaluation),
        "wrong": [_wrong(one) for one in evaluation.wrong],
        "notes": list(evaluation.notes),
    }


def _tta(evaluation: Evaluation) -> dict[str, Any]:
    return {} if evaluation.tta is None else {"tta": evaluation.tta}


def _tables(evaluation: Evaluation) -> dict[str, Any]:
    """Return the confusion matrix; with several labels an image, the counts by label and their thresholds."""
    if not isinstance(evaluation, LabelEvaluation):
        return {"confusion": [list(row) for row in evaluation.confusion]}
    return {
        "labels": "several",
        "images": evaluation.total,
        "correct": evaluation.right,
        "thresholds": list(evaluation.thresholds),
        "counts": [list(row) for row in evaluation.counts],
        "average_precision": list(evaluation.average_precision),
    }


def _most_confused(evaluation: Evaluation) -> dict[str, Any]:
    if isinstance(evaluation, LabelEvaluation):
        return {}
    pairs = evaluation.most_confused(10)
    return {"most_confused": [{"true": true, "predicted": other, "images": images} for true, other, images in pairs]}


def _class_to_mapping(evaluation: Evaluation, place: int) -> dict[str, Any]:
    counts = evaluation.of_class(place)
    return {
        "class": counts.name,
        "images": counts.images,
        "predicted": counts.predicted,
        "correct": counts.correct,
        "recall": counts.recall,
        "precision": counts.precision,
        "f1": counts.f1,
        "intervals": {"recall": counts.recall_ends, "precision": counts.precision_ends, "f1": counts.f1_ends},
        **_label_to_mapping(evaluation, place),
    }


def _label_to_mapping(evaluation: Evaluation, place: int) -> dict[str, Any]:
    """Return what a label has in addition."""
    if not isinstance(evaluation, LabelEvaluation):
        return {}
    thresholds = evaluation.thresholds
    return {
        "average_precision": evaluation.average_precision[place],
        "threshold": thresholds[place] if thresholds else None,
    }


def _wrong(one: WrongImage) -> dict[str, Any]:
    named = {} if one.file is None else {"file": one.file}
    return {
        "index": one.index,
        **named,
        "label": one.label,
        "predicted": one.predicted,
        "probability": one.probability,
        **({"missed": list(one.missed), "invented": list(one.invented)} if one.missed or one.invented else {}),
    }
