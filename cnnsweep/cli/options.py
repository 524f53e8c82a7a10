"""Options that several commands have, and where they print to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_DATA_ROOT = Path("data")

DataRoot = Annotated[
    Path,
    typer.Option("--data-root", envvar="CNNSWEEP_DATA", help="Where data sets lie.", show_default="data"),
]
Device = Annotated[
    str | None, typer.Option(help="auto, cpu, cuda, cuda:N, mps, or several with commas; instead of the file's.")
]
Out = Annotated[Path | None, typer.Option(help="The sweep's own folder.", show_default="runs/<name>", metavar="DIR")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a key, such as params.lr=[0.1,0.01].", metavar="KEY=VALUE"),
]
MaxRuns = Annotated[int, typer.Option(min=1, help="Refuse a sweep of more runs.")]
FuseWish = Annotated[
    str,
    typer.Option(
        "--fuse",
        help="How runs train together: auto measures what is fastest, off trains each alone, a number is the most "
        "that share a program.",
        metavar="auto|off|K",
    ),
]
Jobs = Annotated[
    str,
    typer.Option(
        "--jobs",
        "-j",
        help="How many processes train at once; auto is one for each GPU, and on a CPU several where that is faster.",
        metavar="auto|N",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="CPU threads of each process; by default they share the cores.", show_default=False),
]
ExecutorName = Annotated[
    str, typer.Option("--executor", help="Where to train: local, inline, ray, or your file.py:Name.", metavar="NAME")
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Of a Ray cluster: auto finds the one of this machine; without it one is started here.",
        metavar="auto|HOST:PORT",
    ),
]
NodeData = Annotated[
    Path | None,
    typer.Option(
        "--node-data",
        help="Where each node of a Ray cluster has the data sets; without it, images are sent there.",
        metavar="DIR",
    ),
]
Checkpoint = Annotated[
    Path,
    typer.Option("--checkpoint", "-c", help="A best.safetensors, a run folder, or a sweep folder for its best run."),
]
AllowCode = Annotated[bool, typer.Option("--allow-code", help="Run the model or data code that the checkpoint names.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, for programs.")]


def stdout() -> Console:
    """Return where results are printed; progress and messages go to stderr."""
    from rich.console import Console

    return Console()
