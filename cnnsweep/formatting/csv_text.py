"""CSV for spreadsheets: texts of unknown origin neither run as formulas nor control a terminal."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from cnnsweep.formatting.escape import safe_text

# A spreadsheet runs a cell that starts with one of these (OWASP, CSV injection).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def without_formula(value: Any) -> Any:
    """Return a value for a CSV cell: lists and mappings as JSON, and an apostrophe before a formula."""
    if isinstance(value, list | dict | tuple):
        value = json.dumps(value, ensure_ascii=False)
    return "'" + value if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as printable CSV; the first row is the heading."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(
        [_printable(without_formula(cell)) for cell in row] for row in rows
    )
    return stream.getvalue()


def _printable(value: Any) -> Any:
    return safe_text(value) if isinstance(value, str) else value
