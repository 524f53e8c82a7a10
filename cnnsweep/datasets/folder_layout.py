"""Layouts of image folders: parts of a data set, and classes.

Accepted are `train/<class>/`, `validation/<class>/` and `test/<class>/` under their many names, or `<class>/` alone,
below any number of folders that contain nothing else. Other layouts are refused: their folders would be learned as
classes.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnsweep.datasets.folder_contents import count_images, holds_images, identity, listed, subfolders
from cnnsweep.datasets.split_names import PARTS, TEST, TRAIN, VALIDATION, parts_by_name
from cnnsweep.errors import DataError
from cnnsweep.formatting.escape import safe_text

_NO_CLASSES = frozenset(
    (
        *("image", "images", "img", "imgs", "jpegimages", "mask", "masks", "label", "labels", "annotation"),
        *("annotations", "bbox", "bboxes", "gt", "groundtruth", "segmentation", "segmentations"),
    )
)
_NUMBERED = re.compile(r"(fold|split|part|batch|subset)[\W_]*\d+", re.IGNORECASE)
_READABLE_ENDINGS = (".csv", ".tsv")
_LABEL_ENDINGS = (*_READABLE_ENDINGS, ".json", ".jsonl", ".xml", ".xlsx", ".parquet")


@dataclass(frozen=True, slots=True)
class Layout:
    """Folders of the images of each part and class.

    Attributes:
        classes: names, in alphabetical order.
        folders: by part (`train`, always present, `validation`, `test`), for each class the folders of its images.
        notes: unexpected decisions and omissions, for display.
    """

    classes: tuple[str, ...]
    folders: Mapping[str, tuple[tuple[Path, ...], ...]]
    notes: tuple[str, ...]


def find_layout(folder: Path) -> Layout:
    """Return the parts and classes of a folder.

    Raises:
        DataError: it has neither parts with the same two classes or more, nor two class folders or more.
        OSError: a folder cannot be read.
    """
    notes: list[str] = []
    top = _unwrapped(folder, None, notes)
    kids = subfolders(top)
    if not kids:
        raise DataError(_no_class_folders(top))
    parts = _find_parts(top, kids, notes)
    homes = {part: _unwrapped(parts[part], part, notes) for part in PARTS if part in parts} or {TRAIN: top}
    grouped = {part: _classes_of(place) for part, place in homes.items()}
    _refuse_other_things(homes[TRAIN], grouped[TRAIN])
    _refuse_differing(homes, grouped)
    _refuse_twins(grouped.values())
    for place in dict.fromkeys((top, *homes.values())):
        notes += _stray_images(place)
    names = _names(grouped.values())
    notes += _merged(names, grouped.values())
    notes += _mirrored(grouped[TRAIN])
    classes = sorted(names, key=lambda key: names[key])
    folders = {part: tuple(tuple(found[key]) for key in classes) for part, found in grouped.items()}
    return Layout(tuple(names[key] for key in classes), folders, tuple(notes))


def _unwrapped(folder: Path, part: str | None, notes: list[str]) -> Path:
    """Return the first folder with other content than a single folder of folders, as in unpacked archives.

    Args:
        part: the part that the folder is, so that a subfolder may have its name; None above the parts.
    """
    place, seen = folder, {identity(folder)}
    while len(kids := subfolders(place)) == 1 and not count_images(place):
        inner = place / kids[0]
        is_other_part = not set(parts_by_name(kids).values()) <= {part}
        if is_other_part or count_images(inner) or not subfolders(inner):
            break
        if identity(inner) in seen:
            raise DataError(f"{safe_text(inner)}: leads back to a folder above it; remove the link")
        seen.add(identity(inner))
        place = inner
    if place != folder:
        notes.append(f"read from {safe_text(place)}, since the folders above it hold nothing else")
    return place


def _find_parts(top: Path, kids: Sequence[str], notes: list[str]) -> dict[str, Path]:
    """Return the folder of each part; empty if the folders are classes."""
    named = parts_by_name(kids)
    if not named:
        _refuse_parts_inside(top, kids)
        return {}
    others = [name for name in kids if name not in named]
    structured = [name for name in named if subfolders(top / name)]
    train = [name for name, part in named.items() if part == TRAIN]
    if others and not _are_parts_beside_others(top, named, others, structured):
        return {}
    if not train:
        raise DataError(
            f"{safe_text(top)}: holds {listed(named)}, but no train/ to learn from; put the class folders to train on "
            "into train/"
        )
    by_part: dict[str, Path] = {}
    for name, part in named.items():
        if part in by_part:
            raise DataError(
                f"{safe_text(top)}: {listed([by_part[part].name, name])} may both be the {part} part; keep one, or "
                "give the other another name"
            )
        if name in structured:
            by_part[part] = top / name
        elif part == TRAIN:
            raise DataError(_flat_part(top, name, [other for other in named if other != name]))
        else:
            notes.append(_left_out_part(top / name, part))
    if others:
        notes.append(f"left out beside the parts: {listed(others)}")
    return by_part


def _are_parts_beside_others(
    top: Path, named: Mapping[str, str], others: Sequence[str], structured: Sequence[str]
) -> bool:
    """True if folders named like parts are parts in spite of others beside them; False if all are classes."""
    if len(set(named.values())) > 1 and TRAIN in named.values():
        return True
    for name in structured:
        inner = set(subfolders(top / name))
        if len(inner) > 1 and named[name] == TRAIN and not any(holds_images(top / other) for other in others):
            return True
        is_mirrored = len(inner) > 1 and any(set(subfolders(top / other)) == inner for other in others)
        if named[name] == TRAIN or inner & set(others) or is_mirrored:
            raise DataError(
                f"{safe_text(top)}: {listed([name])} holds folders ({listed(sorted(inner))}), so it looks like the "
                f"{named[name]} part of the data, but {listed(others)} beside it are no parts. Put "
                "the class folders to train on into train/, or, if it is a class, give it another name"
            )
    return False


def _refuse_parts_inside(top: Path, kids: Sequence[str]) -> None:
    """Raise if each class has its own parts: their images would be used for both training and testing."""
    holders = [name for name in kids if _are_parts(subfolders(top / name))]
    if len(holders) == 1:
        raise DataError(
            f"{safe_text(top)}: {listed(holders)} holds the parts of a data set "
            f"({listed(subfolders(top / holders[0]))}), and {listed([k for k in kids if k not in holders])} lie "
            f"beside it; give `path` as {safe_text(top / holders[0])}"
        )
    if holders:
        raise DataError(
            f"{safe_text(top)}: {listed(holders)} hold parts ({listed(subfolders(top / holders[0]))}) of their own; "
            "turn it round, so that there are train/<class>/ and test/<class>/"
        )


def _are_parts(names: Sequence[str]) -> bool:
    found = parts_by_name(names)
    return TRAIN in found.values() and len(set(found.values())) > 1


def _classes_of(place: Path) -> dict[str, list[Path]]:
    """Return the folders of each class; names that differ only in Unicode's normal form are one class."""
    found: dict[str, list[Path]] = {}
    for name in subfolders(place):
        found.setdefault(unicodedata.normalize("NFC", name), []).append(place / name)
    return found


