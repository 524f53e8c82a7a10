"""Diagnostics and unused files, as lines for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import bytes_text
from cnnsweep.maintenance.clean import Rubbish
from cnnsweep.maintenance.diagnostic import Finding, Level, has_problems

_MARKS = {Level.GOOD: ("✓", "green"), Level.NOTE: ("!", "magenta"), Level.PROBLEM: ("✗", "red")}


def render_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print one line per diagnostic, its level first, and below it the remedy."""
    width = max((len(finding.subject) for finding in findings if finding.level is Level.GOOD), default=0)
    for finding in findings:
        mark, colour = _MARKS[finding.level]
        line = Text.assemble((mark, colour), " ", (finding.subject.ljust(width), "bold"), "  ", finding.words)
        console.print(line, soft_wrap=True)
        if finding.remedy is not None:
            console.print(Text(f"    → {finding.remedy}", style="dim"), soft_wrap=True)
    problems = sum(finding.level is Level.PROBLEM for finding in findings)
    notes = sum(finding.level is Level.NOTE for finding in findings)
    summary = "nothing is wrong" if not problems else f"{problems:,} problem{'s' if problems > 1 else ''}"
    summary += f", {notes:,} thing{'s' if notes > 1 else ''} to know" if notes else ""
    console.print(Text(summary, style="bold"))


def findings_to_json(findings: Sequence[Finding], repairs: Sequence[str] | None = None) -> str:
    """Return diagnostics as JSON, with the repairs if there was a repair."""
    content = {"sound": not has_problems(findings), "findings": [finding.to_plain() for finding in findings]}
    if repairs is not None:
        content["repairs"] = list(repairs)
    return json.dumps(content, indent=2)


def render_rubbish(rubbish: Sequence[Rubbish], console: Console) -> None:
    """Print the number and size of each kind."""
    kinds: dict[str, list[Rubbish]] = {}
    for one in rubbish:
        kinds.setdefault(one.why, []).append(one)
    for why, members in kinds.items():
        size = bytes_text(sum(one.size_bytes for one in members))
        files = f"{len(members):,} file{'s' if len(members) > 1 else ''}"
        console.print(Text(f"{size:>9}  {why} ({files})"), soft_wrap=True)


def rubbish_to_json(rubbish: Sequence[Rubbish], *, is_removed: bool) -> str:
    """Return the removed files, or those that would be, as JSON."""
    files = [{"path": safe_text(one.path), "bytes": one.size_bytes, "why": one.why} for one in rubbish]
    total = sum(one.size_bytes for one in rubbish)
    return json.dumps({"removed": is_removed, "bytes": total, "files": files}, indent=2)
