"""Prediction of a user's images, each converted to the format of the model's training images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cnnsweep.datasets.decode import Form, decode_all, thread_count
from cnnsweep.datasets.image_files import USUAL_ENDINGS, is_hidden, is_image_name
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.errors import CheckpointError, DataError
from cnnsweep.evaluation.find_checkpoint import find_checkpoint
from cnnsweep.evaluation.model_card import Description, describe
from cnnsweep.evaluation.restore import restore_model
from cnnsweep.evaluation.test_time import with_tta, written_tta
from cnnsweep.evaluation.thresholds import Thresholds, stored_thresholds
from cnnsweep.formatting.escape import safe_text
from cnnsweep.models.build import memory_order
from cnnsweep.models.logits import LogitsModel
from cnnsweep.models.memory_format import in_order
from cnnsweep.report.predictions import Picture
from cnnsweep.seeding import kept_generators, seed_step
from cnnsweep.storage.verified_weights import load_known_best
from cnnsweep.training.data_module import evaluation_batch_size
from cnnsweep.training.devices import choose_device

_FAR_FROM_GREY = 0.15  # minimum distance of a dark or bright data set's mean from the middle


@dataclass(frozen=True, slots=True)
class PredictionOptions:
    """Options of a prediction.

    Attributes:
        invert: turn dark into bright first.
        allow_code: import the code that the checkpoint names; code can do anything, so this needs the user's
            permission.
        tta: test-time augmentation: flip, vertical_flip or both joined with +.
    """

    device: str = "auto"
    invert: bool = False
    allow_code: bool = False
    tta: str | None = None


class Predictor:
    """A checkpoint's model, in eval mode on a device, with the format of its images.

    Attributes:
        thresholds: of each label; None for a model of one label an image.
    """

    def __init__(self, path: Path, options: PredictionOptions) -> None:
        """Restore the model.

        Args:
            path: a `best.safetensors`, a run folder, or a sweep folder (its best run).

        Raises:
            CnnSweepError: checkpoint or device is missing or does not fit.
        """
        tta = written_tta(options.tta)
        weights_file = find_checkpoint(path)
        # The data set is not opened, so a checkpoint may name any folder of images.
        anywhere = Path(Path.cwd().anchor)
        checkpoint = load_known_best(weights_file)
        self.about: Description = describe(
            weights_file, checkpoint.description, anywhere, allow_code=options.allow_code
        )
        self._file = weights_file
        self._options = options
        self._device = choose_device(options.device)
        self.thresholds: Thresholds | None = (
            stored_thresholds(weights_file, self.about, tta) if self.about.is_multi_label else None
        )
        model = restore_model(weights_file, checkpoint.weights, self.about).eval()
        about = self.about
        self._order = memory_order(about.model, about.image_shape, len(about.classes), self._device)
        self.model = in_order(model, self._order, self._device)

    def predict(self, images: Tensor) -> Tensor:
        """Return the probability of every class (N, classes), on the CPU, for uint8 images (N, C, H, W).

        Those of one label an image sum to 1; with several, each is by itself.

        Raises:
            DataError: type or shape differs from the model's training images.
        """
        if images.dtype != torch.uint8 or tuple(images.shape[1:]) != self.about.image_shape:
            shape = ", ".join(map(str, self.about.image_shape))
            raise DataError(
                f"images: found {str(images.dtype).removeprefix('torch.')} of {tuple(images.shape)}, allowed is uint8 "
                f"of (N, {shape}), as the model {self.about.run} was trained on"
            )
        classes = len(self.about.classes)
        model = with_tta(LogitsModel(self.model, classes), classes, self._options.tta)
        logits = predict_logits(model, images, self.about.pixels, self._device, self._order)
        return logits.sigmoid() if self.about.is_multi_label else logits.softmax(1)

    def predict_files(self, files: Sequence[Path]) -> Iterator[Picture]:
        """Yield the prediction for each picture, in order; an unreadable one has an error in place of probabilities.

        Raises:
            CheckpointError: the model's images have neither one channel nor three.
        """
        channels, height, width = self.about.image_shape
        if channels not in (1, 3):
            raise CheckpointError(
                f"{self._file}: was trained on images of {channels} channels, which picture files do not have"
            )
        form = Form(height, width, channels, self.about.white)
        sizes = sum(file.stat().st_size for file in files if file.is_file())
        done = 0
        for block in decode_all(files, form, thread_count(sizes, len(files))):
            images = torch.from_numpy(block.images)
            images = 255 - images if self._options.invert else images
            probabilities = self.predict(images).tolist()
            for place, row in enumerate(probabilities):
                file = files[done + place]
                if place in block.broken:
                    yield Picture(str(file), error=block.broken[place])
                else:
                    warning = warning_of_brightness(images[place], self.about.pixels)
                    yield Picture(str(file), tuple(row), warning=warning)
            done += len(block.images)


@torch.inference_mode()
def predict_logits(
    model: nn.Module, images: Tensor, pixels: PixelNormalize, device: torch.device, order: torch.memory_format
) -> Tensor:
    """Return the logits (N, classes) float32, on the CPU, for uint8 images (N, C, H, W).

    Args:
        model: a model that returns logits.
        order: of the model, in memory.
    """
    shape = (images.shape[1], images.shape[2], images.shape[3])
    with kept_generators(device):
        seed_step(device, 0)  # some models draw in evaluation too
        parts = [
            model(pixels.to_model_input(part.to(device), order)).float().cpu()
            for part in torch.split(images, evaluation_batch_size(shape))
        ]
    return torch.cat(parts)


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """Return files as given, and in place of a folder all images at any depth, by name.

    Hidden files and folders are skipped, as in a training folder, unless they are given.

    Raises:
        DataError: a folder holds no images.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)  # a missing file is reported with the unreadable ones
            continue
        inside = []
        for folder, folders, names in os.walk(path):
            folders[:] = [name for name in folders if not is_hidden(name)]
            inside += [Path(folder, name) for name in names if is_image_name(name) and not is_hidden(name)]
        if not inside:
            raise DataError(f"{safe_text(path)}: holds no images ({USUAL_ENDINGS})")
        found += sorted(inside)
    return found


def warning_of_brightness(image: Tensor, pixels: PixelNormalize) -> str | None:
    """Return a warning if an image (C, H, W) is bright and the training images are dark, or the reverse.

    An example are dark digits on white paper for a model of MNIST. The training images must be dark or bright as a
    whole, and the image's mean beyond one deviation of theirs on the other side.
    """
    usual, spread = (sum(values) / len(values) for values in (pixels.mean, pixels.std))
    brightness = image.float().mean().item() / 255
    is_one_sided = abs(usual - 0.5) > _FAR_FROM_GREY
    is_on_the_other_side = (brightness - 0.5) * (usual - 0.5) < 0 and abs(brightness - usual) > spread
    if not (is_one_sided and is_on_the_other_side):
        return None
    bright, dark = ("bright", "dark") if brightness > usual else ("dark", "bright")
    return (
        f"is {bright} (mean {brightness:.2f}) where the training images are {dark} (mean {usual:.2f}): "
        "if it is inverted, add --invert"
    )
