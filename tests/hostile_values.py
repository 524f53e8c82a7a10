"""Changes JSON values as somebody would who wants to hurt: the same changes for the same seed."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

Path = tuple[Any, ...]

ESCAPE = "\x1b[31m\x9b1m\x07\u202e[red][/]<b>|"

HOSTILE_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 10**3, 10**6, 10**9, 2**31, 2**63 - 1, 2**63, 10**30, 10**400, -(10**400)),
    *(0.0, -0.0, 0.5, -0.5, 1.5, 1e-320, 1e99, 1e154, 1e308, -1e308),
    *("", "a", " ", ".", "..", "/", "../../x", "/etc/passwd", "con", "C:x", "\\\\host\\share", "a\0b", "x" * 300),
    *(ESCAPE, "\ud800", "é", "=1+1", "nan", "1", "os:system", "/tmp/x.py:f", "http://localhost/", "lenet", "mnist"),
    *("best", "mean of last 3", "test", "fashion_mnist", "image_folder", "vit_b_16", "resnet18", "__class__"),
    *([], {}, [[]], [1], [10**9], ["a"], [None], {"a": 1}, {"name": "lenet"}, [[1, 16, 10**9, 1]], [0.1] * 50),
    *(list(range(1000)), {str(n): n for n in range(1000)}, "x" * 100_000),
)


def deep(levels: int) -> Any:
    """Return lists in lists."""
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of everything inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def mutate(value: Any, chance: random.Random) -> Any:
    """Return a copy with one to three changes: something replaced, left out, put twice, added or moved."""
    changed = copy.deepcopy(value)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        paths = list(places(changed))
        if not paths:
            break
        path = chance.choice(paths)
        parent = changed
        for step in path[:-1]:
            parent = parent[step]
        how = chance.randrange(8)
        if how == 0:
            del parent[path[-1]]
        elif how == 1 and isinstance(parent, dict):
            parent[chance.choice(["name", "weights", "pretrained", "width_mult", "dropout", "path", "x", ESCAPE])] = (
                _hostile(chance)
            )
        elif how == 1:
            parent.extend(parent[:50])
        elif how == 2:
            other = chance.choice(paths)
            parent[path[-1]] = copy.deepcopy(_at(changed, other))
        elif how == 3:
            parent[path[-1]] = deep(chance.choice((1, 5, 20, 200)))
        else:
            parent[path[-1]] = _hostile(chance)
    return changed


def _hostile(chance: random.Random) -> Any:
    return copy.deepcopy(chance.choice(HOSTILE_VALUES))


def _at(value: Any, path: Path) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
