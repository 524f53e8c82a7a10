"""The application: its commands, its version, and what becomes of errors."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from cnnsweep import __version__
from cnnsweep.cli import looking, starting, training
from cnnsweep.errors import CnnSweepError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Hyperparameter sweeps of image-classification CNNs, from one YAML file.",
    epilog="Begin with: cnnsweep init, then cnnsweep run sweep.yaml",
)


def main() -> None:
    """Run the command line; expected errors end with one message and their exit code."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # ★ and curves, where the terminal knows ASCII only
    try:
        app()
    except CnnSweepError as error:
        from cnnsweep.display.safe_text import safe_text

        lines = "\n".join(safe_text(line) for line in str(error).split("\n"))
        print(f"error: {lines}" if "\n" not in lines else lines, file=sys.stderr)
        sys.exit(error.exit_code)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cnnsweep {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


for command in (
    *(training.run, training.plan),
    *(looking.report, looking.compare, looking.evaluate),
    *(starting.models, starting.datasets, starting.schema, starting.init),
):
    app.command()(command)
