"""The application: its commands, its version, and its error handling."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cnnsweep._version import __version__
from cnnsweep.cli import augment as drawing
from cnnsweep.cli import export as using
from cnnsweep.cli import init as starting
from cnnsweep.cli import maintenance as tending
from cnnsweep.cli import report as looking
from cnnsweep.cli import run as training
from cnnsweep.cli import watch as watching
from cnnsweep.cli.exit_codes import exit_code_with_output
from cnnsweep.errors import CnnSweepError
from cnnsweep.formatting.stream import ForgivingStream

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Run hyperparameter sweeps of image-classification CNNs from one YAML file.",
    epilog="Start with: cnnsweep init, then cnnsweep run sweep.yaml",
)


def run_command(out: ForgivingStream) -> int:
    """Run the command in the arguments and return its exit code; expected errors give one message.

    Args:
        out: the stream of its output.
    """
    return exit_code_with_output(_exit_code(), out)


def _exit_code() -> int:
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except CnnSweepError as error:
        from cnnsweep.formatting.escape import safe_text

        lines = "\n".join(safe_text(line) for line in str(error).split("\n"))
        print(f"error: {lines}" if "\n" not in lines else lines, file=sys.stderr)
        return error.exit_code
    return 0


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cnnsweep {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


for command in (
    *(training.run, training.plan, drawing.augment),
    *(looking.report, looking.compare, looking.evaluate),
    *(using.export, using.predict),
    watching.watch,
    *(tending.logs, tending.doctor, tending.clean),
    *(starting.models, starting.datasets, starting.schema, starting.init),
):
    app.command()(command)
