"""`cnnsweep watch`: a sweep's live table from outside. Reads the journal as it grows, writes nothing, locks nothing."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from cnnsweep.callbacks import INFO
from cnnsweep.errors import ResultsError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.progress.base import Display
from cnnsweep.progress.choose import choose_display
from cnnsweep.progress.journal_events import send_active, send_cut_off, send_event, send_start
from cnnsweep.progress.sweep_monitor import POLL_EVERY_S, SweepMonitor
from cnnsweep.storage.paths import SweepPaths


def watch(folder: Path, out: TextIO, *, once: bool = False, wait: Callable[[float], None] = time.sleep) -> None:
    """Show a sweep until it ends: a live table on a terminal, plain lines elsewhere.

    Args:
        folder: a sweep's, or that of one of its runs; a sweep that has not begun is waited for.
        out: the stream to write to.
        once: show the present state once, and return.
        wait: called between two polls, with seconds.

    Raises:
        ResultsError: the folder holds other sweeps, or with `once` none that has begun; the journal is damaged.
    """
    monitor = SweepMonitor(_find_sweep(folder))
    monitor.poll()
    if once and not monitor.has_begun:
        raise ResultsError(f"{safe_text(folder)}: holds no sweep, or one that has not begun")
    if once or monitor.is_over:
        draw_once(monitor, out)
    else:
        _follow(monitor, lambda: choose_display(False, out, keeps_table=True), wait)


def draw_once(monitor: SweepMonitor, out: TextIO) -> None:
    """Write a sweep's present state as one picture as wide as the terminal."""
    from rich.console import Console
    from rich.text import Text

    from cnnsweep.progress.live_table import picture, progress_lines

    display = Display()
    send_start(monitor.state, display, monitor.paths, monitor.words)
    if monitor.is_cut_off:
        send_cut_off(display)
    console = Console(file=out)
    console.print(picture(display.progress, *console.size))
    source, bar = progress_lines(display.progress, console.width)
    console.print(bar)
    console.print(Text(source.plain, "dim"), soft_wrap=True)
    if (hint := tensorboard_hint(monitor.paths)) is not None:
        console.print(Text(hint, "dim"), soft_wrap=True)


def tensorboard_hint(paths: SweepPaths) -> str | None:
    """Return the command that shows a sweep's curves, or None if it has no event files."""
    if next(paths.folder.glob("*/events.out.tfevents.*"), None) is None:
        return None
    return f"curves: tensorboard --logdir {safe_text(shlex.quote(str(paths.folder)))}"


def _follow(monitor: SweepMonitor, make_display: Callable[[], Display], wait: Callable[[float], None]) -> None:
    """Show the events as they come, each command that trains in a display of its own."""
    display, is_open, hint = make_display(), False, None
    if not monitor.has_begun:
        display.on_log(f"{safe_text(monitor.paths.folder)}: no sweep has begun there yet; waiting for it")
    try:
        while True:
            if not is_open and monitor.has_begun and monitor.state.runs:
                send_start(monitor.state, display, monitor.paths, monitor.words)
                is_open = True
            if is_open and monitor.is_over:
                break
            wait(POLL_EVERY_S)
            for event in monitor.poll():
                if is_open and (event["event"] == "sweep" or monitor.is_replaced):
                    display.close()
                    display, is_open = make_display(), False
                if is_open:
                    send_event(monitor.state, event, display)
            if is_open and not monitor.is_over:
                send_active(monitor.state, display)
            if is_open and hint is None and (hint := tensorboard_hint(monitor.paths)) is not None:
                display.on_log(hint, INFO)
            if (silence := monitor.new_silence()) is not None:
                display.on_log(silence)
        if monitor.is_cut_off:
            send_cut_off(display)
        if not monitor.is_finished:
            display.on_log(monitor.words())
    finally:
        display.close()


def _find_sweep(path: Path) -> SweepPaths:
    """Return the sweep in a folder, the sweep of a run's folder, or the one that is to begin there."""
    if SweepPaths(path).journal.exists():
        return SweepPaths(path)
    if path.exists() and not path.is_dir():
        raise ResultsError(
            f"{safe_text(path)}: not a folder; give the one that 'cnnsweep run' names, runs/<sweep name>"
        )
    around = SweepPaths(path.absolute().parent)
    if path.is_dir() and around.journal.exists():
        return around
    within = sorted(found.parent for found in path.glob("*/journal.jsonl"))
    if within:
        listed = ", ".join(safe_text(folder.name) for folder in within[:5])
        more = f" and {len(within) - 5} more" if len(within) > 5 else ""
        raise ResultsError(
            f"{safe_text(path)}: holds several sweeps: {listed}{more}; give one of them, "
            f"as in: cnnsweep watch {safe_text(within[0])}"
        )
    return SweepPaths(path)
