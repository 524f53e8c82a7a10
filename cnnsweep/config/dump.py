"""Writes values as a sweep file has them: for tables, for runs' names, and for the spec frozen beside the results."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import yaml

from cnnsweep.augmentations.base import AUGMENTATIONS
from cnnsweep.config.augment_field import main_field
from cnnsweep.config.axis import Values
from cnnsweep.config.component_field import ComponentField
from cnnsweep.config.component_keys import DEFAULT_TRACKERS, PRUNER, SAMPLER
from cnnsweep.config.schema import Params, SweepSpec
from cnnsweep.metrics.base import column_of
from cnnsweep.metrics.names import as_mapping
from cnnsweep.optimizers.base import FLAT, OPTIMIZERS
from cnnsweep.plugins import is_reference
from cnnsweep.registry import Component
from cnnsweep.samplers.space import Interval
from cnnsweep.scalars import scalar_value
from cnnsweep.types import Choice, ClassWeights, DatasetChoice, ModelChoice, Normalization


def as_written(value: Any) -> Any:
    """Return a value of a key of `params` in its shortest form of plain JSON: a name, a mapping, or as it is."""
    if isinstance(value, tuple) and all(isinstance(one, Choice) for one in value):
        return _written_augmentations(value)
    if isinstance(value, Choice | ModelChoice):
        return {"name": value.name, **value.arguments} if value.arguments else value.name
    return value.as_written() if isinstance(value, ClassWeights) else value


def _written_augmentations(choices: Sequence[Choice]) -> Any:
    if not any(choice.arguments or "+" in choice.name for choice in choices):
        return "+".join(choice.name for choice in choices) or "none"
    return {choice.name: _size_or_fields(choice) for choice in choices}


def _size_or_fields(choice: Choice) -> Any:
    """Return the first field of an augmentation where the others have their defaults, else those that differ."""
    main = None if choice.code is not None or is_reference(choice.name) else main_field(choice.name)
    if main is None or set(choice.arguments) - {main}:
        return dict(choice.arguments) or True
    return choice.arguments.get(main, AUGMENTATIONS.get(choice.name).model_fields[main].default)


def shortened(value: Any) -> Any:
    """Return a value of a key of `params` with a user's own code named without its folder."""
    if isinstance(value, Choice | ModelChoice):
        return value if value.code is None else replace(value, name=without_folder(value.name, value.code))
    return tuple(map(shortened, value)) if isinstance(value, tuple) else value


def without_folder(name: str, code: str | None) -> str:
    """Return a data set's or model's name; of a user's own file only the last part of its path."""
    if code is None:
        return name
    file, _, attribute = name.rpartition(":")
    return f"{PurePath(file).name}:{attribute}"


def written_component(field: ComponentField, component: Component | None) -> dict[str, Any]:
    """Return the mapping that a sweep file has, with the defaults; keys without a value are left out."""
    if component is None:
        return {field.key: field.none}
    values = component.model_dump(mode="json")
    return {field.key: component.origin.name, **{key: item for key, item in values.items() if item is not None}}


def component_facts(field: ComponentField, component: Component | None) -> dict[str, Any]:
    """Return the mapping that a sweep file has for a component; of a user's own file only the last part of its path."""
    facts = written_component(field, component)
    return facts if component is None else {**facts, field.key: short_name(component)}


def short_name(component: Component) -> str:
    """Return a component's name in the sweep file; of a user's own file only the last part of its path."""
    origin = component.origin
    return without_folder(origin.name, origin.code) if is_reference(origin.name) else origin.name


def dump_spec(spec: SweepSpec) -> str:
    """Return a sweep file that means the same in every folder: paths of code are absolute, defaults are written out.

    `params` keeps its keys and their order, because they are the columns of the tables; the defaults of the others
    follow as comments.
    """
    lines = [f"{key}: {flow_yaml(value)}" for key, value in _top_level(spec).items()]
    lines.append("params:" if spec.axes else "params: {}")
    lines += [f"  {key}: {flow_yaml(_written_axis(values))}" for key, values in spec.axes.items()]
    lines += [f"  # {key}: {value} (default)" for key, value in _defaults(spec)]
    return "\n".join(lines) + "\n"


