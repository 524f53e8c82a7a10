"""Listing of a folder's images by part and class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from cnnsweep.datasets.folder_layout import find_layout
from cnnsweep.datasets.folder_options import DEFAULT_TEST_SHARE
from cnnsweep.datasets.image_files import USUAL_ENDINGS, ending_of, image_endings, is_clutter, is_hidden
from cnnsweep.datasets.split_names import TEST, TRAIN, VALIDATION
from cnnsweep.datasets.splits import hold_out
from cnnsweep.errors import DataError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text

HIDDEN = "hidden"  # instead of an ending


class ImageFile(NamedTuple):  # rather than a dataclass: a quarter of a second sooner for 60,000 files
    """An image by its path below the data set's folder, with the data that reveal a change of the file.

    Size and modification time may be equal for different content: archives and copies preserve them. The inode and the
    time of its last change are set by the system alone.
    """

    path: str
    label: int | tuple[int, ...]  # with several labels an image, 0 or 1 for each class
    size: int
    modified_ns: int
    changed_ns: int
    inode: int

    def is_still(self, status: os.stat_result) -> bool:
        """True if the file is unchanged; inodes are not compared, since some file systems reassign them."""
        return (status.st_size, status.st_mtime_ns, status.st_ctime_ns) == (
            self.size,
            self.modified_ns,
            self.changed_ns,
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """All images of a folder: class names in alphabetical order, files by class and path.

    Attributes:
        validation: files of the folder's own validation part; None without one.
        left_out: number of ignored files, by their ending.
        notes: other facts on the folder, for display.
    """

    folder: Path
    classes: tuple[str, ...]
    train: tuple[ImageFile, ...]
    test: tuple[ImageFile, ...] | None
    validation: tuple[ImageFile, ...] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[ImageFile, ...]:
        return self.train + (self.validation or ()) + (self.test or ())


def find_folder(path: str, data_root: Path) -> Path:
    """Return the folder at `path`: below the data root, else relative to the current folder."""
    try:
        given = Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(f"image_folder: {safe_text(path)}: there is no such user; give another path") from error
    tried = [data_root / given, Path.cwd() / given]
    for folder in tried:
        if folder.is_dir():
            return folder
    for file in tried:
        if file.is_file():
            raise DataError(
                f"image_folder: {safe_text(file)} is a file; unpack it if it is an archive, give its folder"
            )
    places = " nor ".join(dict.fromkeys(map(safe_text, tried)))
    raise DataError(f"image_folder: no folder {places}; give another path, or set --data-root")


def list_images(folder: Path, test_share: float) -> Listing:
    """Return the images of the folder's parts and classes (see `find_layout`).

    Hidden folders and files, and files without an image ending, are skipped and counted. Class folders may have
    subfolders, whose images belong to the class.

    Args:
        test_share: share of the images of each class for testing, if no folder determines it; 0 for none.

    Raises:
        DataError: no images, a class without images, or folders that are not classes.
    """
    layout = find_layout(folder)
    left_out: Counter[str] = Counter()
    parts = {part: tuple(_files(folder, layout.classes, places, left_out)) for part, places in layout.folders.items()}
    found = own_parts_or_split(folder, parts, test_share)
    return Listing(folder, layout.classes, *found.parts, left_out, (*layout.notes, *found.notes))


class FolderParts(NamedTuple):
    """The files for training, testing and validation, and notes on them."""

    parts: tuple[tuple[ImageFile, ...], tuple[ImageFile, ...] | None, tuple[ImageFile, ...] | None]
    notes: tuple[str, ...] = ()


def own_parts_or_split(folder: Path, parts: Mapping[str, tuple[ImageFile, ...]], test_share: float) -> FolderParts:
    """Return a folder's own parts, or a share of its images split off for testing.

    Raises:
        DataError: a share for testing is asked for, but the folder has a validation part, or a part would be empty.
    """
    train, validation, test = parts[TRAIN], parts.get(VALIDATION), parts.get(TEST)
    if test is None and validation is None:
        train, test = _split(train, test_share)
        note = f"{test_share:g} of each class kept for testing, since there is no folder for it"
        return FolderParts((train, test, None), () if test is None else (note,))
    if test is None and test_share not in (0, DEFAULT_TEST_SHARE):
        raise DataError(
            f"{safe_text(folder)}: has a validation part and no test part, so no share is split off for testing; leave "
            f"`test: {test_share}` out, or put the images to test on into test/"
        )
    return FolderParts((train, test, validation))


def _files(
    folder: Path, classes: Sequence[str], places: Sequence[Sequence[Path]], left_out: Counter[str]
) -> Iterator[ImageFile]:
    """Yield the images of each class, from its folders."""
    empty = []
    beginning = len(os.path.join(folder, ""))  # noqa: PTH118  # as scandir joins, many times faster than relative_to
    for label, name in enumerate(classes):
        found = sorted(
            (entry for place in places[label] for entry in _image_entries(place, left_out)),
            key=lambda entry: entry.path,
        )
        if not found:
            empty.append(name)
        for entry in found:
            status = entry.stat()
            yield ImageFile(
                entry.path[beginning:],
                label,
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
                status.st_ino,
            )
    if empty:
        raise DataError(
            f"{safe_text(places[0][0].parent)}: no images in {_some(empty)}; put images there "
            f"({USUAL_ENDINGS}), or remove the folder if it is no class"
        )


def _image_entries(place: Path, left_out: Counter[str]) -> Iterator[os.DirEntry[str]]:
    """Yield the images of a class, including its subfolders; links are followed."""
    waiting = [str(place)]  # a list instead of recursion: folders may be nested a thousand deep
    seen: dict[tuple[int, int], str] = {}
    endings = image_endings()
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
                if is_hidden(entry.name):
                    left_out[HIDDEN] += not is_clutter(entry.name)
                elif entry.is_dir():
                    waiting.append(entry.path)
                elif entry.name.lower().endswith(endings):
                    yield entry
                elif not is_clutter(entry.name):
                    left_out[ending_of(entry.name)] += 1


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
    """Return the labels: (N,) int64, or with several labels an image (N, classes) uint8 of 0 and 1."""
    is_multi_label = bool(files) and isinstance(files[0].label, tuple)
    return torch.tensor([file.label for file in files], dtype=torch.uint8 if is_multi_label else torch.int64)


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(map(safe_text, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
