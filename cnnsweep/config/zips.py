"""The key `zip`: axes that move together, so that each takes its next value with the others."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnnsweep.config.aliases import usual_axis
from cnnsweep.config.axis import Values
from cnnsweep.config.error_messages import Mistake
from cnnsweep.config.yaml import KeyPath
from cnnsweep.field_types import found, nearest_name, quoted
from cnnsweep.samplers.space import Interval


def read_zips(value: Any, axes: Mapping[str, Values], mistakes: list[Mistake]) -> Iterator[tuple[str, ...]]:
    """Yield the groups of axes that move together; wrong ones are added to `mistakes`."""
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
            return no_such_axis(name, axes)
        if isinstance(axes[name], Interval):
            return f"{name} is drawn from a distribution; only lists can move together"
    if repeated := [name for name in names if name in seen or names.count(name) > 1]:
        return f"{repeated[0]} is named twice; an axis moves together with one group"
    lengths = {name: len(values) for name, values in axes.items() if name in names and not isinstance(values, Interval)}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} has {lengths[name]}" for name in names)
        return f"axes that move together need equally many values, but {counts}"
    return None


def no_such_axis(name: str, axes: Mapping[str, Values]) -> str:
    """Return the message for a name that is no axis."""
    usual = usual_axis(str(name))
    nearest = usual if usual in axes else nearest_name(str(name), list(axes))
    hint = f"did you mean '{nearest}'?" if nearest else f"there are {', '.join(axes) or 'none'}"
    return f"{quoted(str(name))} is no key of params here; {hint}"
