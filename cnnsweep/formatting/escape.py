"""Escaping of text of unknown origin for printing: names, causes and values come from files and users' code."""

from typing import Any


def safe_text(value: Any) -> str:
    r"""Return `str(value)` with everything that could control a terminal shown as an escape, `\x1b` for ESC.

    It escapes all characters that `str.isprintable` rejects: control characters (so newlines and tabs too),
    bidirectional overrides, zero-width and other format characters, lone surrogates, unassigned code points, and spaces
    that are not U+0020. Markup is kept; put the result in a `rich.text.Text`, which does not interpret it.
    """
    text = str(value)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
