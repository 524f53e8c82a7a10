"""A small table for notebooks; its cells hold only text."""

from collections.abc import Sequence
from html import escape
from typing import Any

from cnnsweep.formatting.escape import safe_text


def html_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[Any]], note: str = "") -> str:
    """Return a table as HTML; numbers have 5 digits, None is a dash."""
    head = "".join(f"<th>{_text(name)}</th>" for name in headings)
    body = "".join("<tr>" + "".join(f"<td>{_text(value)}</td>" for value in row) + "</tr>" for row in rows)
    below = f"<div>{_text(note)}</div>" if note else ""
    heading = f"<thead><tr>{head}</tr></thead>" if any(headings) else ""
    return f"<div><strong>{_text(title)}</strong><table>{heading}<tbody>{body}</tbody></table>{below}</div>"


def _text(value: Any) -> str:
    if value is None:
        return "–"
    is_number = isinstance(value, float)
    return escape(f"{value:.5g}" if is_number else safe_text(str(value)))
