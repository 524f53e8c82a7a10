"""Shared by the evaluations of the API: the record in the sweep's folder, and the result as plain values."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnsweep.analysis.evaluation import Evaluation


def record(found: Sequence[Evaluation], sweep: Path, trial_id: str | None = None, *, refit: bool = False) -> None:
    """Write an evaluation into the sweep's folder; if that fails, it is still returned."""
    from cnnsweep.evaluation.record import note_evaluations, note_tests

    for problem in (note_tests(sweep, found, trial_id, refit=refit), note_evaluations(found)):
        if problem is not None:
            warnings.warn(f"the evaluation could not be recorded: {problem}", stacklevel=3)


def plain(text: str) -> dict[str, Any]:
    """Return a JSON text, as a command prints it, as a dict."""
    content: dict[str, Any] = json.loads(text)
    return content
