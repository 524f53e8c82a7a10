"""Progress in a notebook: one small box that changes, since plain lines would fill the page."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from html import escape
from importlib import import_module
from typing import Any

from cnnsweep.callbacks import WARNING, HasRecord, SweepOverview
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text, duration_text, metric_text
from cnnsweep.progress.base import Display
from cnnsweep.progress.choose import choose_display
from cnnsweep.progress.lines import failure_line, run_words, summary_line
from cnnsweep.progress.state import FAILURES, SweepProgress
from cnnsweep.types import RunOutcome

_INTERVAL_S = 0.5
_MOST_LINES = 20  # messages that stay


def choose_notebook_display(quiet: bool) -> Display:
    """Return the box in a notebook's kernel, the display of the command line elsewhere."""
    show = None if quiet else _notebook_box()
    return choose_display(quiet) if show is None else NotebookDisplay(show)


def _notebook_box() -> Callable[[str], None] | None:
    """Return a function that shows HTML in one place of the notebook's page, or None where there is no notebook."""
    if "ipykernel" not in sys.modules:  # a kernel has imported it, and brings IPython
        return None
    interface: Any = import_module("IPython.display")
    handle = interface.display(interface.HTML(""), display_id=True)
    return None if handle is None else lambda html: handle.update(interface.HTML(html))


class NotebookDisplay(Display):
    """Shows a sweep's progress, its best run, and warnings.

    Args:
        show: replaces the HTML that it showed before.
    """

    def __init__(self, show: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._show = show
        self._clock = clock
        self._due = 0.0
        self._lines: list[str] = []

    def on_sweep_start(self, sweep: SweepOverview) -> None:
        """Show the sweep's name and size."""
        super().on_sweep_start(sweep)
        self._draw()

    def on_epoch_end(self, reports: Sequence[HasRecord]) -> None:
        """Show the sweep's progress, at most twice a second."""
        super().on_epoch_end(reports)
        if self._clock() >= self._due:
            self._draw()

    def on_run_end(self, outcome: RunOutcome) -> None:
        """Show a failure and its cause."""
        super().on_run_end(outcome)
        if outcome.status in FAILURES:
            self.on_log(failure_line(self.progress, self.progress.runs[outcome.run_id], outcome))

    def on_log(self, text: str, level: int = WARNING) -> None:
        """Add a warning."""
        if level >= WARNING:
            self._lines = [*self._lines, safe_text(text)][-_MOST_LINES:]
            self._draw()

    def close(self) -> None:
        """Show the runs by status."""
        self._draw(is_over=True)

    def _draw(self, *, is_over: bool = False) -> None:
        self._due = self._clock() + _INTERVAL_S
        lines = list(self._lines)
        bar = ""
        if self._progress is not None:
            lines = [*self._words(self._progress, is_over=is_over), *lines]
            done, total = self._progress.epochs_done, self._progress.epochs_total
            bar = f'<progress value="{done}" max="{max(total, 1)}" style="width: 100%"></progress>'
        self._show(f"<div>{bar}{''.join(f'<div>{escape(line)}</div>' for line in lines)}</div>")

    def _words(self, progress: SweepProgress, *, is_over: bool) -> list[str]:
        if is_over:
            return [summary_line(progress)]
        total = count_text(progress.epochs_total, "epoch")
        words = f"{safe_text(progress.overview.name)}: {progress.epochs_done} of {total}"
        seconds = progress.seconds_left()
        words += "" if seconds is None else f", about {duration_text(seconds)} left"
        if progress.best is None or progress.best.selected is None:
            return [words]
        objective = progress.overview.objective
        value = metric_text(objective.metric, objective.value(progress.best.selected))
        return [words, f"best so far: {run_words(progress, progress.best)}, {objective.metric} {value}"]