def _names(grouped: Iterable[Mapping[str, Sequence[Path]]]) -> dict[str, str]:
    """Return the name of each class: as on the disk, if all folders agree, else in NFC."""
    written: dict[str, set[str]] = {}
    for found in grouped:
        for key, folders in found.items():
            written.setdefault(key, set()).update(folder.name for folder in folders)
    return {key: next(iter(names)) if len(names) == 1 else key for key, names in written.items()}


def _merged(names: Mapping[str, str], grouped: Collection[Mapping[str, Sequence[Path]]]) -> list[str]:
    return [
        f"{safe_text(name)} is one class, though its folders' names differ in Unicode's normal form"
        for key, name in names.items()
        if len({folder.name for found in grouped for folder in found[key]}) > 1
    ]


def _mirrored(found: Mapping[str, Sequence[Path]]) -> list[str]:
    """Return a note if all classes have the same subfolders, which may be the actual classes."""
    inner = [subfolders(folders[0]) for folders in found.values()]
    if len(inner[0]) < 2 or any(one != inner[0] for one in inner):
        return []
    return [
        f"{listed(found)} are the classes, though all of them hold the same folders ({listed(inner[0])}): if these are "
        "the classes, turn it round"
    ]


def _refuse_other_things(place: Path, found: Mapping[str, Sequence[Path]]) -> None:
    """Raise if the folders cannot be classes, or are only one."""
    names = list(found)
    if not names:
        raise DataError(_no_class_folders(place))
    if len(names) == 1:
        raise DataError(
            f"{safe_text(place)}: holds one class only ({listed(names)}), and there is nothing to learn from one; "
            "expected two class folders or more, in train/<class>/ or in <class>/"
        )
    if all(name.casefold() in _NO_CLASSES for name in names):
        raise DataError(
            f"{safe_text(place)}: holds {listed(names)}, which are no classes; expected one folder a class, in "
            "train/<class>/ or in <class>/. For other layouts write a function (`dataset: data.py:load`)"
        )
    inner = [set(subfolders(folders[0])) for folders in found.values()]
    if all(map(_NUMBERED.fullmatch, names)) and len(inner[0]) > 1 and all(one == inner[0] for one in inner):
        raise DataError(
            f"{safe_text(place)}: {listed(names)} hold the same folders ({listed(sorted(inner[0]))}), so these look "
            "like the classes; put them together into <class>/, and write `validation: {folds: K}` for folds"
        )


