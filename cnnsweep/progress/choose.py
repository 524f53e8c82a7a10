"""Choice of the display."""

import sys
from typing import TextIO

from cnnsweep.formatting.stream import is_dumb_terminal
from cnnsweep.progress.base import Display
from cnnsweep.progress.plain import PlainDisplay, QuietDisplay


def choose_display(quiet: bool, stream: TextIO | None = None, *, keeps_table: bool = False) -> Display:
    """Return the live table for a terminal, plain lines for anything else, and failures only if `quiet`.

    Args:
        stream: stderr by default, so that stdout stays free for data.
        keeps_table: leave the last live table on the screen; for a command that prints no other.
    """
    stream = sys.stderr if stream is None else stream
    if quiet:
        return QuietDisplay(stream)
    if not stream.isatty() or is_dumb_terminal():
        return PlainDisplay(stream)
    from rich.console import Console  # only where there is a terminal to draw on

    from cnnsweep.progress.live import LiveDisplay

    return LiveDisplay(Console(file=stream), keeps_table=keeps_table)