def _top_level(spec: SweepSpec) -> dict[str, Any]:
    entries: dict[str, Any] = {"name": spec.name}
    if spec.description:
        entries["description"] = spec.description
    entries["dataset"] = _written_dataset(spec.dataset_choice)
    if spec.model is not None:
        entries["model"] = as_written(spec.model)
    entries |= _space(spec)
    entries["seed"] = spec.seed
    if spec.seeds:
        entries["seeds"] = list(spec.seeds)
    entries["validation"] = spec.validation if spec.folds is None else {"folds": spec.folds}
    if spec.metrics:
        entries["metrics"] = [_written_metric(choice) for choice in spec.metrics]
    for key in ("metric", "mode", "scope"):
        entries[key] = getattr(spec, key)
    if spec.early_stop is not None:
        entries["early_stop"] = written_component(PRUNER, spec.early_stop)
    entries |= {"device": spec.device, "precision": spec.precision, "tensorboard": spec.tensorboard.model_dump()}
    if spec.trackers != DEFAULT_TRACKERS:
        entries["trackers"] = [as_written(choice) for choice in spec.trackers]
    if spec.callbacks:
        entries["callbacks"] = [as_written(choice) for choice in spec.callbacks]
    return entries


def _written_metric(choice: Choice) -> Any:
    """Return `top_3` or `recall[truck]` where that says all."""
    written, column = as_written(choice), column_of(choice)
    return column if as_mapping(column) == written else written


def _space(spec: SweepSpec) -> dict[str, Any]:
    entries = {
        "zip": [list(names) for names in spec.zips],
        "when": {key: condition.as_written() for key, condition in spec.when.items()},
        "exclude": [condition.as_written() for condition in spec.exclude],
        "include": [{key: as_written(value) for key, value in one.items()} for one in spec.include],
        "search": {} if spec.search is None else written_component(SAMPLER, spec.search),
    }
    return {key: value for key, value in entries.items() if value}


def _written_dataset(dataset: DatasetChoice) -> dict[str, Any]:
    subset = {} if dataset.subset is None else {"subset": dataset.subset}
    normalize = _written_normalization(dataset.normalize)
    return {"name": dataset.name, "normalize": normalize, **subset, **dataset.arguments}


def _written_normalization(normalize: Normalization) -> str | Mapping[str, Any]:
    if normalize.kind != "given":
        return normalize.kind
    return {"mean": list(normalize.mean or ()), "std": list(normalize.std or ())}


def _written_axis(values: Values) -> Any:
    if isinstance(values, Interval):
        return values.as_written()
    written = [as_written(value) for value in values]
    is_list_of_one = len(written) == 1 and not isinstance(written[0], list)
    return written[0] if is_list_of_one else written


def _defaults(spec: SweepSpec) -> Iterator[tuple[str, str]]:
    optimizers = spec.axes.get("optimizer", Params.model_fields["optimizer"].default)
    # Defaults of own code are its own, and not known here.
    known = [OPTIMIZERS.get(choice.name) for choice in optimizers if not is_reference(choice.name)]
    own = {key: {kind.model_fields[key].default for kind in known if key in kind.model_fields} for key in FLAT}
    for key, field in Params.model_fields.items():
        default = as_written(field.default[0])
        if key in own:  # left out where optimizers of the sweep differ in it
            default = next(iter(own[key])) if default is not None and len(own[key]) == 1 else None
        if key not in spec.axes and default is not None:
            yield key, flow_yaml(default)


class _Dumper(yaml.SafeDumper):
    """Quotes text that our reader would take for a number, which PyYAML's own rules do not."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True  # equal lists are written out: our reader refuses aliases


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(scalar_value(text), str) else "'"
    if not text.isprintable():
        style = '"'  # with escapes, since PyYAML leaves rare line ends as they are, and reads them as others
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def flow_yaml(value: Any) -> str:
    """Return a value as YAML on one line."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, width=sys.maxsize, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")
