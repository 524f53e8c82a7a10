"""Normalisation of pixels, and the order of the images in an epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from cnnsweep.datasets.images import ImageSet
from cnnsweep.errors import DataError
from cnnsweep.seeding import generator
from cnnsweep.types import Normalization

_HISTOGRAM_BATCH = 4096  # number of images; bounds the memory for a histogram over a streamed set


@dataclass(frozen=True, slots=True)
class PixelNormalize:
    """Mean and deviation of pixels scaled to 0..1: one number per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to_model_input(self, images: Tensor, order: torch.memory_format = torch.channels_last) -> Tensor:
        """Return (pixel / 255 - mean) / std as float32.

        Args:
            order: memory order, see `models/memory_format.py`.
            images: (N, C, H, W) or, with G images side by side, (N, G, C, H, W) uint8, on the device of the model.

        Returns:
            A new tensor (N, C, H, W) or (N, G·C, H, W). A pixel's value does not depend on its position in the batch,
            to the last bit.
        """
        # One rounding per pass and no fused multiply-add, whose use would depend on a pixel's position in the batch.
        factor, offset = _factor_and_offset(self, images.device)
        if len(self.mean) == 1:  # one factor for all; `to` also sets the strides of a single channel to the order
            ordered = images.flatten(1, -3).to(torch.float32, memory_format=order)
            return ordered.mul_(factor).add_(offset)
        # Reordered last: 3.5 times faster on a CPU than arithmetic with 3 values in the innermost dimension.
        scaled = images.to(torch.float32).mul_(factor).add_(offset)
        return scaled.flatten(1, -3).contiguous(memory_format=order)


@lru_cache(maxsize=32)
def _factor_and_offset(scale: PixelNormalize, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return factor and offset of pixels, (C, 1, 1) each, copied to the device only once."""
    factor = [1 / (255 * std) for std in scale.std]
    offset = [-mean / std for mean, std in zip(scale.mean, scale.std, strict=True)]
    pair = torch.tensor([factor, offset], dtype=torch.float32, device=device)[:, :, None, None]
    return pair[0], pair[1]


def pixel_normalize(normalize: Normalization, images: ImageSet, train_indices: Tensor) -> PixelNormalize:
    """Return mean and deviation for each channel, by the sweep file.

    `standard` is exact: integer histograms of the images at `train_indices`, so neither order nor machine matters.

    Raises:
        DataError: given numbers do not fit the channels.
    """
    channels = images.image_shape[0]
    if normalize.kind == "none":
        return PixelNormalize((0.0,) * channels, (1.0,) * channels)
    if normalize.kind == "given":
        return PixelNormalize(
            _for_each_channel("mean", normalize.mean or (0.0,), channels),
            _for_each_channel("std", normalize.std or (1.0,), channels),
        )
    assert normalize.kind == "standard", normalize.kind
    moments = [_mean_and_std(counts) for counts in _histograms(images, train_indices)]
    return PixelNormalize(tuple(mean for mean, _ in moments), tuple(std for _, std in moments))


def _for_each_channel(name: str, values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(values) not in (1, channels):
        raise DataError(
            f"normalize: {name} has {len(values)} numbers, but the images have {channels} "
            f"{'channel' if channels == 1 else 'channels'}; give one number, or one per channel"
        )
    return values * channels if len(values) == 1 else values


def _histograms(images: ImageSet, indices: Tensor) -> list[list[int]]:
    """Return the number of pixels of each of the 256 values in each channel."""
    counts = torch.zeros(images.image_shape[0], 256, dtype=torch.int64)
    for pixels, _ in images.batches(torch.split(indices, _HISTOGRAM_BATCH), torch.device("cpu")):
        for channel in range(pixels.shape[1]):
            counts[channel] += torch.bincount(pixels[:, channel].reshape(-1), minlength=256)
    histograms: list[list[int]] = counts.tolist()
    return histograms


def _mean_and_std(counts: list[int]) -> tuple[float, float]:
    """Return mean and population deviation of value / 255; a deviation of 0 becomes 1, so that it can divide."""
    total = sum(counts)
    first = sum(value * count for value, count in enumerate(counts))
    second = sum(value * value * count for value, count in enumerate(counts))
    std = math.sqrt(total * second - first * first) / total / 255  # whole numbers: no cancellation
    return first / total / 255, std or 1.0


def epoch_order(indices: Tensor, shuffle: bool, seed: int, epoch: int) -> Tensor:
    """Return the positions in the order of the epoch.

    Args:
        indices: (N,) int64 positions in the data set.
        shuffle: False returns them as they are.
        seed: the run's seed.
    """
    if not shuffle:
        return indices
    return indices[torch.randperm(len(indices), generator=generator(seed, "order", epoch))]
