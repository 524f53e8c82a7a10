"""Schema of journal events: an event that cnnsweep did not write is an error, and no surprise later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnnsweep.metrics.names import STANDARD, info_of, is_metric_name, recorded_names
from cnnsweep.storage.paths import is_folder_name
from cnnsweep.types import PLAIN, WEIGHTS

_NUMBER = (int, float)
_VALUE = (int, float, type(None))
_TEXT_OR_NONE = (str, type(None))
_MOST_THREADS = 4096

# By kind, what type each field has; those with a `?` are missing in journals of earlier versions.
_FIELDS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "sweep": {
        **dict.fromkeys(("name", "dataset", "fingerprint", "model", "metric", "mode", "precision", "device"), str),
        **{"version": int, "spec": str, "seed": int, "threads": int, "normalize": dict, "overrides": list},
        **{"description": _TEXT_OR_NONE, "validation": _NUMBER, "scope?": str, "folds?": (int, type(None))},
        **{
            "search?": (dict, type(None)),
            "early_stop?": (dict, type(None)),
            "former?": list,
            "metrics?": list,
            "code?": dict,
        },
        **dict.fromkeys(("validation_images?", "largest_class?"), (int, type(None))),
        **{"subset?": _NUMBER, "classes?": list, "counts?": dict, "baselines?": dict, "labels?": str},
    },
    "run": {
        **{"run": str, "name": str, "settings": dict, "parameters": int, "configuration?": str},
        **{"fold?": (int, type(None)), "epochs?": (int, type(None))},
    },
    "asked": {"space": str, "drawn": int, "picks": list, "configurations": list},
    "planned": {"groups": list, "conditions": dict, "goals?": dict},
    "epoch": {
        **{"run": str, "epoch": int, "steps": int, "lr": _VALUE, "checkpoint": _TEXT_OR_NONE, "best?": _TEXT_OR_NONE},
        **dict.fromkeys(STANDARD, _VALUE),
        **{"metrics?": dict, "weights?": str, "others?": dict},
        **{"epoch_duration": _NUMBER, "run_duration": _NUMBER, "divergence": _TEXT_OR_NONE},
    },
    "judged": {"verdicts": list},
    "resumed": {"run": str, "epoch": int},
    "ended": {"run": str, "status": str, "cause": _TEXT_OR_NONE, "kind?": _TEXT_OR_NONE},
    "cleaned": {},
    "left": {"status": str, "elapsed?": _VALUE},
    "tested": {
        **dict.fromkeys(("run", "configuration", "split"), str),
        **{"accuracy": _NUMBER, "loss": _VALUE, "images": int, "correct": int, "refit": bool},
        **{"metrics?": dict, "intervals?": dict, "tta?": str},
    },
}

_GROUP: Mapping[str, type | tuple[type, ...]] = {
    **{"programs": list, "threaded": bool, "why": str, "step_s": _VALUE, "kind?": str, "companions?": dict},
    "way?": (dict, type(None)),
}
_WAY: Mapping[str, type | tuple[type, ...]] = {
    **{"size": int, "threads": int, "of": int, "most": int, "why": str, "alone_s": _VALUE, "step_s": _VALUE},
}


def check_event(event: Mapping[str, Any]) -> None:
    """Check an event's fields.

    Raises:
        ValueError: one is missing or wrong; the message says which.
    """
    kind = event.get("event")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise ValueError("its kind is unknown")
    _check(event, {"time": str, **_FIELDS[kind]})
    if kind == "sweep":
        _check_metrics(event.get("metrics", []))
        names = recorded_names(map(info_of, event.get("metrics", [])))
        if event["metric"] not in names or event["mode"] not in ("min", "max"):
            raise ValueError("there is no such metric or mode")
        _check_labels(event)
        if not 1 <= event["threads"] <= _MOST_THREADS:
            raise ValueError("'threads' is out of range")
    elif kind == "epoch":
        if not all(isinstance(value, _VALUE) and value is not True for value in event.get("metrics", {}).values()):
            raise ValueError("'metrics' are no numbers")
        _check_weights(event.get("weights", PLAIN), event.get("others", {}))
    elif kind == "run" and not is_folder_name(event["name"]):
        raise ValueError("the run's name is not that of a folder")
    elif kind == "asked":
        _check_round(event["picks"], event["configurations"])
    elif kind == "planned":
        _check_plan(event["groups"], event["conditions"], event.get("goals", {}))


def _check_metrics(metrics: list[Any]) -> None:
    for metric in metrics:
        flags = dict.fromkeys(("greater_is_better", "on_training?", "on_validation?"), bool)
        _check(metric, {"name": str, **flags})
        if not is_metric_name(metric["name"]):
            raise ValueError("a metric's name is none")


def _check_weights(weights: str, others: Mapping[str, Any]) -> None:
    if weights not in WEIGHTS or not others.keys() <= set(WEIGHTS) - {weights}:
        raise ValueError("there are no such weights")
    for values in others.values():
        if not isinstance(values, dict) or not all(isinstance(v, _VALUE) and v is not True for v in values.values()):
            raise ValueError("'others' are no numbers")


def _check_labels(event: Mapping[str, Any]) -> None:
    classes = event.get("classes", [])
    if not all(isinstance(name, str) for name in classes):
        raise ValueError("'classes' are no names")
    counts = event.get("counts", {})
    if "counts" in event and not isinstance(counts.get("training"), list):
        raise ValueError("'counts' lack the training images")
    for images in counts.values():
        if images is None:
            continue
        if not isinstance(images, list) or not all(_is_whole(count) and count >= 0 for count in images):
            raise ValueError("'counts' are no numbers of images")
        if len(images) != len(classes):
            raise ValueError("'counts' do not match 'classes'")
    if not all(
        isinstance(value, _NUMBER) and not isinstance(value, bool) for value in event.get("baselines", {}).values()
    ):
        raise ValueError("'baselines' are no numbers")


def _check_round(picks: list[Any], trial_ids: list[Any]) -> None:
    if len(picks) != len(trial_ids) or not all(isinstance(one, str) for one in trial_ids):
        raise ValueError("'configurations' do not match 'picks'")
    numbers = [value for one in picks if isinstance(one, dict) for value in one.values()]
    if not all(isinstance(one, dict) for one in picks) or not all(isinstance(n, _NUMBER) for n in numbers):
        raise ValueError("'picks' are no numbers")


def _check_plan(groups: list[Any], conditions: Mapping[str, Any], stop_epochs: Mapping[str, Any]) -> None:
    for group in groups:
        _check(group, _GROUP)
        if group.get("way") is not None:
            _check(group["way"], _WAY)
        if not all(_is_whole(epoch) for epoch in group.get("companions", {}).values()):
            raise ValueError("'companions' train to no epoch")
    if not all(_is_whole(epoch) for epoch in stop_epochs.values()):
        raise ValueError("'goals' are no epochs")
    for name in ("threads", "places", "rung", "leg"):
        if not _is_whole(number := conditions.get(name, 1)) or not number >= 0:
            raise ValueError(f"'{name}' of the conditions is no number")
        if name in ("threads", "places") and not 1 <= number <= _MOST_THREADS:
            raise ValueError(f"'{name}' of the conditions is out of range")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check(event: Any, fields: Mapping[str, type | tuple[type, ...]]) -> None:
    if not isinstance(event, Mapping):
        raise ValueError("a part of it is no object")
    for field, types in fields.items():
        name = field.removesuffix("?")
        if name not in event:
            if name == field:
                raise ValueError(f"'{name}' is missing")
        elif not isinstance(event[name], types) or (isinstance(event[name], bool) and types is not bool):
            raise ValueError(f"'{name}' is of the wrong type")
