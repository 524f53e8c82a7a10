"""Users' own code, named as `package.module:Name` or `path/to/file.py:Name`."""

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from cnnsweep.errors import UsageError

_MOST_SHOWN = 20  # names of a module, in a message
_moved: dict[Path, Path] = {}


def find_moved_code(before: str, now: Path) -> None:
    """Redirect references to files in a folder of another machine to a folder here, modules included."""
    _moved[Path(before)] = now
    sys.path.append(str(now))


def is_reference(name: str) -> bool:
    """True if `name` is a reference to code, not a built-in name."""
    return ":" in name


def load_object(reference: str) -> Any:
    """Import the object of a reference.

    Args:
        reference: `package.module:Name`, or `file.py:Name` with a path that is absolute or relative to the
            current folder.

    Raises:
        UsageError: the file, module or name does not exist, or the code raises while it is imported.
    """
    place, _, name = reference.rpartition(":")
    try:
        module = _import_file(_where_now(Path(place))) if place.endswith(".py") else _import_module(place)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{reference}: importing it raised {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        defined = [n for n in vars(module) if not n.startswith("_")]
        available = ", ".join(defined[:_MOST_SHOWN]) or "nothing"
        available += f" and {len(defined) - _MOST_SHOWN:,} more" if len(defined) > _MOST_SHOWN else ""
        raise UsageError(f"{reference}: {place} has no '{name}'; it defines {available}")
    return getattr(module, name)


def module_file(name: str) -> Path | None:
    """Return the Python file of a module, or None; nothing is imported, not even its packages."""
    top, *rest = name.split(".")
    found = PathFinder.find_spec(top, [str(Path.cwd())]) or _find_spec(top, None)
    for part in rest:
        if found is None or found.submodule_search_locations is None:
            return None
        found = _find_spec(f"{found.name}.{part}", found.submodule_search_locations)
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        return None
    return Path(found.origin)


def _find_spec(name: str, places: Sequence[str] | None) -> ModuleSpec | None:
    try:
        return next(filter(None, (finder.find_spec(name, places) for finder in sys.meta_path)), None)
    except KeyError:  # a folder without __init__.py inside another: Python searches the outer one, which is missing
        return None


def _where_now(path: Path) -> Path:
    # The innermost of nested folders has the copy of this file.
    for folder in sorted(_moved, key=lambda folder: -len(folder.parts)):
        if path.is_relative_to(folder):
            return _moved[folder] / path.relative_to(folder)
    return path


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"{path}: no such file; the part before ':' must be a Python file")
    # Two files of one name in different folders are two modules; pickle finds the module by this name.
    name = f"cnnsweep_user_{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # A user's file may import its neighbours, as in a script.
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module


def _import_module(name: str) -> ModuleType:
    # `python -m` finds packages in the current folder; an installed command needs this entry.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise UsageError(f"{name}: no such module; write package.module:Name or path/to/file.py:Name") from None
        raise
