"""The live table of a sweep, for terminals."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Lock, Thread

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from cnnsweep.callbacks import WARNING, SweepOverview
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.stream import ForgivingStream
from cnnsweep.progress.base import Display
from cnnsweep.progress.lines import failure_line, summary_line
from cnnsweep.progress.live_table import picture, progress_lines
from cnnsweep.progress.state import FAILURES, BatchCount
from cnnsweep.types import RunOutcome

NOTE_BATCHES_EVERY_S = 0.1
SHORTEST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0
PAUSE_PER_COST = 200  # so that drawing takes at most 0.5 % of one core, for a table of any size


class LiveDisplay(Display):
    """A table of the runs that redraws itself; above it stay the failures and messages.

    A thread draws a frame up to five times a second. Laying a table out takes milliseconds, so the laid-out lines are
    kept and only the two progress lines are new until a run or an epoch ends.

    Args:
        keeps_table: leave the last table on the screen; for a command that prints no other.
    """

    def __init__(self, console: Console, *, keeps_table: bool = False) -> None:
        console.file = ForgivingStream(console.file)  # type: ignore[arg-type, assignment]  # it has what Rich uses
        self._console = console
        self._keeps_table = keeps_table
        self._live: Live | None = None
        self._lock = Lock()  # between the trainer's thread and the one that draws
        self._stop = Event()
        self._thread = Thread(target=self._draw, name="display", daemon=True)
        self._noted = 0.0
        self._table: _Lines | None = None

    def on_sweep_start(self, sweep: SweepOverview) -> None:
        """Draw the table of all runs."""
        super().on_sweep_start(sweep)
        self._live = Live(
            console=self._console,
            get_renderable=self._frame,
            auto_refresh=False,
            transient=not self._keeps_table,
            # Prints of libraries would tear the table; but output to a file or a pipe must get there.
            redirect_stderr=sys.stderr.isatty(),
            redirect_stdout=sys.stdout.isatty(),
        )
        self._live.start(refresh=True)
        self._thread.start()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep the thread that draws out, and have the table laid out anew."""
        with self._lock:
            yield
            self._table = None

    def on_batch_end(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        """Move the epoch's bar, at most ten times a second."""
        now = time.monotonic()
        if now - self._noted < NOTE_BATCHES_EVERY_S:
            return
        self._noted = now
        with self._lock:
            self.progress.batches_done(BatchCount(tuple(run_ids), epoch, done, total))

    def on_run_end(self, outcome: RunOutcome) -> None:
        """Update the run's row; a failure also leaves a line above the table, which an early stop does not."""
        super().on_run_end(outcome)
        if outcome.status in FAILURES:
            row = self.progress.runs[outcome.run_id]
            self._print(Text(failure_line(self.progress, row, outcome), style="red"))

    def on_log(self, text: str, level: int = WARNING) -> None:
        """Print a line above the table; a warning stands out."""
        self._print(Text(safe_text(text), style="magenta" if level >= WARNING else "dim"))

    def close(self) -> None:
        """Take the table away unless it is kept, show the cursor and leave one line with the runs by status."""
        if self._live is not None:
            self._stop.set()
            self._thread.join()
            self._live.stop()
            self._live = None
            self._print(Text(summary_line(self.progress), style="dim"))

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
        """Return the present frame."""
        width, height = self._console.size
        with self._lock:
            if self._table is None or self._table.size != (width, height):
                self._table = _Lines(self._console, picture(self.progress, width, height), (width, height))
            return Group(self._table, *progress_lines(self.progress, width))


class _Lines:
    """A renderable laid out once."""

    def __init__(self, console: Console, content: Group, size: tuple[int, int]) -> None:
        self.size = size
        lines = console.render_lines(content, console.options.update_width(size[0]), pad=False)
        self._segments = list(Segment.simplify(segment for line in lines for segment in (*line, Segment.line())))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._segments
