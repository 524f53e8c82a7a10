"""Finding images in class folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from cnnsweep.data.splits import hold_out
from cnnsweep.display.figures import count_text
from cnnsweep.display.safe_text import safe_text
from cnnsweep.errors import DataError

IMAGE_ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_TEST_FOLDERS = ("test", "val", "valid")  # the first that is there is the test part


class ImageFile(NamedTuple):  # rather than a dataclass: a quarter of a second sooner for 60,000 files
    """An image by its path below the data set's folder, with what tells whether the file has changed."""

    path: str
    label: int
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Listing:
    """All images of a folder: class names in alphabetical order, files by class and path."""

    folder: Path
    classes: tuple[str, ...]
    train: tuple[ImageFile, ...]
    test: tuple[ImageFile, ...] | None

    @property
    def files(self) -> tuple[ImageFile, ...]:
        return self.train + (self.test or ())


def find_folder(path: str, data_root: Path) -> Path:
    """Return the folder that `path` names: below the data root, else as it is (from the current folder)."""
    try:
        given = Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(f"image_folder: {safe_text(path)}: there is no such user; give another path") from error
    tried = [data_root / given, Path.cwd() / given]
    for folder in tried:
        if folder.is_dir():
            return folder
    places = " nor ".join(dict.fromkeys(map(safe_text, tried)))
    raise DataError(f"image_folder: no folder {places}; give another path, or say with --data-root where data lies")


def list_images(folder: Path, test_share: float) -> Listing:
    """Return the images of `train/<class>/` and `test/<class>/`, or of `<class>/` with a test part split off.

    Without `test/`, `val/` or `valid/` takes its place. Hidden folders and files, and files that are no images by
    their ending, are passed over; class folders may have folders of their own.

    Args:
        test_share: of the images of each class, where no folder says which are for testing; 0 for no test part.

    Raises:
        DataError: no images, a class without images, or classes that differ between the parts.
    """
    has_parts = bool(_subfolders(folder / "train"))
    train_folder = folder / "train" if has_parts else folder
    test_folder = next((folder / name for name in _TEST_FOLDERS if has_parts and _subfolders(folder / name)), None)

    classes = tuple(_subfolders(train_folder))
    if not classes:
        raise DataError(
            f"{safe_text(folder)}: no class folders; expected train/<class>/ and test/<class>/, or <class>/"
        )
    train = tuple(_files(folder, train_folder, classes))
    if test_folder is None:
        return Listing(folder, classes, *_split(train, test_share))
    in_test = tuple(_subfolders(test_folder))
    if in_test != classes:
        raise DataError(_difference(train_folder, set(classes), test_folder, set(in_test)))
    return Listing(folder, classes, train, tuple(_files(folder, test_folder, classes)))


def _subfolders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _files(folder: Path, part: Path, classes: Sequence[str]) -> Iterator[ImageFile]:
    """Yield the images of each class; `part` is the folder that holds the class folders."""
    empty = []
    beginning = len(os.path.join(folder, ""))  # noqa: PTH118  # as scandir joins, many times faster than relative_to
    for label, name in enumerate(classes):
        found = sorted(_image_entries(part, name), key=lambda entry: entry.path)
        if not found:
            empty.append(name)
        for entry in found:
            status = entry.stat()
            yield ImageFile(entry.path[beginning:], label, status.st_size, status.st_mtime_ns)
    if empty:
        raise DataError(
            f"{safe_text(part)}: no images in {_some(empty)}; put images there ({' '.join(IMAGE_ENDINGS)}), "
            "or remove the folder if it is no class"
        )


def _image_entries(part: Path, name: str) -> Iterator[os.DirEntry[str]]:
    """Yield the images of a class, from the folders of its folder too; links are followed."""
    waiting = [os.path.join(part, name)]  # noqa: PTH118  # a list rather than recursion: folders may lie a thousand deep
    seen: dict[tuple[int, int], str] = {}
    while waiting:
        folder = waiting.pop()
        status = os.stat(folder)  # noqa: PTH116
        first = seen.setdefault((status.st_dev, status.st_ino), folder)
        if first is not folder:
            raise DataError(
                f"{safe_text(folder)}: is the same folder as {safe_text(first)}, so its images would count twice; "
                "remove the link"
            )
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    waiting.append(entry.path)
                elif entry.name.lower().endswith(IMAGE_ENDINGS):
                    yield entry


def _split(
    files: tuple[ImageFile, ...], test_share: float
) -> tuple[tuple[ImageFile, ...], tuple[ImageFile, ...] | None]:
    """Split off a test part, stratified by class, the same at every start."""
    if not test_share:
        return files, None
    count = round(test_share * len(files))
    if not 0 < count < len(files):
        raise DataError(
            f"image_folder: test: {test_share} of {count_text(len(files), 'image')} would leave "
            f"{len(files) - count} for training and {count} for testing; both need at least one"
        )
    positions: tuple[Tensor, Tensor] = hold_out(labels_of(files), count, 0, "image_folder test")
    train, test = (tuple(files[position] for position in part.tolist()) for part in positions)
    return train, test


def labels_of(files: Sequence[ImageFile]) -> Tensor:
    """Return the labels (N,) int64."""
    return torch.tensor([file.label for file in files], dtype=torch.int64)


def _difference(train: Path, in_train: set[str], test: Path, in_test: set[str]) -> str:
    missing = [
        f"{_some(sorted(names))} only in {safe_text(folder)}"
        for names, folder in ((in_train - in_test, train), (in_test - in_train, test))
        if names
    ]
    return f"image_folder: the class folders differ: {' and '.join(missing)}; both parts need the same classes"


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(map(safe_text, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
