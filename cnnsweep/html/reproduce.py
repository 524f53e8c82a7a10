"""Reproduction of the sweep: environment, frozen sweep file, and command."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnnsweep.analysis.json_reader import DEEPEST_VALUE, is_deeper, parse_json
from cnnsweep.analysis.results import Results
from cnnsweep.errors import ResultsError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import UNKNOWN
from cnnsweep.report.key_values import quoted
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.read_limited import read_bounded

MOST_FACTS = 200
MOST_SPEC_BYTES = 1 << 20


def environment_facts(folder: Path) -> tuple[list[tuple[str, str]], str | None]:
    """Return the environment as names and values, and the problem of its file, if any."""
    file = SweepPaths(folder).environment
    if not file.exists():
        return [], f"{safe_text(file.name)} is missing."
    try:
        content = parse_json(file)
    except ResultsError as error:
        return [], str(error)
    if not isinstance(content, dict) or is_deeper(content, DEEPEST_VALUE):
        return [], f"{safe_text(file.name)} has an unexpected structure."
    return list(_flat(content))[:MOST_FACTS], None


def _flat(content: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key} ")
        elif key == "command" and isinstance(value, list):
            yield f"{before}{key}", " ".join(quoted(str(part)) for part in value)
        else:
            yield f"{before}{key}", UNKNOWN if value is None else value if isinstance(value, str) else json.dumps(value)


def frozen_spec(folder: Path) -> str | None:
    """Return the sweep file as it was trained; None if it cannot be read."""
    try:
        return read_bounded(SweepPaths(folder).frozen_spec, MOST_SPEC_BYTES).decode(errors="replace")
    except (OSError, ValueError):
        return None


def reproducing_command(results: Results) -> str:
    """Return the command that trains the same sweep again, into a new folder."""
    folder = results.folder
    threads = f"OMP_NUM_THREADS={results.sweep.threads} " if results.sweep.threads else ""
    again = folder.with_name(f"{folder.name or 'sweep'}-again")
    return f"{threads}cnnsweep run {quoted(SweepPaths(folder).frozen_spec)} --out {quoted(again)}"
