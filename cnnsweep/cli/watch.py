"""Command that monitors a sweep: watch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def watch(
    folder: Annotated[Path, typer.Argument(help="Sweep folder; it need not exist yet.", metavar="FOLDER")],
    once: Annotated[bool, typer.Option("--once", help="Show the current state and exit.")] = False,
) -> None:
    """Show the live table of a sweep from another terminal or machine.

    Works on a running, finished, interrupted or future sweep: follows its journal, writes nothing and does not slow
    training. Exits when the sweep ends; without a terminal, prints one line per epoch. Prints the command that starts
    TensorBoard on the sweep.

    \b
    Examples:
      cnnsweep watch runs/fashion
      cnnsweep watch /shared/runs/fashion --once

    Exit codes: 0 the sweep has ended, 4 no sweep found or journal damaged, 130 Ctrl-C, which does not stop the sweep.
    """
    from cnnsweep.progress.watch import watch as watch_sweep

    watch_sweep(folder, sys.stdout, once=once)
