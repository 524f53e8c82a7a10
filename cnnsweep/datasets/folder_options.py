"""Options of reading an image folder, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """The arguments of the sweep file."""

    path: str
    size: tuple[int, int] | None = None  # height, width; None is the most common size
    channels: int | None = None  # 1 or 3; None is 1 if all images are grey, else 3
    test: float = DEFAULT_TEST_SHARE
    broken: str = "stop"
    labels: str | None = None  # CSV file in the folder with several labels an image; None is one folder a class
