"""Labelled lines of a report."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from cnnsweep.formatting.escape import safe_text

_LABEL = 12  # characters


def print_fact(console: Console, label: str, text: str, style: str = "") -> None:
    """Print one labelled line without wrapping, so that paths and commands can be copied."""
    console.print(Text.assemble((label.ljust(_LABEL), "dim"), (text, style)), soft_wrap=True)


def print_list(console: Console, label: str, parts: Sequence[str]) -> None:
    """Print one labelled list; the lines that it needs are indented, and no part is cut."""
    room, lines = max(console.width - _LABEL, 1), [""]
    for part in [*(f"{part}, " for part in parts[:-1]), *parts[-1:]]:
        if lines[-1] and cell_len(lines[-1] + part.rstrip()) > room:
            lines.append("")
        lines[-1] += part
    print_fact(console, label, ("\n" + " " * _LABEL).join(line.rstrip() for line in lines))


def quoted(path: Path | str) -> str:
    """Return a path or name quoted for a shell, safe to print."""
    return safe_text(shlex.quote(str(path)))
