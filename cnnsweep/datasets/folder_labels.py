"""Several labels an image from a CSV file in an image folder.

The first column is the file, relative to the folder. Then comes either one column `labels`, with class names separated
by semicolons, or a column a class with 0 and 1:

    file,labels               file,cat,dog
    a.jpg,cat;dog             a.jpg,1,1
    more/b.jpg,               more/b.jpg,0,0

Columns may also be separated by tabs or semicolons; a cell of several names is then in quotes, if it has the same
character. Where all files lie in folders such as train/ and test/, these are the parts.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cnnsweep.datasets.folder_listing import ImageFile, Listing, own_parts_or_split
from cnnsweep.datasets.image_files import USUAL_ENDINGS, is_hidden, is_image_name
from cnnsweep.datasets.split_names import TRAIN, parts_by_name
from cnnsweep.errors import DataError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text

_NAMES = "labels"  # heading of a column of names
_BINARY = {"0": 0, "1": 1}
_QUOTED = 'such as "cat;dog", in quotes if columns are separated by ; too'


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    path: str
    label: tuple[int, ...]


def list_labelled_images(folder: Path, name: str, test_share: float) -> Listing:
    """Return the images that a CSV file in the folder names, with their labels.

    Args:
        test_share: share of the images for testing, if no folder determines it; 0 for none.

    Raises:
        DataError: the file is missing or wrong, with its line, or names a file that is no image here.
    """
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(f"image_folder: labels: {safe_text(name)} must lie in the folder {safe_text(folder)}")
    file = folder / name
    heading, lines = _read(file)
    if len(heading) < 2:
        raise DataError(
            f"{safe_text(file)}:1: found {_listed(heading)}, allowed are the columns file and labels (names separated "
            "by ;), or file and a column of 0 and 1 for each class"
        )
    if not lines:
        raise DataError(f"{safe_text(file)}: names no images")
    if _has_names(heading):
        classes, rows = _by_name(file, lines)
    else:
        classes, rows = _by_column(file, heading, lines)
    _refuse_twice(file, rows)
    parts: dict[str, list[ImageFile]] = {}
    homes = _parts(rows)
    for row in sorted(rows, key=lambda row: row.path):
        part = TRAIN if homes is None else homes[PurePosixPath(row.path).parts[0]]
        parts.setdefault(part, []).append(_image(folder, file, row))
    unnamed = _unnamed(folder, {row.path for row in rows})
    notes = [f"labels from {safe_text(file)}"]
    if unnamed:
        notes.append(f"left out: {count_text(unnamed, 'image')} that it does not name")
    listing = own_parts_or_split(folder, {part: tuple(files) for part, files in parts.items()}, test_share)
    return Listing(folder, classes, *listing.parts, notes=(*notes, *listing.notes))


def _read(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the heading, and the other rows with their lines."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            first = opened.readline()
            opened.seek(0)
            reader = csv.reader(opened, delimiter=_delimiter(first), strict=True)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except FileNotFoundError:
        raise DataError(f"image_folder: labels: no file {safe_text(file)}; its path is relative to `path`") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{safe_text(file)}: cannot be read as a CSV file in UTF-8 ({safe_text(error)})") from error
    heading = rows[0][1] if rows else []
    if heading and is_image_name(heading[0]):
        raise DataError(
            f"{safe_text(file)}:1: found {_listed(heading)}, expected a heading: file,labels, or file and the name of "
            "each class"
        )
    for line, row in rows:
        if len(row) != len(heading):
            hint = f"; separate the labels by ; in one cell ({_QUOTED})" if _has_names(heading) else ""
            raise DataError(
                f"{safe_text(file)}:{line}: found {count_text(len(row), 'column')}, expected {len(heading)} as in line "
                f"1: {_listed(heading)}{hint}"
            )
    return heading, [(line, [_slashes(row[0]), *row[1:]]) for line, row in rows[1:]]


def _has_names(heading: Sequence[str]) -> bool:
    return [name.casefold() for name in heading[1:]] == [_NAMES]


def _slashes(path: str) -> str:
    """Return a path as `os.walk` has it: `./a.jpg` is `a.jpg`."""
    return PurePosixPath(path).as_posix() if path else path


def _delimiter(heading: str) -> str:
    """Return the first of tab, comma and semicolon in the heading; spreadsheets of some countries write semicolons."""
    return next((one for one in "\t,;" if one in heading), ",")


def _by_name(file: Path, lines: Sequence[tuple[int, list[str]]]) -> tuple[tuple[str, ...], list[_Row]]:
    names = {line: [name for one in cell.split(";") if (name := one.strip())] for line, (_, cell) in lines}
    classes = tuple(sorted({name for found in names.values() for name in found}))
    if not classes:
        raise DataError(f"{safe_text(file)}: no image has a label")
    place = {name: number for number, name in enumerate(classes)}
    _refuse_joined(file, names, place)
    rows = []
    for line, (path, _) in lines:
        own = {place[name] for name in names[line]}
        rows.append(_Row(line, path, tuple(int(number in own) for number in range(len(classes)))))
    return classes, rows


def _refuse_joined(file: Path, names: Mapping[int, Sequence[str]], known: Collection[str]) -> None:
    """Raise if labels are separated by commas: a name is made of other names."""
    for line, found in names.items():
        for name in found:
            parts = [part.strip() for part in name.split(",")]
            if len(parts) > 1 and all(part in known for part in parts):
                raise DataError(
                    f"{safe_text(file)}:{line}: found the label {safe_text(name)!r}, but {_listed(parts)} are labels "
                    "too; separate the labels of an image by ;"
                )


def _by_column(
    file: Path, heading: Sequence[str], lines: Sequence[tuple[int, list[str]]]
) -> tuple[tuple[str, ...], list[_Row]]:
    classes = tuple(heading[1:])
    if twice := [name for name, count in Counter(classes).items() if count > 1 or not name]:
        raise DataError(f"{safe_text(file)}:1: the column {twice[0]!r} is there twice or has no name; name each class")
    rows = []
    for line, (path, *cells) in lines:
        for name, cell in zip(classes, cells, strict=True):
            if cell not in _BINARY:
                hint = f"; for names separated by ; call the column {_NAMES}" if len(classes) == 1 else ""
                raise DataError(
                    f"{safe_text(file)}:{line}: column {safe_text(name)}: found {safe_text(cell)!r}, allowed are 0 and "
                    f"1{hint}"
                )
        rows.append(_Row(line, path, tuple(_BINARY[cell] for cell in cells)))
    return classes, rows


def _refuse_twice(file: Path, rows: Sequence[_Row]) -> None:
    lines: dict[str, int] = {}
    for row in rows:
        if (first := lines.setdefault(row.path, row.line)) != row.line:
            raise DataError(
                f"{safe_text(file)}:{row.line}: names {safe_text(row.path)} again, as in line {first}; give all labels "
                "of an image in one line"
            )


def _parts(rows: Sequence[_Row]) -> Mapping[str, str] | None:
    """Return the part of each top folder; None if some files lie in no folder of a part, so that there are none."""
    tops = {PurePosixPath(row.path).parts[0] for row in rows if len(PurePosixPath(row.path).parts) > 1}
    if any(len(PurePosixPath(row.path).parts) < 2 for row in rows):
        return None
    found = parts_by_name(sorted(tops))
    return found if found.keys() == tops and TRAIN in found.values() else None


def _image(folder: Path, file: Path, row: _Row) -> ImageFile:
    where = f"{safe_text(file)}:{row.line}"
    path = Path(row.path)
    if not row.path or path.is_absolute() or ".." in path.parts:
        raise DataError(f"{where}: found {row.path!r}, allowed is a file below {safe_text(folder)}")
    if not is_image_name(row.path):
        raise DataError(f"{where}: {safe_text(row.path)} is no image ({USUAL_ENDINGS})")
    try:
        status = os.stat(folder / path)  # noqa: PTH116
    except (OSError, ValueError) as error:  # a ValueError: the name has a null character
        why = error.strerror if isinstance(error, OSError) else error
        hint = "; write / between folders" if "\\" in row.path else ""
        raise DataError(f"{where}: no image {safe_text(folder / path)} ({why}){hint}") from None
    return ImageFile(row.path, row.label, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _unnamed(folder: Path, named: set[str]) -> int:
    """Return the number of images in the folder that the file does not name."""
    return sum(path not in named for path in _images_below(folder))


def _images_below(folder: Path) -> Iterator[str]:
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        below = Path(top).relative_to(folder)
        yield from ((below / name).as_posix() for name in names if is_image_name(name) and not is_hidden(name))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(safe_text, names[:10])) + (" …" if len(names) > 10 else "") if names else "no columns"
