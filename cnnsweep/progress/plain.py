"""Plain lines for logs, pipes and terminals that cannot move their cursor."""

from collections.abc import Sequence
from typing import TextIO

from cnnsweep.callbacks import WARNING, HasRecord, RunInfo, SweepOverview
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.stream import ForgivingStream
from cnnsweep.progress.base import Display
from cnnsweep.progress.lines import end_line, epoch_line, failure_line, run_words, start_line, summary_line
from cnnsweep.progress.state import FAILURES
from cnnsweep.types import EpochRecord, RunOutcome, RunStatus


class LineDisplay(Display):
    """Base of the displays that write lines to a stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = ForgivingStream(stream)
        self._is_closed = False

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class PlainDisplay(LineDisplay):
    """Writes a line when the sweep starts and ends, when a run starts and ends, and after each epoch."""

    def on_sweep_start(self, sweep: SweepOverview) -> None:
        """Write the sweep's name and size."""
        super().on_sweep_start(sweep)
        self._write(start_line(self.progress))

    def on_run_start(self, run: RunInfo, last: EpochRecord | None) -> None:
        """Write a line for the start of a run."""
        super().on_run_start(run, last)
        row = self.progress.runs[run.id]
        resumed = f" again after epoch {row.epochs_done}" if row.epochs_done else ""
        self._write(f"{run_words(self.progress, row)}  starts{resumed}")

    def on_epoch_end(self, reports: Sequence[HasRecord]) -> None:
        """Write a line for each run with its metrics; see `epoch_line`."""
        for report in reports:
            super().on_epoch_end((report,))
            self._write(epoch_line(self.progress, report.record))

    def on_run_end(self, outcome: RunOutcome) -> None:
        """Write the end of a run and the time that the rest will take; nothing for a run that waits at a rung."""
        super().on_run_end(outcome)
        if outcome.status is not RunStatus.WAITING:
            self._write(end_line(self.progress, self.progress.runs[outcome.run_id], outcome))

    def on_log(self, text: str, level: int = WARNING) -> None:
        """Write a line."""
        self._write(safe_text(text))

    def close(self) -> None:
        """Write the number of runs by status."""
        if self._progress and not self._is_closed:
            self._write(summary_line(self._progress))
        self._is_closed = True


class QuietDisplay(LineDisplay):
    """Writes failures and warnings, nothing else."""

    def on_run_end(self, outcome: RunOutcome) -> None:
        """Write a failure and its cause."""
        super().on_run_end(outcome)
        if outcome.status in FAILURES:
            self._write(failure_line(self.progress, self.progress.runs[outcome.run_id], outcome))

    def on_log(self, text: str, level: int = WARNING) -> None:
        """Write a warning."""
        if level >= WARNING:
            self._write(safe_text(text))
