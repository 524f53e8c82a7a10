"""A trained run as a Python object: its model, predictions, evaluation and export."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnsweep.api.recorded import plain, record
from cnnsweep.errors import DataError, UsageError
from cnnsweep.report.html_table import html_table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import Tensor, nn

    from cnnsweep.evaluation.predict import Predictor


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """One run of a sweep, and its best weights.

    Attributes:
        params: its hyperparameters.
        metrics: those of its best epoch by name, as far as they were measured.
        status: waiting, running, finished, stopped, diverged, failed or interrupted.
    """

    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    status: str
    folder: Path

    def model(self, device: str = "cpu", *, allow_code: bool = False) -> nn.Module:
        """Return the model with its best weights, in eval mode.

        It takes normalised images; `predict` takes pixels.

        Args:
            device: auto, cpu, cuda, cuda:N or mps.
            allow_code: import the code that the checkpoint names; code can do anything.

        Raises:
            CnnSweepError: there are no weights yet, they are damaged, or name code.
        """
        return self._predictor(device, allow_code=allow_code).model

    def predict(
        self,
        images: Tensor | np.ndarray[Any, Any] | Sequence[str | Path] | str | Path,
        device: str = "auto",
        *,
        invert: bool = False,
        allow_code: bool = False,
        tta: str | None = None,
    ) -> pd.DataFrame:
        """Return the probability of every class, one row an image and one column a class.

        With several labels an image, `attrs["thresholds"]` has the probability of each above which an image has it.

        Args:
            images: uint8 pixels (N, C, H, W) of the size that the model was trained on, or picture files of any size:
                one, or several.
            invert: invert picture files first: dark digits on paper, for a model of MNIST.
            tta: average over each image and its mirror images: flip, vertical_flip, or flip+vertical_flip.

        Raises:
            CnnSweepError: as for `model`; images of another type or shape; a file that cannot be read.
        """
        import pandas as pd
        import torch

        predictor = self._predictor(device, allow_code=allow_code, invert=invert, tta=tta)
        classes = list(predictor.about.classes)
        if hasattr(images, "shape"):
            found = pd.DataFrame(predictor.predict(torch.as_tensor(images)).numpy(), columns=classes)
            return _with_thresholds(found, predictor)
        files = [images] if isinstance(images, str | os.PathLike) else list(images)
        if other := [file for file in files if not isinstance(file, str | os.PathLike)]:
            raise UsageError(
                f"images: found a {type(other[0]).__name__}, allowed are an array, a tensor, or the names of picture "
                "files"
            )
        pictures = list(predictor.predict_files([Path(file) for file in files]))
        for picture in pictures:
            if picture.error is not None:
                raise DataError(f"{picture.file}: cannot be read ({picture.error})")
        rows = [picture.probabilities for picture in pictures]
        found = pd.DataFrame(rows, columns=classes, index=[picture.file for picture in pictures])
        return _with_thresholds(found, predictor)

    def evaluate(
        self,
        split: str = "test",
        *,
        data_root: str | Path = "data",
        device: str = "auto",
        allow_code: bool = False,
        metrics: str | Sequence[str] | None = None,
        wrong: int = 12,
        tta: str | None = None,
        quiet: bool = False,
    ) -> dict[str, Any]:
        """Return the metrics of the best weights, as `cnnsweep evaluate --json` prints them, and record them.

        Args:
            split: test, val or train.
            metrics: names of metrics to measure beside the sweep's, such as `["kappa", "f1[truck]"]`.
            wrong: name this number of wrong images; at least 24.
            tta: as of `predict`.

        Raises:
            CnnSweepError: the weights or the data are missing or do not fit.
        """
        from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint
        from cnnsweep.evaluation.further_metrics import read_metrics
        from cnnsweep.progress.loading import loading_progress
        from cnnsweep.report.evaluation_json import evaluation_to_json

        further = read_metrics(metrics, allow_code=allow_code)
        with loading_progress(quiet) as loading:
            options = EvaluationOptions(Path(data_root), split, device, allow_code, loading, further, wrong, tta)
            found = evaluate_checkpoint(self.folder, options)
        record([found], self.folder.parent)
        return plain(evaluation_to_json(found))

    def export(
        self,
        output: str | Path | None = None,
        *,
        format: str = "onnx",
        normalize: bool = True,
        force: bool = False,
        data_root: str | Path = "data",
        allow_code: bool = False,
        quiet: bool = False,
    ) -> Path:
        """Write the model for other programs, compare its outputs, and return the file.

        Args:
            output: the file; `model` with the format's ending by default.
            format: onnx, torch-export or safetensors.
            normalize: let the exported model take uint8 pixels and normalise them itself.
            force: overwrite the file.

        Raises:
            CnnSweepError: the weights are missing, the outputs differ, or the file cannot be written.
        """
        from cnnsweep.evaluation.export import ENDINGS, ExportOptions, export_checkpoint
        from cnnsweep.progress.loading import loading_progress

        if format not in ENDINGS:
            raise UsageError(f"format: found {format!r}, allowed are {', '.join(ENDINGS)}")
        target = Path(f"model{ENDINGS[format]}" if output is None else output)
        with loading_progress(quiet) as loading:
            options = ExportOptions(format, target, Path(data_root), normalize, allow_code, force, loading)
            return export_checkpoint(self.folder, options).file

    def _predictor(self, device: str, *, allow_code: bool, invert: bool = False, tta: str | None = None) -> Predictor:
        from cnnsweep.evaluation.predict import PredictionOptions, Predictor

        return Predictor(self.folder, PredictionOptions(device, invert, allow_code, tta))

    def _repr_html_(self) -> str:
        rows = {**self.params, **self.metrics, "status": self.status, "folder": str(self.folder)}
        return html_table(self.name, ("", ""), list(rows.items()))


def _with_thresholds(table: pd.DataFrame, predictor: Predictor) -> pd.DataFrame:
    if predictor.thresholds is not None:
        table.attrs["thresholds"] = dict(zip(predictor.about.classes, predictor.thresholds.values, strict=True))
    return table
