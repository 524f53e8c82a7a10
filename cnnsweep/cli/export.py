"""Commands that use a trained model: export, predict."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cnnsweep.cli.options import (
    DEFAULT_DATA_ROOT,
    AllowCode,
    AsJson,
    Checkpoint,
    DataRoot,
    Device,
    Quiet,
    TestTimeAugmentation,
    stdout,
)
from cnnsweep.errors import DataError, UsageError


def export(
    checkpoint: Checkpoint,
    file_format: Annotated[
        str, typer.Option("--format", help="Write this format: onnx, torch-export or safetensors.", metavar="FORMAT")
    ] = "onnx",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write to this file.", show_default="model.onnx, .pt2 or .safetensors"),
    ] = None,
    normalize: Annotated[
        bool,
        typer.Option(
            "--normalize/--no-normalize",
            help="Put normalisation into the exported model, which then takes uint8 pixels (0 to 255); without, it "
            "takes normalised float32 images.",
        ),
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
    allow_code: AllowCode = False,
    quiet: Quiet = False,
) -> None:
    """Export a trained model to ONNX, torch.export or safetensors.

    The batch size is dynamic. The file holds class names, mean, deviation, inputs and outputs. It is written only if
    its outputs equal the model's on images of the data set; nothing is downloaded for this check.

    \b
    Examples:
      cnnsweep export --checkpoint runs/fashion --format onnx
      cnnsweep export -c runs/fashion/<run> --format torch-export --output fashion.pt2
    """
    from cnnsweep.evaluation.export import ENDINGS, ExportOptions, export_checkpoint
    from cnnsweep.formatting.escape import safe_text
    from cnnsweep.progress.loading import loading_progress

    if file_format not in ENDINGS:
        raise UsageError(f"--format: found '{file_format}', allowed are {', '.join(ENDINGS)}")
    target = output or Path(f"model{ENDINGS[file_format]}")
    with loading_progress(quiet) as loading:
        options = ExportOptions(file_format, target, data_root, normalize, allow_code, force, loading)
        written = export_checkpoint(checkpoint, options)
    if not quiet:
        print(
            f"wrote {safe_text(written.file)}: {safe_text(written.run)}, the same on {written.images} "
            f"{safe_text(written.source)} (logits differ by at most {written.difference:.1g})",
            file=sys.stderr,
        )
        if written.note is not None:
            print(f"note: {written.note}", file=sys.stderr)


def predict(
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of images.", metavar="IMAGE...")],
    checkpoint: Checkpoint,
    top: Annotated[
        int, typer.Option(min=1, help="Show this number of classes for each image, the likeliest ones.")
    ] = 3,
    invert: Annotated[
        bool,
        typer.Option(
            "--invert", help="Invert brightness first, such as for dark digits on paper and a model of MNIST."
        ),
    ] = False,
    tta: TestTimeAugmentation = None,
    device: Device = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV to stdout.")] = False,
) -> None:
    """Classify your own images.

    Each image is rotated upright, cropped about its centre to the model's proportions and resized, as images of a
    training folder are. Unreadable images are reported and skipped; exit code 4 if all are unreadable. A model of
    several labels an image shows all labels above their thresholds, and the likeliest others up to --top.

    \b
    Examples:
      cnnsweep predict --checkpoint runs/fashion shoe.jpg
      cnnsweep predict -c runs/fashion/<run> photos/ --top 5 --json
    """
    from cnnsweep.evaluation.predict import PredictionOptions, Predictor, find_pictures
    from cnnsweep.evaluation.test_time import untrained_note
    from cnnsweep.formatting.escape import safe_text
    from cnnsweep.report.predictions import predictions_to_csv, predictions_to_json, render_predictions

    if as_json and as_csv:
        raise UsageError("predict: --json and --csv cannot be combined")
    files = find_pictures(images)
    predictor = Predictor(checkpoint, PredictionOptions(device or "auto", invert, allow_code, tta))
    thresholds = None if predictor.thresholds is None else predictor.thresholds.values
    if (untrained := untrained_note(predictor.about.params, tta)) is not None:
        print(f"note: {untrained}", file=sys.stderr)
    if predictor.thresholds is not None and predictor.thresholds.note is not None:
        print(f"note: {predictor.thresholds.note}", file=sys.stderr)
    pictures = list(predictor.predict_files(files))
    for picture in pictures:
        if picture.error is not None:
            print(f"note: {safe_text(picture.file)}: cannot be read ({safe_text(picture.error)})", file=sys.stderr)
        elif picture.warning is not None:
            print(f"note: {safe_text(picture.file)}: {picture.warning}", file=sys.stderr)
    if all(picture.error is not None for picture in pictures):
        raise DataError("predict: none of the images can be read")
    if as_json:
        print(predictions_to_json(pictures, predictor.about.classes, top, thresholds))
    elif as_csv:
        sys.stdout.write(predictions_to_csv(pictures, predictor.about.classes, top, thresholds))
    else:
        render_predictions(pictures, predictor.about.classes, top, stdout(), thresholds)
