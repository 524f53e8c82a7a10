"""The model and the hyperparameters of a trial, from its values by key of `params`."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from cnnsweep.config.component_arguments import OF_LOSS, OF_OPTIMIZER, flat_values, is_used, uses, with_arguments
from cnnsweep.config.dump import as_written, shortened
from cnnsweep.config.grid import TrialParams
from cnnsweep.config.schema import MODEL_PREFIX, Params, SweepSpec
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
    optimizer = with_arguments(OF_OPTIMIZER, values["optimizer"], params)
    values["loss_function"] = with_arguments(OF_LOSS, values["loss_function"], params)
    # Unused hyperparameters have no value, so that runs that differ in nothing else are one run.
    values |= flat_values(optimizer, params)
    if values["momentum"] == 0 and values["nesterov"]:
        values["nesterov"] = False  # without momentum it is plain SGD, and torch refuses the pair
    if not uses("label_smoothing", values["loss_function"]):
        values["label_smoothing"] = 0.0
    if values["sampling"] == BALANCED:
        values["shuffle"] = True  # its order is drawn anyway
    values |= {"optimizer": optimizer.name, "optimizer_code": optimizer.code}
    values["optimizer_arguments"] = optimizer.arguments
    return Hyperparameters(**{name: values[name] for name in _HYPERPARAMETERS})


def shown_params(keys: Iterable[str], params: TrialParams, hyperparameters: Hyperparameters) -> dict[str, Any]:
    """Return the values for tables, without those that the optimizer or loss leaves unused."""
    shown = {}
    given = {key: params.get(key, DEFAULTS[key]) for key in ("optimizer", "loss_function")}
    for key in keys:
        value = params.get(key)
        if key in given:
            value = given[key]
        elif not is_used(key, given):
            value = None
        else:
            value = getattr(hyperparameters, key, value)
        shown[key] = as_written(shortened(value))
    return shown
