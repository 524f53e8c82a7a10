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
from cnnsweep.progress.sweep_monitor import LOOK_EVERY_S, SweepMonitor
from cnnsweep.storage.paths import SweepPaths


def watch(folder: Path, out: TextIO, *, once: bool = False, wait: Callable[[float], None] = time.sleep) -> None:
    """Show a sweep until it ends: a live table on a terminal, plain lines elsewhere.

    Args:
        folder: of a sweep, or of one of its runs; a sweep that has not begun is waited for.
        out: where to write.
        once: show one picture of how it stands, and return.
        wait: is called between two looks, with seconds.

    Raises:
        ResultsError: the folder holds other sweeps, or with `once` none that has begun; the journal is damaged.
    """
    sight = SweepMonitor(_find_sweep(folder))
    sight.look()
    if once and not sight.has_begun:
        raise ResultsError(f"{safe_text(folder)}: holds no sweep, or one that has not begun")
    if once or sight.is_over:
        draw_once(sight, out)
    else:
        _follow(sight, lambda: choose_display(False, out, keeps_table=True), wait)


def draw_once(sight: SweepMonitor, out: TextIO) -> None:
    """Write how a sweep stands, as one picture as wide as the terminal."""
    from rich.console import Console
    from rich.text import Text

    from cnnsweep.progress.live_table import picture, progress_lines
    from cnnsweep.progress.state import SweepProgress

    progress = SweepProgress(sight.replay.overview(sight.paths, sight.words, is_cut_off=sight.is_cut_off))
    if not sight.is_cut_off:
        for run in sight.replay.active():
            progress.run_started(run)
    console = Console(file=out)
    console.print(picture(progress, *console.size))
    source, bar = progress_lines(progress, console.width)
    console.print(bar)
    console.print(Text(source.plain, "dim"), soft_wrap=True)
    if (hint := tensorboard_hint(sight.paths)) is not None:
        console.print(Text(hint, "dim"), soft_wrap=True)


def tensorboard_hint(paths: SweepPaths) -> str | None:
    """Return the command that shows the curves of a sweep, or None if it has no event files."""
    if next(paths.folder.glob("*/events.out.tfevents.*"), None) is None:
        return None
    return f"curves: tensorboard --logdir {safe_text(shlex.quote(str(paths.folder)))}"


def _follow(sight: SweepMonitor, make_display: Callable[[], Display], wait: Callable[[float], None]) -> None:
    """Show what comes, each command that trains in a display of its own."""
    display, is_open, hint = make_display(), False, None
    if not sight.has_begun:
        display.on_log(f"{safe_text(sight.paths.folder)}: no sweep has begun there yet; waiting for it")
    try:
        while True:
            if not is_open and sight.has_begun and sight.replay.history.runs:
                sight.replay.open(display, sight.paths, sight.words)
                is_open = True
            if is_open and sight.is_over:
                break
            wait(LOOK_EVERY_S)
            for event in sight.look():
                if is_open and (event["event"] == "sweep" or sight.is_replaced):
                    display.close()
                    display, is_open = make_display(), False
                if is_open:
                    sight.replay.show(event, display)
            if is_open and not sight.is_over:
                sight.replay.show_active(display)
            if is_open and hint is None and (hint := tensorboard_hint(sight.paths)) is not None:
                display.on_log(hint, INFO)
            if (silence := sight.new_silence()) is not None:
                display.on_log(silence)
        if sight.is_cut_off:
            sight.replay.cut_off(display)
        if not sight.is_finished:
            display.on_log(sight.words())
    finally:
        display.close()


def _find_sweep(path: Path) -> SweepPaths:
    """Return the sweep that a folder holds, will hold, or is a run of."""
    if SweepPaths(path).journal.exists():
        return SweepPaths(path)
    if path.exists() and not path.is_dir():
        raise ResultsError(
            f"{safe_text(path)}: is no folder; give the one that 'cnnsweep run' names, runs/<sweep name>"
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
