"""The live table of a sweep, for terminals."""

import sys
import time
from collections.abc import Sequence
from threading import Event, Lock, Thread

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from cnnsweep.callbacks import WARNING, HasRecord, SweepOverview
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.stream import ForgivingStream
from cnnsweep.progress.base import Display
from cnnsweep.progress.lines import failure_line, summary_line
from cnnsweep.progress.live_table import picture, progress_lines
from cnnsweep.progress.state import FAILURES, BatchCount, SweepProgress
from cnnsweep.types import EpochRecord, Run, RunOutcome

NOTE_BATCHES_EVERY_S = 0.1
SHORTEST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0
PAUSE_PER_COST = 200  # so that drawing takes at most 0.5 % of one core, however large the table


class LiveDisplay(Display):
    """A table of the runs that redraws itself, above it what is worth keeping: failures and messages.

    A thread draws a frame up to five times a second. Laying a table out takes milliseconds, so the laid-out lines are
    kept and only the two progress lines are new until a run or an epoch ends.
    """

    def __init__(self, console: Console, *, keeps_table: bool = False) -> None:
        """Prepare to draw on a console.

        Args:
            keeps_table: leave the last table on the screen, for who prints no other.
        """
        console.file = ForgivingStream(console.file)  # type: ignore[arg-type, assignment]  # it has what Rich uses
        self._console = console
        self._keeps_table = keeps_table
        self._progress: SweepProgress | None = None
        self._live: Live | None = None
        self._lock = Lock()  # between the trainer's thread and the one that draws
        self._stop = Event()
        self._thread = Thread(target=self._draw, name="display", daemon=True)
        self._noted = 0.0
        self._table: _Lines | None = None

    def on_sweep_start(self, sweep: SweepOverview) -> None:
        """Draw the table of all runs."""
        self._progress = SweepProgress(sweep)
        self._live = Live(
            console=self._console,
            get_renderable=self._frame,
            auto_refresh=False,
            transient=not self._keeps_table,
            # What libraries print would tear the table; but what goes to a file or a pipe must get there.
            redirect_stderr=sys.stderr.isatty(),
            redirect_stdout=sys.stdout.isatty(),
        )
        self._live.start(refresh=True)
        self._thread.start()

    def on_trials_added(self, runs: Sequence[Run], to_come: int) -> None:
        """Add rows to the table."""
        with self._lock:
            self._now().runs_added(runs, to_come)
            self._table = None

    def on_run_start(self, run: Run, last: EpochRecord | None) -> None:
        """Mark a run as training."""
        with self._lock:
            self._now().run_started(run.id)
            self._table = None

    def on_batch_end(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        """Move the epoch's bar, at most ten times a second."""
        now = time.monotonic()
        if now - self._noted < NOTE_BATCHES_EVERY_S:
            return
        self._noted = now
        with self._lock:
            self._now().batches_done(BatchCount(tuple(run_ids), epoch, done, total))

    def on_epoch_end(self, reports: Sequence[HasRecord]) -> None:
        """Update the rows of the runs, and the leading run."""
        with self._lock:
            progress = self._now()
            for report in reports:
                progress.epoch_ended(report.record, progress.selected_after(report.record))
            self._table = None

    def on_run_end(self, outcome: RunOutcome) -> None:
        """Update the run's row; a failure also leaves a line above the table, which an early stop does not."""
        with self._lock:
            progress = self._now()
            row = progress.run_ended(outcome)
            self._table = None
        if outcome.status in FAILURES:
            self._print(Text(failure_line(progress, row, outcome), style="red"))

    def on_log(self, text: str, level: int = WARNING) -> None:
        """Print a line above the table; a warning stands out."""
        self._print(Text(safe_text(text), style="magenta" if level >= WARNING else "dim"))

    def close(self) -> None:
        """Take the table away unless it is kept, give the cursor back and leave one line on how the runs stand."""
        if self._live is not None:
            self._stop.set()
            self._thread.join()
            self._live.stop()
            self._live = None
            self._print(Text(summary_line(self._now()), style="dim"))

    def _now(self) -> SweepProgress:
        assert self._progress, "on_sweep_start comes first"
        return self._progress

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)  # whole, so that it can be copied

    def _draw(self) -> None:
        pause = SHORTEST_PAUSE_S
        while not self._stop.wait(pause):
            assert self._live, "the thread is joined before the table goes"
            before = time.thread_time()
            self._live.refresh()
            cost = time.thread_time() - before
            pause = min(max(PAUSE_PER_COST * cost, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)

    def _frame(self) -> Group:
        """Return what is drawn now."""
        width, height = self._console.size
        with self._lock:
            progress = self._now()
            if self._table is None or self._table.size != (width, height):
                self._table = _Lines(self._console, picture(progress, width, height), (width, height))
            return Group(self._table, *progress_lines(progress, width))


class _Lines:
    """A renderable laid out once."""

    def __init__(self, console: Console, content: Group, size: tuple[int, int]) -> None:
        self.size = size
        lines = console.render_lines(content, console.options.update_width(size[0]), pad=False)
        self._segments = list(Segment.simplify(segment for line in lines for segment in (*line, Segment.line())))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._segments