def _refuse_differing(homes: Mapping[str, Path], grouped: Mapping[str, Mapping[str, object]]) -> None:
    classes = set(grouped[TRAIN])
    for part in (TEST, VALIDATION):
        if part in grouped and set(grouped[part]) != classes:
            raise DataError(_difference(homes[TRAIN], classes, homes[part], set(grouped[part])))


def _refuse_twins(grouped: Iterable[Mapping[str, Sequence[Path]]]) -> None:
    """Raise if links put a folder into two parts or classes: images would be in training and test."""
    seen: dict[tuple[int, int], Path] = {}
    for place in (place for found in grouped for folders in found.values() for place in folders):
        if (first := seen.setdefault(identity(place), place)) is not place:
            raise DataError(
                f"{safe_text(place)}: is the same folder as {safe_text(first)}, so its images would count twice; "
                "remove the link"
            )


def _difference(train: Path, in_train: set[str], other: Path, in_other: set[str]) -> str:
    only_train, only_other = sorted(in_train - in_other), sorted(in_other - in_train)
    missing = [
        f"{listed(names)} only in {safe_text(folder)}"
        for names, folder in ((only_train, train), (only_other, other))
        if names
    ]
    twins = {name.casefold(): name for name in only_train}
    same = [f"{twins[name.casefold()]} and {name}" for name in only_other if name.casefold() in twins]
    hint = f" ({listed(same)} differ in case alone: rename one)" if same else ""
    return f"image_folder: the class folders differ: {' and '.join(missing)}; both parts need the same classes{hint}"


def _no_class_folders(place: Path) -> str:
    images = count_images(place)
    if not images:
        return f"{safe_text(place)}: no class folders; expected train/<class>/ and test/<class>/, or <class>/"
    with os.scandir(place) as entries:
        tables = sorted(entry.name for entry in entries if entry.name.lower().endswith(_LABEL_ENDINGS))
    labels = _labels_words(tables[0]) if tables else ""
    return (
        f"{safe_text(place)}: {images:,} images lie in no class folder; none exists.{labels} Move each image "
        "into a folder called like its class, or write a function that returns images and labels "
        "(`dataset: data.py:load`)"
    )


def _labels_words(table: str) -> str:
    if table.lower().endswith(_READABLE_ENDINGS):
        return f" If {listed([table])} names the labels of each image, add labels: {safe_text(table)} to the data set."
    return f" Labels are not read from files such as {listed([table])}."


def _flat_part(top: Path, name: str, others: Sequence[str]) -> str:
    beside = f", beside {listed(others)}" if others else ""
    return (
        f"{safe_text(top / name)}: is called like the training part{beside}, but holds no class folders "
        f"({count_images(top / name):,} images); expected {safe_text(name)}/<class>/. If it is a class, give it "
        "another name"
    )


def _left_out_part(place: Path, part: str) -> str:
    return f"left out: {safe_text(place)}, since the {part} part needs class folders ({count_images(place):,} images)"


def _stray_images(place: Path) -> list[str]:
    count = count_images(place)
    return [f"left out: {count:,} images in {safe_text(place)} that lie in no class folder"] if count else []
