"""Labelled lines of a report."""

import shlex
from pathlib import Path

from rich.console import Console
from rich.text import Text

from cnnsweep.formatting.escape import safe_text


def print_fact(console: Console, label: str, text: str, style: str = "") -> None:
    """Print one labelled line without wrapping, so that paths and commands can be copied."""
    console.print(Text.assemble((label.ljust(12), "dim"), (text, style)), soft_wrap=True)


def quoted(path: Path | str) -> str:
    """Return a path or name quoted for a shell, safe to print."""
    return safe_text(shlex.quote(str(path)))
