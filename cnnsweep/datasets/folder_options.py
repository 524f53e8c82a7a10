"""The arguments of `image_folder`, checked again: a checkpoint's never went through a sweep file's rules."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnnsweep.errors import DataError

DEFAULT_TEST_SHARE = 0.2
_MOST_SIDE = 10_000


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """The arguments of the sweep file."""

    path: str
    size: tuple[int, int] | None = None  # height, width; None is the most common size
    channels: int | None = None  # 1 or 3; None is 1 if all images are grey, else 3
    test: float = DEFAULT_TEST_SHARE
    broken: str = "stop"

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> FolderOptions:
        """Return the options that arguments give.

        Raises:
            DataError: one of them is missing or not allowed.
        """
        options = dict(arguments)
        if isinstance(size := options.get("size"), int):
            options["size"] = (size, size)
        elif isinstance(size, list):
            options["size"] = tuple(size)
        found = cls(**{"path": "", **options})
        _require("path", found.path, isinstance(found.path, str) and found.path != "", "the path of a folder")
        _require("size", size, found.size is None or _is_size(found.size), f"one or two numbers from 1 to {_MOST_SIDE}")
        _require("channels", found.channels, found.channels is None or found.channels in (1, 3), "1 or 3")
        is_share = isinstance(found.test, int | float) and 0 <= found.test < 1
        _require("test", found.test, is_share, "a number from 0 to below 1")
        _require("broken", found.broken, found.broken in ("stop", "skip"), "stop or skip")
        return found


def _is_size(size: Any) -> bool:
    is_pair = isinstance(size, tuple) and len(size) == 2
    return is_pair and all(type(side) is int and 1 <= side <= _MOST_SIDE for side in size)


def _require(name: str, value: Any, is_allowed: bool, allowed: str) -> None:
    if not is_allowed:
        raise DataError(f"dataset: image_folder.{name} is {reprlib.repr(value)}; allowed is {allowed}")
