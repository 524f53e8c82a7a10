"""The place in a user's own code that a message names, `file.py:12: `, and what that code raised."""

from __future__ import annotations

import inspect
import traceback
from types import FunctionType
from typing import Any


def defined_at(code: Any) -> str:
    """Return the place of a function, a class, or an object's class, with a colon; empty where it is not known."""
    file, line = _definition(code)
    return f"{file}:{line}: " if file else ""


def raised_at(error: BaseException, code: Any) -> str:
    """Return the last place in the file of a function or class that an error came through, else its own place."""
    file, _ = _definition(code)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if file and frame.filename == file]
    return f"{file}:{lines[-1]}: " if lines else defined_at(code)


def what_raised(error: BaseException) -> str:
    """Return the type and text of an error in one line, `raised ValueError: no such image`."""
    return f"raised {type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


def _definition(code: Any) -> tuple[str, int]:
    """Return file and first line; empty where they are not known."""
    code = inspect.unwrap(code) if callable(code) else code
    if isinstance(code, FunctionType):
        return code.__code__.co_filename, code.__code__.co_firstlineno
    kind = code if isinstance(code, type) else type(code)
    try:
        return str(inspect.getsourcefile(kind) or ""), max(1, inspect.getsourcelines(kind)[1])
    except (OSError, TypeError):
        return "", 0
