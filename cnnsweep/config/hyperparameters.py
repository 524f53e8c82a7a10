"""The model and the hyperparameters of a trial, from its values by key of `params`."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from cnnsweep.config.dump import as_written, shortened
from cnnsweep.config.grid import TrialParams
from cnnsweep.config.optimizer_arguments import arguments_in, flat_values, takes, uses
from cnnsweep.config.schema import MODEL_PREFIX, OPTIMIZER_PREFIX, Params, SweepSpec
from cnnsweep.types import BALANCED, Hyperparameters, ModelChoice

DEFAULTS: Mapping[str, Any] = {key: field.default[0] for key, field in Params.model_fields.items()}
_HYPERPARAMETERS = tuple(field.name for field in fields(Hyperparameters))


def trial_model(spec: SweepSpec, params: TrialParams) -> ModelChoice:
    """Return the model, with the arguments that are keys of `params`."""
    base: ModelChoice | None = params.get("model", spec.model)
    assert base is not None, "a checked sweep names a model"
    own = {
        key.removeprefix(MODEL_PREFIX): value
        for key, value in params.items()
        if key == "dropout" or key.startswith(MODEL_PREFIX)
    }
    return ModelChoice(base.name, {**base.arguments, **own}, base.code) if own else base


def trial_hyperparameters(spec: SweepSpec, params: TrialParams, seed: int | None) -> Hyperparameters:
    """Return the hyperparameters; without a seed, with that of the sweep."""
    values = {**DEFAULTS, **params, "seed": spec.seed if seed is None else seed}
    optimizer = values["optimizer"]
    # Unused hyperparameters have no value, so that runs that differ in nothing else are one run.
    values |= flat_values(optimizer, params)
    if values["momentum"] == 0 and values["nesterov"]:
        values["nesterov"] = False  # without momentum it is plain SGD, and torch refuses the pair
    if not uses("label_smoothing", values["loss_function"]):
        values["label_smoothing"] = 0.0
    if values["sampling"] == BALANCED:
        values["shuffle"] = True  # its order is drawn anyway
    values["optimizer_arguments"] = arguments_in(optimizer, params)
    values |= {"optimizer": optimizer.name, "optimizer_code": optimizer.code}
    return Hyperparameters(**{name: values[name] for name in _HYPERPARAMETERS})


def shown_params(keys: Iterable[str], params: TrialParams, hyperparameters: Hyperparameters) -> dict[str, Any]:
    """Return the values for tables, without those that the optimizer leaves unused."""
    shown = {}
    optimizer = params.get("optimizer", DEFAULTS["optimizer"])
    for key in keys:
        value = params.get(key)
        if key == "optimizer":
            value = optimizer
        elif key.startswith(OPTIMIZER_PREFIX):
            value = value if takes(optimizer, key.removeprefix(OPTIMIZER_PREFIX)) else None
        else:
            value = getattr(hyperparameters, key, value)
        shown[key] = as_written(shortened(value))
    return shown
