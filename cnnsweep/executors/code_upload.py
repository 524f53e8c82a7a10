"""Upload of the user's code to other machines: the Python files beside and below the ones in a sweep file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from cnnsweep.errors import UsageError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.plugins import is_reference, module_file

_MOST_FILES = 2_000
_MOST_FOLDERS = 10_000  # maximum number of folders to search
_MOST_BYTES = 20 * 10**6
_LEFT_OUT = ("runs", "data", "build", "dist", "node_modules", "__pycache__", "site-packages")
_ADVICE = "keep the code of a sweep in a folder with few other files"


def stage_code(references: Sequence[str], target: Path) -> dict[str, str]:
    """Copy the Python files that code may need: all below its file's folder; for a module, below the current folder.

    Hidden folders, virtual environments, and the usual folders of sweeps, data sets and builds are excluded.

    Args:
        references: names of models and data sets, built-in ones too.

    Returns:
        The path of each folder's copy below the target; for modules that of the current folder.

    Raises:
        UsageError: a module is not among the copied files, or they are too large.
    """
    copies: dict[str, str] = {}
    for reference in filter(is_reference, references):
        place = reference.rpartition(":")[0]
        file = Path(place) if place.endswith(".py") else _module_below(place)
        if file is None:
            continue
        folder = file.parent if place.endswith(".py") else Path.cwd()
        if str(folder) not in copies:
            copies[str(folder)] = str(len(copies))
            _copy(folder, target / copies[str(folder)])
        if not (target / copies[str(folder)] / file.relative_to(folder)).exists():
            raise UsageError(
                f"{safe_text(reference)}: is not sent to the cluster: {safe_text(file)} lies in a folder that is "
                f"hidden, or is named {', '.join(_LEFT_OUT)}; move it"
            )
    return copies


def _module_below(name: str) -> Path | None:
    """Return a module's file; None if it is installed: then every node must have it."""
    file = module_file(name)
    if file is None or not file.is_relative_to(Path.cwd()) or "site-packages" in file.parts:
        return None
    return file


def _copy(source: Path, target: Path) -> None:
    files = list(_python_files(source))
    size = sum(file.stat().st_size for file in files)
    if len(files) > _MOST_FILES or size > _MOST_BYTES:
        raise UsageError(
            f"{safe_text(source)}: {len(files):,} Python files of {size / 1e6:.1f} MB are below it; at most "
            f"{_MOST_FILES:,} and {_MOST_BYTES / 1e6:.0f} MB are sent to a cluster; {_ADVICE}"
        )
    for file in files:
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def _python_files(source: Path) -> Iterator[Path]:
    for count, (folder, below, names) in enumerate(os.walk(source), 1):
        if count > _MOST_FOLDERS:
            raise UsageError(f"{safe_text(source)}: more than {_MOST_FOLDERS:,} folders are below it; {_ADVICE}")
        here = Path(folder)
        below[:] = sorted(name for name in below if not _is_left_out(here / name))
        yield from (here / name for name in sorted(names) if name.endswith(".py") and (here / name).is_file())


def _is_left_out(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in _LEFT_OUT or (folder / "pyvenv.cfg").exists()
