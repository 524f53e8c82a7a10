"""The keys that shape the space of settings: `zip`, `when`, `exclude`, `include`; checked against the axes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cnnsweep.records import ModelChoice
from cnnsweep.spec.axis import Values
from cnnsweep.spec.conditions import Alternative, Condition, is_number, read_alternatives
from cnnsweep.spec.consistency import MODEL_PREFIX, check_model_arguments
from cnnsweep.spec.distributions import Interval
from cnnsweep.spec.dump import as_written
from cnnsweep.spec.schema import Params, SweepFile
from cnnsweep.spec.values import found, nearest_name
from cnnsweep.spec.wording import Mistake, mistakes_in
from cnnsweep.spec.yaml_reader import KeyPath


@dataclass(frozen=True, slots=True)
class SpaceRules:
    """See `SweepSpec` for the fields."""

    zips: tuple[tuple[str, ...], ...]
    when: Mapping[str, Condition]
    exclude: tuple[Condition, ...]
    include: tuple[Mapping[str, Any], ...]


def read_space_rules(
    sweep: SweepFile, axes: Mapping[str, Values], model: ModelChoice | None, folder: Path
) -> tuple[SpaceRules, list[Mistake]]:
    """Return the rules that a file gives for its space, and what is wrong with them.

    Args:
        sweep: the file, whose four keys are as they were written.
        axes: the checked axes, in the file's order.
        model: the top-level model.
        folder: where a person's own code is looked for.
    """
    mistakes: list[Mistake] = []
    include = _read_include(sweep.include, axes, model, folder, mistakes)
    # A setting beside the space may bring keys that no axis has; conditions may name them too.
    columns = dict(axes)
    for setting in include:
        for key, value in setting.items():
            known = columns.get(key, ())
            columns[key] = known if isinstance(known, Interval) else (*known, value)
    zips = tuple(_read_zips(sweep.zip, axes, mistakes))
    when = _read_when(sweep.when, axes, model, mistakes)
    exclude = _read_exclude(sweep.exclude, columns, mistakes)
    return SpaceRules(zips, when, exclude, include), mistakes


def _read_zips(value: Any, axes: Mapping[str, Values], mistakes: list[Mistake]) -> Iterator[tuple[str, ...]]:
    allowed = "a list of keys of params such as [lr, batch_size], or a list of such lists"
    if value is None:
        return
    if not isinstance(value, list) or not value:
        mistakes.append(Mistake(("zip",), f"{found(value)}, allowed is {allowed}"))
        return
    is_flat = all(isinstance(item, str) for item in value)
    seen: set[str] = set()
    for position, names in enumerate([value] if is_flat else value):
        path: KeyPath = ("zip",) if is_flat else ("zip", position)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(names) < 2:
            mistakes.append(Mistake(path, f"{found(names)}, allowed is {allowed}, with two keys or more"))
            continue
        problem = _zip_problem(names, axes, seen)
        if problem is not None:
            mistakes.append(Mistake(path, problem))
            continue
        seen.update(names)
        yield tuple(names)


def _zip_problem(names: Sequence[str], axes: Mapping[str, Values], seen: set[str]) -> str | None:
    for name in names:
        if name not in axes:
            return _no_axis(name, axes)
        if isinstance(axes[name], Interval):
            return f"{name} is drawn from a distribution; only lists can move together"
    if repeated := [name for name in names if name in seen or names.count(name) > 1]:
        return f"{repeated[0]} is named twice; an axis moves together with one group"
    lengths = {name: len(values) for name, values in axes.items() if name in names and not isinstance(values, Interval)}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} has {lengths[name]}" for name in names)
        return f"axes that move together need equally many values, but {counts}"
    return None


def _read_when(
    value: Any, axes: Mapping[str, Values], model: ModelChoice | None, mistakes: list[Mistake]
) -> dict[str, Condition]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        text = f"{found(value)}, allowed is a mapping such as {{momentum: {{optimizer: sgd}}}}"
        mistakes.append(Mistake(("when",), text))
        return {}
    when: dict[str, Condition] = {}
    for key, tests in value.items():
        if key not in axes:
            mistakes.append(Mistake(("when", key), _no_axis(key, axes), at_key=True))
        elif key == "model" and model is None:
            text = "there is no model for the other settings; add a `model` at the top of the file"
            mistakes.append(Mistake(("when", key), text, at_key=True))
        elif isinstance(tests, dict) and key in tests:
            mistakes.append(Mistake(("when", key, key), "a key cannot depend on itself", at_key=True))
        else:
            condition = _read_condition(tests, ("when", key), axes, mistakes)
            if condition is not None:
                when[key] = condition
    for key in when:
        if key in _needed(key, when):
            mistakes.append(Mistake(("when", key), "depends on itself by way of others", at_key=True))
    return when


def _needed(key: str, when: Mapping[str, Condition]) -> set[str]:
    """Return the keys that a conditional key depends on, directly or not."""
    needed: set[str] = set()
    waiting = [key]
    while waiting:
        for name in when[waiting.pop()].tests:
            if name not in needed:
                needed.add(name)
                waiting += [name] if name in when else []
    return needed


def _read_exclude(value: Any, axes: Mapping[str, Values], mistakes: list[Mistake]) -> tuple[Condition, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not value:
        text = f"{found(value)}, allowed is a list of conditions such as [{{lr: '> 0.1', optimizer: adam}}]"
        mistakes.append(Mistake(("exclude",), text))
        return ()
    conditions = [_read_condition(tests, ("exclude", n), axes, mistakes) for n, tests in enumerate(value)]
    return tuple(condition for condition in conditions if condition is not None)


def _read_condition(tests: Any, path: KeyPath, axes: Mapping[str, Values], mistakes: list[Mistake]) -> Condition | None:
    if not isinstance(tests, dict) or not tests:
        text = f"{found(tests)}, allowed is a mapping of keys and values such as {{optimizer: sgd, lr: '> 0.1'}}"
        mistakes.append(Mistake(path, text))
        return None
    read: dict[str, tuple[Alternative, ...]] = {}
    for key, value in tests.items():
        here = (*path, key)
        if key not in axes:
            mistakes.append(Mistake(here, _no_axis(key, axes), at_key=True))
            continue
        try:
            read[key] = read_alternatives(value)
        except ValueError as error:
            mistakes.append(Mistake(here, str(error)))
            continue
        problem = _value_problem(key, read[key], axes[key])
        if problem is not None:
            mistakes.append(Mistake(here, problem))
    return Condition(read) if len(read) == len(tests) else None


def _value_problem(key: str, alternatives: Sequence[Alternative], values: Values) -> str | None:
    """Say what is wrong with values that a key never has: such a condition is a slip, and would never hold."""
    for comparison in [one for alternative in alternatives for one in alternative]:
        if isinstance(values, Interval):
            if not is_number(comparison.value):
                return f"{found(comparison.value)}, but {key} is a number"
            continue
        written = [as_written(value) for value in values]
        if comparison.is_order:
            if not any(map(is_number, written)):
                return f"{key} is not a number, so nothing is larger or smaller"
        elif not any(comparison.holds(value) == (comparison.operator == "==") for value in written):
            known = ", ".join(_shown(value) for value in written[:8])
            return f"{found(comparison.value)}, which is none of the values of {key}: {known}"
    return None


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read_include(
    value: Any, axes: Mapping[str, Values], model: ModelChoice | None, folder: Path, mistakes: list[Mistake]
) -> tuple[Mapping[str, Any], ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not value:
        text = f"{found(value)}, allowed is a list of settings such as [{{lr: 0.5, batch_size: 64}}]"
        mistakes.append(Mistake(("include",), text))
        return ()
    settings = []
    for position, given in enumerate(value):
        path: KeyPath = ("include", position)
        if not isinstance(given, dict) or not given:
            mistakes.append(Mistake(path, f"{found(given)}, allowed is a mapping of keys and values"))
            continue
        setting, wrong = _read_setting(given, axes, model, folder)
        mistakes += [Mistake((*path, *one.path[1:]), one.text, one.at_key) for one in wrong]
        open_axes = [key for key, values in axes.items() if key not in given and not _is_single(values)]
        if open_axes:
            text = f"does not say which {open_axes[0]}, of which params has several; name one"
            mistakes.append(Mistake(path, text))
        elif not wrong:
            single = {key: values[0] for key, values in axes.items() if key not in given and isinstance(values, tuple)}
            settings.append({key: setting.get(key, single.get(key)) for key in dict.fromkeys([*axes, *setting])})
    return tuple(settings)


def _is_single(values: Values) -> bool:
    return isinstance(values, tuple) and len(values) == 1


def _read_setting(
    given: Mapping[str, Any], axes: Mapping[str, Values], model: ModelChoice | None, folder: Path
) -> tuple[dict[str, Any], list[Mistake]]:
    """Return one setting, checked as the values under `params` are; mistakes have paths that begin with `params`."""
    plain = {key: value for key, value in given.items() if not str(key).startswith(MODEL_PREFIX)}
    mistakes = []
    for key, value in plain.items():
        if isinstance(value, list):
            mistakes.append(Mistake(("params", key), f"{found(value)}, allowed is one value"))
    single = {key: value for key, value in plain.items() if not isinstance(value, list)}
    setting: dict[str, Any] = {}
    try:
        params = Params.model_validate(single, context={"folder": folder})
    except ValidationError as error:
        mistakes += [Mistake(("params", *one.path), one.text, one.at_key) for one in mistakes_in(error, "params")]
    else:
        for key in single:
            values = getattr(params, key)
            if isinstance(values, Interval):
                mistakes.append(Mistake(("params", key), "found a distribution, allowed is one value"))
            else:
                setting[key] = values[0]
    models: Any = setting.get("model") or axes.get("model") or model
    chosen = models if isinstance(models, tuple) else () if models is None else (models,)
    # A list of one, since a list as such is an axis there.
    arguments = {key: [value] for key, value in given.items() if key not in plain}
    checked, wrong = check_model_arguments(arguments, chosen)
    mistakes += [Mistake(one.path[:2], one.text, one.at_key) for one in wrong]
    setting.update({key: values[0] for key, values in checked.items() if isinstance(values, tuple) and values})
    return {key: setting[key] for key in given if key in setting}, mistakes


def _no_axis(name: str, axes: Mapping[str, Values]) -> str:
    nearest = nearest_name(str(name), list(axes))
    hint = f"did you mean '{nearest}'?" if nearest else f"there are {', '.join(axes) or 'none'}"
    return f"'{name}' is no key of params here; {hint}"
