"""Fields of a user's own component, read from its source: a sweep file is checked without running any code."""

import ast
import importlib
from functools import cache
from pathlib import Path
from typing import Any

from cnnsweep.plugins import module_file
from cnnsweep.storage.read_limited import read_bounded

_LONGEST_CODE = 10 << 20  # bytes of a Python file
_DEEPEST = 20  # classes that derive from each other


@cache
def fields_in_source(reference: str, _code: str | None) -> tuple[str, ...] | None:
    """Return the fields of a class, those of its bases first; None where the source does not tell.

    Args:
        reference: `file.py:Name` or `package.module:Name`.
        _code: content hash, which distinguishes versions of the file.
    """
    place, _, name = reference.rpartition(":")
    file = Path(place) if place.endswith(".py") else module_file(place)
    if file is None:
        return None
    try:
        tree = ast.parse(read_bounded(file, _LONGEST_CODE))
    except (SyntaxError, OSError, ValueError, RecursionError, MemoryError):
        return None
    fields = _fields(name, tree, 0)
    return None if fields is None else tuple(dict.fromkeys(fields))


def _fields(name: str, tree: ast.Module, depth: int) -> list[str] | None:
    found = [one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == name]
    if not found:
        return _fields_of_ours(name, tree)
    if found[-1].decorator_list or depth > _DEEPEST:
        return None
    fields: list[str] = []
    for base in found[-1].bases:
        of_base = _fields(base.id, tree, depth + 1) if isinstance(base, ast.Name) else None
        if of_base is None:
            return None
        fields += of_base
    return fields + [field for field in map(_field, found[-1].body) if field is not None]


def _field(statement: ast.stmt) -> str | None:
    if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
        return None
    name = statement.target.id
    return None if name.startswith("_") or "ClassVar" in ast.unparse(statement.annotation) else name


def _fields_of_ours(name: str, tree: ast.Module) -> list[str] | None:
    """Return the fields of a class that is imported from this package."""
    for one in tree.body:
        if isinstance(one, ast.ImportFrom) and (one.module or "").startswith("cnnsweep."):
            for alias in one.names:
                if (alias.asname or alias.name) == name:
                    kind: Any = getattr(importlib.import_module(one.module or ""), alias.name, None)
                    return list(getattr(kind, "model_fields", ())) if kind is not None else None
    return None
