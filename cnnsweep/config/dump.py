"""Writes values as a sweep file has them: for tables, for runs' names, and for the spec frozen beside the results."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import PurePath
from typing import Any

import yaml

from cnnsweep.config.augment_entry import DEFAULT_SIZES
from cnnsweep.config.axis import Values
from cnnsweep.config.choice_field import Entry
from cnnsweep.config.distributions import Interval
from cnnsweep.config.early_stop_entry import EARLY_STOP, EarlyStop
from cnnsweep.config.names import OPTIMIZER_HYPERPARAMETERS
from cnnsweep.config.schema import Params, SweepSpec
from cnnsweep.config.search_entry import SEARCH, Search
from cnnsweep.scalars import scalar_value
from cnnsweep.types import Augmentation, DatasetChoice, ModelChoice, Normalization, Schedule


def as_written(value: Any) -> Any:
    """Return a value of a key of `params` in its shortest form of plain JSON: a name, a mapping, or as it is."""
    if isinstance(value, Schedule):
        default = Schedule()
        given = {field.name: getattr(value, field.name) for field in fields(value)}
        changed = {key: item for key, item in given.items() if key != "name" and item != getattr(default, key)}
        return {"name": value.name, **changed} if changed else value.name
    if isinstance(value, Augmentation):
        return _written_augmentation(value)
    if isinstance(value, ModelChoice):
        return {"name": value.name, **value.arguments} if value.arguments else value.name
    return value


def _written_augmentation(value: Augmentation) -> Any:
    chosen = {field.name: getattr(value, field.name) for field in fields(value) if getattr(value, field.name)}
    if all(DEFAULT_SIZES[name] == size for name, size in chosen.items()):
        return "+".join(chosen) or "none"
    return chosen


def without_folder(name: str, code: str | None) -> str:
    """Return a data set's or model's name; of a person's own file only the last part of its path."""
    if code is None:
        return name
    file, _, attribute = name.rpartition(":")
    return f"{PurePath(file).name}:{attribute}"


def dump_spec(spec: SweepSpec) -> str:
    """Return a sweep file that means the same wherever it lies: paths of code are absolute, defaults are written out.

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
    for key in ("metric", "mode", "scope"):
        entries[key] = getattr(spec, key)
    if spec.early_stop is not None:
        entries["early_stop"] = written_entry(spec.early_stop, EARLY_STOP)
    entries |= {"device": spec.device, "precision": spec.precision, "tensorboard": spec.tensorboard.model_dump()}
    return entries


def _space(spec: SweepSpec) -> dict[str, Any]:
    entries = {
        "zip": [list(names) for names in spec.zips],
        "when": {key: condition.as_written() for key, condition in spec.when.items()},
        "exclude": [condition.as_written() for condition in spec.exclude],
        "include": [{key: as_written(value) for key, value in one.items()} for one in spec.include],
        "search": {} if spec.search.method == "grid" else written_entry(spec.search, SEARCH),
    }
    return {key: value for key, value in entries.items() if value}


def written_entry(value: Search | EarlyStop, entry: Entry) -> dict[str, Any]:
    """Return the mapping that a sweep file has for a record with a `method`: the fields that this method uses."""
    used = entry.variants[entry.variant_of({"method": value.method})].model_fields
    return {name: item for name in used if (item := getattr(value, name)) is not None}


def _written_dataset(dataset: DatasetChoice) -> dict[str, Any]:
    return {"name": dataset.name, "normalize": _written_normalization(dataset.normalize), **dataset.arguments}


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
    used = {key for optimizer in optimizers for key in OPTIMIZER_HYPERPARAMETERS[optimizer]}
    optional = {key for keys in OPTIMIZER_HYPERPARAMETERS.values() for key in keys}
    for key, field in Params.model_fields.items():
        default = as_written(field.default[0])
        if key not in spec.axes and default is not None and (key in used or key not in optional):
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
