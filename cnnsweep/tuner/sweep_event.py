"""The journal's `sweep` event, with which a command begins: tables and later resumes read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from cnnsweep.config.component_keys import PRUNER, SAMPLER
from cnnsweep.config.dump import component_facts, dump_spec, without_folder
from cnnsweep.config.identity import identity_fields
from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import model_names
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.metrics.base import column_of, describe_metrics
from cnnsweep.metrics.baseline import SEVERAL
from cnnsweep.metrics.names import fact_of
from cnnsweep.planning.scheduling import Slot
from cnnsweep.tuner.label_summary import LabelSummary
from cnnsweep.types import PARTS, Run


def sweep_facts(
    spec: SweepSpec,
    runs: Sequence[Run],
    dataset: Dataset,
    labels: LabelSummary,
    slots: Sequence[Slot],
    overrides: Sequence[str],
) -> dict[str, Any]:
    """Return the fields of the event."""
    return {
        "name": spec.name,
        "description": spec.description,
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint,
        "model": ", ".join(model_names(spec, runs)),
        "normalize": identity_fields(spec.dataset_choice.normalize),  # a resume compares it: `storage.compatibility`
        "validation": spec.validation,
        "folds": spec.folds,
        "seed": spec.seed,
        "metric": spec.metric,
        "mode": spec.mode,
        "scope": spec.scope,
        "search": component_facts(SAMPLER, spec.search),
        "early_stop": None if spec.early_stop is None else component_facts(PRUNER, spec.early_stop),
        "precision": spec.precision,
        "device": ",".join(dict.fromkeys(slot.device for slot in slots)),
        "places": len(slots),
        "threads": torch.get_num_threads(),
        "overrides": list(overrides),
        "metrics": [fact_of(one) for one in describe_metrics(spec.metrics, is_held_out=bool(spec.validation))],
        "spec": dump_spec(spec),
        **({} if spec.dataset_choice.subset is None else {"subset": spec.dataset_choice.subset}),
        **_code_facts(spec),
        **_label_facts(labels),
    }


def _code_facts(spec: SweepSpec) -> dict[str, Any]:
    """Return the hashes of the user's code that is no part of a run's id, for a resume to compare."""
    components = {"search": spec.search, "early_stop": spec.early_stop}
    origins = {key: component.origin for key, component in components.items() if component is not None}
    of_metrics = {column_of(one): one.code for one in spec.metrics if one.code is not None}
    codes: dict[str, Any] = {key: origin.code for key, origin in origins.items() if origin.code is not None}
    codes |= {"metrics": of_metrics} if of_metrics else {}
    of_callbacks = {without_folder(one.name, one.code): one.code for one in spec.callbacks if one.code is not None}
    codes |= {"callbacks": of_callbacks} if of_callbacks else {}
    return {"code": codes} if codes else {}


def _label_facts(labels: LabelSummary) -> dict[str, Any]:
    """Return the fields on the labels: images by class, and the baselines; with folds, of the least balanced one.

    They show whether a model learned anything, and whether a difference is one of a few images.
    """
    parts, known = labels.counts, labels.counts.parts
    held_out = parts.validation
    return {
        "validation_images": None if held_out is None else held_out.images,
        "largest_class": None if held_out is None or held_out.is_multi_label else max(held_out.counts),
        "classes": list(parts.training.classes),
        "counts": {name: list(known[name].counts) if name in known else None for name in PARTS},
        "baselines": dict(labels.baselines),
        **({"labels": SEVERAL} if parts.training.is_multi_label else {}),
    }
