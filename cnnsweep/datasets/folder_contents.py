"""Contents of a folder: subfolders, images, and its identity under several names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from cnnsweep.datasets.image_files import is_hidden, is_image_name
from cnnsweep.formatting.escape import safe_text


def subfolders(folder: Path) -> list[str]:
    """Return the names of the subfolders, without hidden ones."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name))


def count_images(folder: Path) -> int:
    """Return the number of images in the folder itself."""
    with os.scandir(folder) as entries:
        return sum(is_image_name(entry.name) and not is_hidden(entry.name) and entry.is_file() for entry in entries)


def holds_images(folder: Path) -> bool:
    """True if the folder contains an image at any depth."""
    return any(is_image_name(name) and not is_hidden(name) for _, _, names in os.walk(folder) for name in names)


def identity(folder: Path) -> tuple[int, int]:
    """Return the identity of a folder under any name: device and inode."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def listed(names: Iterable[str], most: int = 5) -> str:
    """Return the first names for a message, and the number of the others."""
    every = [safe_text(name) for name in names]
    shown = ", ".join(every[:most])
    return shown if len(every) <= most else f"{shown} and {len(every) - most} more"
