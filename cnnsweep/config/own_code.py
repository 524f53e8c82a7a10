"""A user's own code that a sweep file names as `file.py:Name` or `package.module:Name`: found and parsed, never run."""

from __future__ import annotations

import ast
import hashlib
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationInfo as Info

from cnnsweep.field_types import JsonSchema, found, mistake, not_allowed, quoted
from cnnsweep.plugins import module_file
from cnnsweep.registry import Origin
from cnnsweep.storage.read_limited import read_bounded

ALLOW_CODE = "allow_code"  # in pydantic's context
OWN_CODE: JsonSchema = {
    "type": "string",
    "pattern": r"^.+:[A-Za-z_]\w*$",
    "description": "your own code: package.module:name, or path.py:name",
}
_LONGEST_CODE = 10 << 20  # bytes of a Python file
_DEEPEST = 20  # classes that derive from each other
UNREADABLE = (SyntaxError, OSError, ValueError, RecursionError, MemoryError)  # importing it names the reason


def may_import(info: Info) -> bool:
    """True if code that the sweep file names may be imported; that of another user may not, unless allowed."""
    return bool((info.context or {}).get(ALLOW_CODE, True))


def resolve_code(value: str, info: Info) -> Origin:
    """Return the absolute reference and the content hash of code that is named in the sweep file's folder.

    Raises:
        PydanticCustomError: there is no such file, or this is no reference.
    """
    file, _, attribute = value.rpartition(":")
    if file.endswith(".py") and attribute.isidentifier():
        return _code_in_file(file, attribute, (info.context or {}).get("folder", Path()))
    if attribute.isidentifier() and all(map(str.isidentifier, file.split("."))):
        return Origin(value, content_hash(module_file(file)))
    raise not_allowed(value, "package.module:name or path.py:name")


def _code_in_file(file: str, attribute: str, folder: Path) -> Origin:
    path = (folder / Path(file).expanduser()).absolute()
    try:
        content = read_bounded(path, _LONGEST_CODE)
    except FileNotFoundError:
        looked_in = "" if Path(file).is_absolute() else " in the sweep file's folder"
        raise mistake(f"there is no file {quoted(file)}{looked_in}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise mistake(f"{found(file)} cannot be read: {reason}") from None
    return Origin(f"{path}:{attribute}", hashlib.sha256(content).hexdigest())


def content_hash(file: Path | None) -> str | None:
    """Return the hash of a file's content; None if there is no such file, or it cannot be read."""
    try:
        return None if file is None else hashlib.sha256(read_bounded(file, _LONGEST_CODE)).hexdigest()
    except (OSError, ValueError):
        return None


def parse_code(reference: str) -> tuple[Path | None, ast.Module, str]:
    """Return the file of a reference, its syntax tree, and the name in it; an empty tree where no file is known.

    Raises:
        SyntaxError, OSError, ValueError, RecursionError, MemoryError: it cannot be read or parsed.
    """
    place, _, name = reference.rpartition(":")
    file = Path(place) if place.endswith(".py") else module_file(place)
    return file, ast.parse(b"" if file is None else read_bounded(file, _LONGEST_CODE)), name


@cache
def fields_in_source(
    reference: str,
    _code: str | None,
    leading: int = 0,
    constructor: int | None = None,
    given: tuple[str, ...] = (),
) -> tuple[str, ...] | None:
    """Return the fields of a class, those of its bases first; None where the source does not determine them.

    Those of a function are its parameters.

    Args:
        _code: content hash, which distinguishes versions of the file.
        leading: the number of a function's first parameters, which are no fields.
        constructor: the number of first parameters after `self` that are no fields, in the constructor of a class whose
            base is of another package; None where its parameters are no fields.
        given: names of further parameters that are no fields.
    """
    try:
        _, tree, name = parse_code(reference)
    except UNREADABLE:
        return None
    functions = [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == name]
    fields = _parameters(functions[-1], leading) if functions else _fields(name, tree, 0)
    if fields is None and constructor is not None and (own := _constructor(name, tree)) is not None:
        fields = _parameters(own, constructor + 1)
    return None if fields is None else tuple(field for field in dict.fromkeys(fields) if field not in given)


def attribute_value(reference: str, name: str) -> Any:
    """Return the constant that a class has by a name, or a function; None where the source has none.

    A class assigns it in its body, a function gets it in a later line: `fn.name = False`.
    """
    try:
        _, tree, own = parse_code(reference)
    except UNREADABLE:
        return None
    body = next((one.body for one in tree.body if isinstance(one, ast.ClassDef) and one.name == own), [])
    values = [_assigned(statement, name) for statement in body]
    values += [_assigned(statement, f"{own}.{name}") for statement in tree.body]
    return next((value for value in values if value is not None), None)


def _assigned(statement: ast.stmt, name: str) -> Any:
    """Return the constant that a statement assigns to a name; None if it does something else."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    value = getattr(statement, "value", None)
    is_it = any(isinstance(one, ast.Name | ast.Attribute) and ast.unparse(one) == name for one in targets)
    return value.value if is_it and isinstance(value, ast.Constant) else None


def _parameters(function: ast.FunctionDef, leading: int) -> list[str] | None:
    """Return the parameters of a function that keywords can set; None where it takes any, or is decorated."""
    given = function.args
    if given.kwarg is not None or function.decorator_list:
        return None
    positional = [one.arg for one in (*given.posonlyargs, *given.args)][max(leading, len(given.posonlyargs)) :]
    return [*positional, *(one.arg for one in given.kwonlyargs)]


def _constructor(name: str, tree: ast.Module, depth: int = 0) -> ast.FunctionDef | None:
    """Return the `__init__` of a class, its own or of a base in the same file."""
    found = [one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == name]
    if not found or found[-1].decorator_list or depth > _DEEPEST:
        return None
    own = [one for one in found[-1].body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
    of_bases = (_constructor(base.id, tree, depth + 1) for base in found[-1].bases if isinstance(base, ast.Name))
    return own[-1] if own else next(filter(None, of_bases), None)


def _fields(name: str, tree: ast.Module, depth: int) -> list[str] | None:
    found = [one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == name]
    if not found:
        return _imported_fields(name, tree)
    if found[-1].decorator_list or depth > _DEEPEST:
        return None
    fields: list[str] = []
    for base in found[-1].bases:
        of_base = _fields(base.id, tree, depth + 1) if isinstance(base, ast.Name) else None
        if of_base is None:
            return None
        fields += of_base
    return fields + list(_declared(found[-1]))


def _declared(definition: ast.ClassDef) -> Iterator[str]:
    for one in definition.body:
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            is_field = not one.target.id.startswith("_") and "ClassVar" not in ast.unparse(one.annotation)
            yield from [one.target.id] if is_field else []


def _imported_fields(name: str, tree: ast.Module) -> list[str] | None:
    """Return the fields of a class that is imported from this package."""
    for one in tree.body:
        if isinstance(one, ast.ImportFrom) and (one.module or "").startswith("cnnsweep."):
            for alias in one.names:
                if (alias.asname or alias.name) == name:
                    kind: Any = getattr(importlib.import_module(one.module or ""), alias.name, None)
                    return list(getattr(kind, "model_fields", ())) if kind is not None else None
    return None
