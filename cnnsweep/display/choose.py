"""Which display a sweep gets."""

import os
import sys
from typing import TextIO

from cnnsweep.display.base import SweepDisplay
from cnnsweep.display.plain import PlainDisplay, QuietDisplay


def choose_display(quiet: bool, stream: TextIO | None = None) -> SweepDisplay:
    """Return the live table for a terminal, plain lines for anything else, and little at all if `quiet`.

    Args:
        stream: where to write; stderr by default, so that stdout stays free for data.
    """
    stream = sys.stderr if stream is None else stream
    if quiet:
        return QuietDisplay(stream)
    if not stream.isatty() or os.environ.get("TERM", "").lower() in ("dumb", "unknown"):
        return PlainDisplay(stream)
    from rich.console import Console  # only where there is a terminal to draw on

    from cnnsweep.display.live import LiveDisplay

    return LiveDisplay(Console(file=stream))
