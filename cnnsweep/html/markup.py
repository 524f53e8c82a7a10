"""Escaping of text and values for a page, so that nothing in them becomes markup or code."""

import html
import json
from collections.abc import Sequence
from typing import Any

from cnnsweep.formatting.distinct import cut_texts
from cnnsweep.formatting.escape import safe_text

# Within a script element these could end it, begin a comment, or (the last two) end a line of JavaScript.
_IN_SCRIPT = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def text(value: Any) -> str:
    """Return a value as HTML text, also for between the quotes of an attribute."""
    return html.escape(safe_text(value))


def path(value: str) -> str:
    """Return the name of a file as HTML text that is broken behind a slash first."""
    return text(value).replace("/", "/<wbr>")


def many_lines(value: str) -> str:
    """Return text as HTML with its line ends and tabs; other unprintable characters are shown escaped."""
    return "\n".join(text(line.expandtabs(4)) for line in value.splitlines())


def chart_text(value: Any, longest: int | None = None) -> str:
    """Return a value as text for plotly, which interprets some HTML and decodes entities.

    Args:
        longest: the maximum number of characters; the rest is cut off.
    """
    shown = safe_text(value)
    if longest is not None and len(shown) > longest:
        shown = shown[: longest - 1] + "…"
    return html.escape(shown, quote=False)


def chart_texts(values: Sequence[Any], longest: int) -> list[str]:
    """Return several such texts for one axis; different values stay different after cutting."""
    return [html.escape(one, quote=False) for one in cut_texts([safe_text(value) for value in values], longest)]


def embedded_json(value: Any) -> str:
    """Return JSON that is safe inside a script element."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_IN_SCRIPT)
