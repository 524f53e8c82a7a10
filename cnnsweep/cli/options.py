"""Options shared by several commands, and the console for results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_DATA_ROOT = Path("data")

DataRoot = Annotated[
    Path,
    typer.Option(
        "--data-root", envvar="CNNSWEEP_DATA", help="Read data sets from this directory.", show_default="data"
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="Use this device (overrides the sweep file): auto, cpu, cuda, cuda:N, mps, or several with commas."
    ),
]
Out = Annotated[
    Path | None, typer.Option(help="Write the sweep to this folder.", show_default="runs/<name>", metavar="DIR")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a key, such as params.lr=[0.1,0.01].", metavar="KEY=VALUE"),
]
MaxRuns = Annotated[int, typer.Option(min=1, help="Refuse a sweep with more runs.")]
FuseWish = Annotated[
    str,
    typer.Option(
        "--fuse",
        help="Fuse runs into one program: auto measures what is fastest, off trains each run alone, K fuses at most "
        "K runs.",
        metavar="auto|off|K",
    ),
]
Jobs = Annotated[
    str,
    typer.Option(
        "--jobs",
        "-j",
        help="Train in N processes; auto starts one for each GPU, and several on a CPU where that is faster.",
        metavar="auto|N",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Use this number of CPU threads in each process; by default the processes share the cores.",
        show_default=False,
    ),
]
ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor",
        help="Train with this executor: local, inline, ray, or a file.py:Name of your own.",
        metavar="NAME",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Join this Ray cluster; auto finds the one of this machine. By default one is started here.",
        metavar="auto|HOST:PORT",
    ),
]
NodeData = Annotated[
    Path | None,
    typer.Option(
        "--node-data",
        help="Read data sets from this directory on every Ray node; by default images are sent to the nodes.",
        metavar="DIR",
    ),
]
Checkpoint = Annotated[
    Path,
    typer.Option("--checkpoint", "-c", help="Load this best.safetensors, run folder, or sweep folder (its best run)."),
]
AllowCode = Annotated[bool, typer.Option("--allow-code", help="Run the model or data code that the checkpoint names.")]
TestTimeAugmentation = Annotated[
    str | None,
    typer.Option(
        "--tta",
        help="Average over each image and its mirror images: flip, vertical_flip, or flip+vertical_flip.",
        metavar="NAME",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Hide progress.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]


def stdout() -> Console:
    """Return the console for results; progress and messages go to stderr."""
    from rich.console import Console

    return Console()
