"""Commands that look at a sweep while it trains: watch, tensorboard."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def watch(
    folder: Annotated[Path, typer.Argument(help="A sweep's folder, also one to come.", metavar="FOLDER")],
    once: Annotated[bool, typer.Option("--once", help="Show how it stands now, and end.")] = False,
) -> None:
    """Show a sweep's live table, from another terminal or machine.

    Works on a sweep that trains, has ended, was cut off, or has not begun: reads its journal as it grows, writes
    nothing and disturbs nobody. Ends with the sweep; where there is no terminal, prints a line an epoch.

    \b
    Examples:
      cnnsweep watch runs/fashion
      cnnsweep watch /shared/runs/fashion --once

    Exit codes: 0 the sweep has ended, 4 there is no sweep or it is damaged, 130 Ctrl-C. Leaving does not stop the
    sweep.
    """
    from cnnsweep.progress.watch import watch as watch_sweep

    watch_sweep(folder, sys.stdout, once=once)


def tensorboard(
    folder: Annotated[Path, typer.Argument(help="A sweep's folder, a run's, or one of sweeps.", metavar="FOLDER")],
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Where to serve; 0 is any free port.", show_default="6006 or the next free"
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Who may look: localhost, or 0.0.0.0 for everybody.")] = "localhost",
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
    print(f"TensorBoard shows it at {address}  (Ctrl-C ends it)", flush=True)
