"""Plain lines for logs, pipes and terminals that cannot move their cursor."""

from collections.abc import Sequence
from typing import TextIO

from cnnsweep.callbacks import WARNING, HasRecord, SweepOverview
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import duration_text, epochs_text, metric_text, short_name
from cnnsweep.formatting.stream import ForgivingStream
from cnnsweep.progress.base import Display
from cnnsweep.progress.lines import end_line, failure_line, run_words, start_line, summary_line
from cnnsweep.progress.state import FAILURES, SweepProgress
from cnnsweep.types import EpochRecord, Run, RunOutcome, RunStatus


class PlainDisplay(Display):
    """Writes a line when the sweep starts and ends, when a run starts and ends, and after each epoch."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = ForgivingStream(stream)
        self._progress: SweepProgress | None = None
        self._is_closed = False

    def on_sweep_start(self, sweep: SweepOverview) -> None:
        """Write the sweep's name and size."""
        self._progress = SweepProgress(sweep)
        self._write(start_line(self._progress))

    def on_trials_added(self, runs: Sequence[Run], to_come: int) -> None:
        """Remember the runs; each has its line when it starts."""
        self._now().runs_added(runs, to_come)

    def on_run_start(self, run: Run, last: EpochRecord | None) -> None:
        """Write a line for the start of a run."""
        progress = self._now()
        row = progress.run_started(run.id)
        resumed = f" again after epoch {row.epochs_done}" if row.epochs_done else ""
        self._write(f"{run_words(progress, row)}  starts{resumed}")

    def on_epoch_end(self, reports: Sequence[HasRecord]) -> None:
        """Write a line for each run with its metrics; it ends in `best` if by this epoch the run leads the sweep."""
        for report in reports:
            self._write_epoch(report.record)

    def _write_epoch(self, record: EpochRecord) -> None:
        progress = self._now()
        selected = progress.selected_after(record)
        row = progress.epoch_ended(record, selected)
        digits = len(str(progress.epochs_total))
        figures = [
            f"{short_name(metric).replace(' ', '_')} {metric_text(metric, value)}"
            for metric, value in record.metrics.items()
            if value is not None
        ]
        parts = [
            f"[{progress.epochs_done:>{digits}}/{progress.epochs_total}] {run_words(progress, row)}",
            f"epoch {epochs_text(record.epoch, row.run.hyperparameters.epochs)}",
            *figures,
            duration_text(record.epoch_duration),
        ]
        if selected is not None and selected.epoch == record.epoch and row is progress.best:
            parts.append("tied for best" if progress.is_tied else "best")
        self._write("  ".join(parts))

    def on_run_end(self, outcome: RunOutcome) -> None:
        """Write how the run ended and how long the rest will take."""
        progress = self._now()
        row = progress.run_ended(outcome)
        if outcome.status is not RunStatus.WAITING:  # at a rung: what becomes of it is told after
            self._write(end_line(progress, row, outcome))

    def on_log(self, text: str, level: int = WARNING) -> None:
        """Write a line."""
        self._write(safe_text(text))

    def close(self) -> None:
        """Write how the runs stand."""
        if self._progress and not self._is_closed:
            self._write(summary_line(self._progress))
        self._is_closed = True

    def _now(self) -> SweepProgress:
        assert self._progress, "on_sweep_start comes first"
        return self._progress

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class QuietDisplay(Display):
    """Writes failures and messages, nothing else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = ForgivingStream(stream)
        self._progress: SweepProgress | None = None

    def on_sweep_start(self, sweep: SweepOverview) -> None:
        """Remember the runs, to name one that fails."""
        self._progress = SweepProgress(sweep)

    def on_trials_added(self, runs: Sequence[Run], to_come: int) -> None:
        """Remember the runs, to name one that fails."""
        assert self._progress, "on_sweep_start comes first"
        self._progress.runs_added(runs, to_come)

    def on_run_end(self, outcome: RunOutcome) -> None:
        """Write a failure and its cause."""
        assert self._progress, "on_sweep_start comes first"
        if outcome.status in FAILURES:
            row = self._progress.runs[outcome.run_id]
            self._stream.write(failure_line(self._progress, row, outcome) + "\n")
            self._stream.flush()

    def on_log(self, text: str, level: int = WARNING) -> None:
        """Write a warning."""
        if level >= WARNING:
            self._stream.write(safe_text(text) + "\n")
            self._stream.flush()
