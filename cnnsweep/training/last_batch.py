"""Test of training on a single image, which may remain for the last batch of an epoch.

Batch norm after a pooling to 1×1 cannot: it has one value per channel, without a spread to normalise it. A network that
squeezes its output cannot either. Then the last image joins the batch before, which is one image longer.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.errors import CnnSweepError
from cnnsweep.seeding import derive_seed, kept_generators
from cnnsweep.storage.atomic_files import to_json
from cnnsweep.training.failures import is_out_of_memory, one_line
from cnnsweep.training.learner import SingleLearner, forward_seed
from cnnsweep.types import Run

_known: dict[tuple[object, ...], str | None] = {}  # cached by its inputs: needed before every epoch, tried once


def why_not_a_single_image(
    run: Run, image_shape: tuple[int, int, int], num_classes: int, device: torch.device, precision: str, label: Tensor
) -> str | None:
    """Return the reason why a network can train on two images but not on one, in a few words; None if it can.

    A training step is tried, on images in the memory order of training.

    Args:
        label: of one image, (1,) or (1, classes).
    """
    is_frozen = run.hyperparameters.freeze_bn
    key = (to_json(dataclasses.asdict(run.model)), image_shape, num_classes, device, precision, label.ndim, is_frozen)
    if key not in _known:
        # Depends only on the model and its frozen layers, not on the first run that needs it.
        run = dataclasses.replace(run, hyperparameters=dataclasses.replace(run.hyperparameters, seed=0))
        with kept_generators(device):
            why = _failure(label, run, image_shape, num_classes, device, precision)
            two = torch.cat((label, label))
            if why is not None and _failure(two, run, image_shape, num_classes, device, precision) is not None:
                why = None  # it fails in any case: training reports it
        _known[key] = why
    return _known[key]


def _failure(
    labels: Tensor, run: Run, image_shape: tuple[int, int, int], num_classes: int, device: torch.device, precision: str
) -> str | None:
    """Return the error of a step on as many images as labels, or None."""
    draws = torch.Generator().manual_seed(derive_seed(0, "single image"))
    pixels = torch.randint(0, 256, (len(labels), 1, *image_shape), dtype=torch.uint8, generator=draws).to(device)
    scale = PixelNormalize((0.5,) * image_shape[0], (0.5,) * image_shape[0])
    try:
        program = SingleLearner(run, image_shape, num_classes, device, precision)
        losses, _ = program.train_step(
            scale.to_model_input(pixels), labels[None].to(device), [0.0], [forward_seed(run, 1, 0)]
        )
        loss = losses.item()
    except CnnSweepError:
        return None  # the model cannot be built
    except Exception as error:  # a user's model may raise any error
        if is_out_of_memory(error):
            return None
        return "batch norm" if "more than 1 value per channel" in str(error) else one_line(error)
    return None if math.isfinite(loss) else f"its loss is {loss}"
