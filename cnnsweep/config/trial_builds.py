"""Mistakes that show only when a model is built: of own code, and of arguments that torchvision checks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from cnnsweep.config.axis import Values
from cnnsweep.config.dump import without_folder
from cnnsweep.config.error_messages import Mistake
from cnnsweep.config.model_entry import has_known_arguments
from cnnsweep.config.schema import MODEL_PREFIX, SweepFile
from cnnsweep.config.yaml import KeyPath
from cnnsweep.plugins import is_reference
from cnnsweep.samplers.space import Interval
from cnnsweep.types import DatasetChoice, ModelChoice

# Returns why a model cannot be built for a data set; building imports torch, which this package does not.
TryModel = Callable[[ModelChoice, DatasetChoice], str | None]


def mistakes_in_building(
    models: Sequence[tuple[KeyPath, ModelChoice]],
    arguments: Mapping[str, Values],
    sweep: SweepFile,
    try_model: TryModel,
) -> Iterator[Mistake]:
    """Yield why models cannot be built; each argument's values are tried one by one, beside the others' first ones."""
    axes = {key.removeprefix(MODEL_PREFIX): values for key, values in arguments.items()}
    if sweep.params.dropout != (None,):
        axes["dropout"] = sweep.params.dropout
    first = {name: values.at(0.5) if isinstance(values, Interval) else values[0] for name, values in axes.items()}
    for path, model in models:
        is_custom = is_reference(model.name)
        if has_known_arguments(model.name) or not (is_custom or model.arguments or axes) or (sweep.when and axes):
            continue
        usual = replace(model, arguments={**model.arguments, **first})
        if (why := try_model(usual, sweep.dataset)) is not None:
            (at, key) = (path, "") if model.arguments or not axes else (("params",), next(iter(arguments), "dropout"))
            yield Mistake((*at, key) if key else at, _without_name(why, model))
            continue
        for name, values in axes.items():
            key = name if f"{MODEL_PREFIX}{name}" not in arguments else f"{MODEL_PREFIX}{name}"
            for position, value in enumerate(() if isinstance(values, Interval) else values):
                changed = replace(usual, arguments={**usual.arguments, name: value})
                if position and (why := try_model(changed, sweep.dataset)) is not None:
                    yield Mistake(("params", key, position), _without_name(why, model))


def _without_name(why: str, model: ModelChoice) -> str:
    return why.replace(f"model {model.name}: ", "", 1).replace(model.name, without_folder(model.name, model.code))
