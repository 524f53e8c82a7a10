"""The place in a user's own code that a message names: `file.py:12: `."""

from __future__ import annotations

import inspect
import traceback
from typing import Any


def defined_at(code: Any) -> str:
    """Return the place of a function or class, with a colon; empty where it is not known."""
    try:
        unwrapped = inspect.unwrap(code)
        return f"{inspect.getsourcefile(unwrapped) or ''}:{max(1, inspect.getsourcelines(unwrapped)[1])}: "
    except (OSError, TypeError):
        return ""


def raised_at(error: BaseException, code: Any) -> str:
    """Return the last place in the file of a function or class that an error came through, else its own place."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(code))
    except TypeError:
        file = None
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if file and frame.filename == file]
    return f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else defined_at(code)
