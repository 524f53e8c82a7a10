"""A comparison of sweeps as JSON."""

import json
from collections import Counter
from typing import Any

from cnnsweep.analysis.compare import Comparison, RankedTrial, SharedTrial
from cnnsweep.analysis.compare_differences import UNKNOWN_FACT, facts_of
from cnnsweep.analysis.compare_sources import Source
from cnnsweep.report.compare_classes import classes_to_json
from cnnsweep.storage.atomic_files import to_json


def compare_to_json(comparison: Comparison, top: int | None = None) -> str:
    """Return the whole comparison as JSON, with the first `top` ranked trials; all if it is None or 0."""
    objective = comparison.objective
    content: dict[str, Any] = {
        "metric": objective.metric,
        "mode": objective.mode,
        "sweeps": [_sweep_to_json(source) for source in comparison.sources],
        "warnings": list(comparison.warnings),
        "axes": list(comparison.axes),
        "settings": [_trial_to_json(one, objective.metric) for one in comparison.trials[: top or None]],
        "shared": [_shared_to_json(one) for one in comparison.shared],
        "differences": [
            {
                "name": one.name,
                "values": {letter: value for letter, value in one.values.items() if value is not UNKNOWN_FACT},
                "unknown": [letter for letter, value in one.values.items() if value is UNKNOWN_FACT],
            }
            for one in comparison.distinctions
        ],
    }
    if comparison.classes is not None:
        content["recall_by_class"] = classes_to_json(comparison.classes)
    return json_text(content)


def json_text(content: dict[str, Any]) -> str:
    """Return content as JSON, in lines."""
    # `to_json` replaces values that JSON lacks; pure ASCII cannot control a terminal.
    return json.dumps(json.loads(to_json(content)), indent=2, allow_nan=False) + "\n"


def _sweep_to_json(source: Source) -> dict[str, Any]:
    sweep, runs = source.results.sweep, source.results.runs
    facts = {key: value for key, value in facts_of(source).items() if value is not UNKNOWN_FACT}
    return {
        "sweep": source.letter,
        "name": sweep.name,
        "folder": str(source.results.folder),
        "status": sweep.status,
        "runs": dict(Counter(run.status.value for run in runs)),
        "duration": sweep.duration,
        "facts": facts,
        "missing": list(source.missing),
    }


def _trial_to_json(one: RankedTrial, metric: str) -> dict[str, Any]:
    trial, found = one.trial, one.trial.estimate
    return {
        "place": trial.place,
        "sweep": one.source.letter,
        "configuration": trial.trial_id,
        "settings": dict(one.values),
        "metric": metric,
        "mean": None if found is None else found.mean,
        "deviation": None if found is None else found.deviation,
        "low": None if found is None else found.low,
        "high": None if found is None else found.high,
        "count": len(trial.figures),
        "failed": trial.failed,
        "tied": trial.tied,
        "is_better_than_baseline": one.is_better,
        "runs": [
            {
                "run": run.name,
                "status": run.status.value,
                "seed": run.params.get("seed"),
                "fold": run.fold,
                **run.metrics,
            }
            for run in trial.runs
        ],
    }


def _shared_to_json(one: SharedTrial) -> dict[str, Any]:
    found = one.difference
    return {
        "first": one.first.source.letter,
        "second": one.second.source.letter,
        "settings": dict(one.first.values),
        "first_place": one.first.trial.place,
        "second_place": one.second.trial.place,
        "difference": found.mean,
        "low": found.low,
        "high": found.high,
        "sure": found.sure,
        "pairs": found.pairs,
        "identical": one.are_identical,
    }
