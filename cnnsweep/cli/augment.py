"""The command that shows augmentations: augment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cnnsweep.cli.options import DEFAULT_DATA_ROOT, DataRoot, Overrides, Quiet


def augment(
    file: Annotated[Path, typer.Argument(help="Sweep file.", metavar="FILE")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Write to this file.", metavar="PNG")] = Path(
        "augment.png"
    ),
    images: Annotated[int, typer.Option(min=1, max=100, help="Show this number of training images.")] = 8,
    epochs: Annotated[int, typer.Option(min=1, max=100, help="Show the images in this number of epochs.")] = 6,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
    overrides: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Draw training images before and after augmentation.

    Writes a picture with a block for each value of augment in the sweep file, a row for each image, and a column for
    each epoch, with the random draws of the first run. Trains nothing.

    \b
    Examples:
      cnnsweep augment sweeps/cifar10_strong.yaml --data-root data
      cnnsweep augment sweep.yaml --set params.augment=[flip+crop,trivial] --output samples.png --images 4
    """
    from cnnsweep.config.dump import without_folder
    from cnnsweep.config.load import load_sweep
    from cnnsweep.formatting.escape import safe_text
    from cnnsweep.formatting.numbers import count_text
    from cnnsweep.plots.augment_samples import SampleOptions, write_samples
    from cnnsweep.progress.loading import loading_progress

    spec = load_sweep(file, overrides or [])
    with loading_progress(quiet) as loading:
        written = write_samples(spec, SampleOptions(output, data_root, images, epochs, loading))
    if quiet:
        return
    dataset = spec.dataset_choice
    print(
        f"wrote {safe_text(written.file)}: {count_text(written.images, 'training image')} of "
        f"{safe_text(without_folder(dataset.name, dataset.code))}, before and in {count_text(epochs, 'epoch')} of "
        f"{safe_text(', '.join(written.values))}",
        file=sys.stderr,
    )
    if written.left_out:
        print(f"left out: {count_text(written.left_out, 'further value')} of augment", file=sys.stderr)
