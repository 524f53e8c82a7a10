"""The key or value of the sweep file that a name of other tools and papers means."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cnnsweep.config.alias_tables import ADVICE, KEYS, PARTS, VALUES


def plain(name: str) -> str:
    """Return a name in lower case, with letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _by_alias(aliases: Mapping[str, str]) -> dict[str, str]:
    return {alias: key for key, names in aliases.items() for alias in [*names.split(), plain(key.rpartition(".")[2])]}


_KEY_OF = _by_alias(KEYS)
_VALUES_OF: dict[str, list[str]] = {}  # a name may mean values of several keys: nll a metric, and a loss
for _value, _names in VALUES.items():
    for _alias in (plain(_value), *_names.split()):
        _VALUES_OF.setdefault(_alias, []).append(_value)
_PART_KEY_OF = {part: _by_alias(aliases) for part, aliases in PARTS.items()}


@dataclass(frozen=True, slots=True)
class Usual:
    """Name of a foreign key in cnnsweep: the end of a message, and the key if it belongs to the same section."""

    text: str
    key: str | None = None


def usual_key(name: str, *, under_params: bool) -> Usual | None:
    """Return the name here of a key at the top of a file, or under `params`; None for an unknown one."""
    key = _KEY_OF.get(plain(name))
    if key is None:
        advice = ADVICE.get(plain(name))
        return None if advice is None else Usual(advice)
    if key == "model" or key.startswith("params.") == under_params:  # `model` may stand at either
        key = key.removeprefix("params.")
        return Usual(f"did you mean '{key}'?", key)
    if key.startswith("params."):
        return Usual(f"did you mean '{key.removeprefix('params.')}', under params?")
    return Usual(f"did you mean '{key}', at the top of the file?")


def usual_part(part: str, name: str, known: Collection[str]) -> str | None:
    """Return the name here of a key of a mapping.

    Args:
        part: the kind of the component, such as schedule; most have none.
        known: the keys that this mapping has.
    """
    key = _PART_KEY_OF.get(part, {}).get(plain(name))
    return key if key in known else None


def usual_axis(name: str) -> str:
    """Return the key of `params` that a name may stand for; the name itself where it stands for none."""
    key = _KEY_OF.get(plain(name), "")
    return key.removeprefix("params.") if key.startswith("params.") or key == "model" else name


def usual_value(name: str, known: Collection[str]) -> str | None:
    """Return the known value that other tools call by this name."""
    return next((value for value in _VALUES_OF.get(plain(name), ()) if value in known), None)
