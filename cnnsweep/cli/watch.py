"""Commands that monitor a sweep: watch, tensorboard."""

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
    training. Exits when the sweep ends; without a terminal, prints one line per epoch.

    \b
    Examples:
      cnnsweep watch runs/fashion
      cnnsweep watch /shared/runs/fashion --once

    Exit codes: 0 the sweep has ended, 4 no sweep found or journal damaged, 130 Ctrl-C, which does not stop the sweep.
    """
    from cnnsweep.progress.watch import watch as watch_sweep

    watch_sweep(folder, sys.stdout, once=once)


def tensorboard(
    folder: Annotated[Path, typer.Argument(help="Folder of a sweep, a run, or several sweeps.", metavar="FOLDER")],
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Serve on this port; 0 picks any free one.", show_default="6006 or the next free"
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Bind to this interface: localhost, or 0.0.0.0 for all interfaces.")
    ] = "localhost",
) -> None:
    """Start TensorBoard on a sweep and print its address.

    \b
    Examples:
      cnnsweep tensorboard runs/fashion
      cnnsweep tensorboard runs --port 6010
    """
    from cnnsweep.progress.tensorboard_server import choose_port, find_events, serve

    directory = find_events(folder)
    raise typer.Exit(serve(directory, host, choose_port(host, port), _say))


def _say(address: str) -> None:
    print(f"TensorBoard runs at {address}  (Ctrl-C stops it)", flush=True)
