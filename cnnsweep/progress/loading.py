"""Progress of the work before the first run: downloads and the decoding of images."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.stream import ForgivingStream

if TYPE_CHECKING:
    from rich.progress import TaskID

_PATIENCE_S = 0.5  # shorter tasks need no bar
_PLAIN_INTERVAL_S = 5.0


@contextmanager
def loading_progress(quiet: bool, stream: TextIO | None = None) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that shows (what, done, total): a bar on a terminal, a plain line now and then elsewhere."""
    stream = sys.stderr if stream is None else stream
    if quiet:
        yield lambda _what, _done, _total: None
    elif stream.isatty():
        yield from _bars(stream)
    else:
        yield _plain_lines(stream)


def _bars(stream: TextIO) -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(file=ForgivingStream(stream))  # type: ignore[arg-type]  # it has what Rich uses
    # Only while something loads: two live displays on one terminal erase each other's lines.
    progress: Progress | None = None
    tasks: dict[str, TaskID] = {}

    def show(what: str, done: int, total: int) -> None:
        nonlocal progress
        if progress is None:
            description = TextColumn("{task.description}", markup=False)
            columns = (description, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
            progress = Progress(*columns, console=console, transient=True)
            progress.start()
            tasks.clear()
        if what not in tasks:
            tasks[what] = progress.add_task(safe_text(what), total=total)
        progress.update(tasks[what], completed=done, total=total)
        if progress.finished:
            progress.stop()
            progress = None

    try:
        yield show
    finally:
        if progress is not None:
            progress.stop()


def _plain_lines(stream: TextIO) -> Callable[[str, int, int], None]:
    due = time.monotonic() + _PATIENCE_S

    def show(what: str, done: int, total: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _PLAIN_INTERVAL_S
            print(f"{safe_text(what)}: {done:,} of {total:,}", file=stream, flush=True)

    return show
