"""Diagnostics and unused files, as lines and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import bytes_text
from cnnsweep.maintenance.clean import UnusedFile
from cnnsweep.maintenance.diagnostic import Diagnostic, Level, has_problems

_MARKS = {Level.GOOD: ("✓", "green"), Level.NOTE: ("!", "magenta"), Level.PROBLEM: ("✗", "red")}


def render_diagnostics(diagnostics: Sequence[Diagnostic], console: Console) -> None:
    """Print one line per diagnostic, its level first, and below it the remedy."""
    width = max((len(diagnostic.subject) for diagnostic in diagnostics if diagnostic.level is Level.GOOD), default=0)
    for diagnostic in diagnostics:
        mark, colour = _MARKS[diagnostic.level]
        line = Text.assemble((mark, colour), " ", (diagnostic.subject.ljust(width), "bold"), "  ", diagnostic.words)
        console.print(line, soft_wrap=True)
        if diagnostic.remedy is not None:
            console.print(Text(f"    → {diagnostic.remedy}", style="dim"), soft_wrap=True)
    problems = sum(diagnostic.level is Level.PROBLEM for diagnostic in diagnostics)
    notes = sum(diagnostic.level is Level.NOTE for diagnostic in diagnostics)
    summary = "no problems" if not problems else f"{problems:,} problem{'s' if problems > 1 else ''}"
    summary += f", {notes:,} note{'s' if notes > 1 else ''}" if notes else ""
    console.print(Text(summary, style="bold"))


def diagnostics_to_json(diagnostics: Sequence[Diagnostic], repairs: Sequence[str] | None = None) -> str:
    """Return diagnostics as JSON, with the repairs if there was a repair."""
    content = {
        "sound": not has_problems(diagnostics),
        "findings": [diagnostic.to_plain() for diagnostic in diagnostics],
    }
    if repairs is not None:
        content["repairs"] = list(repairs)
    return json.dumps(content, indent=2)


def render_unused_files(unused_files: Sequence[UnusedFile], console: Console) -> None:
    """Print the number and size of each kind."""
    kinds: dict[str, list[UnusedFile]] = {}
    for one in unused_files:
        kinds.setdefault(one.why, []).append(one)
    for why, members in kinds.items():
        size = bytes_text(sum(one.size_bytes for one in members))
        files = f"{len(members):,} file{'s' if len(members) > 1 else ''}"
        console.print(Text(f"{size:>9}  {why} ({files})"), soft_wrap=True)


def unused_files_to_json(unused_files: Sequence[UnusedFile], *, is_removed: bool) -> str:
    """Return the removed files, or those that would be, as JSON."""
    files = [{"path": safe_text(one.path), "bytes": one.size_bytes, "why": one.why} for one in unused_files]
    total = sum(one.size_bytes for one in unused_files)
    return json.dumps({"removed": is_removed, "bytes": total, "files": files}, indent=2)
