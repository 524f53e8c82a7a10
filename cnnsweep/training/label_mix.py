"""Labels of mixed images, for the losses of a learner's runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnsweep.augmentations.mix import draw_mix, has_mix
from cnnsweep.datasets.images import to_device
from cnnsweep.types import Run

MeanLoss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class LabelMix:
    """The labels that are mixed into those of a batch.

    Attributes:
        others: labels like those of the batch: (G, N) int64, or (G, N, classes) of 0 and 1.
        shares: of the batch's own labels (G,) float32, on the device; 1 where a run mixes nothing.
    """

    others: Tensor
    shares: Tensor

    def part(self, position: int) -> LabelMix:
        """Return the mix of one of the G batches."""
        return LabelMix(self.others[position : position + 1], self.shares[position : position + 1])

    def for_runs(self, runs: int) -> LabelMix:
        """Return a mix of K instead of G labels: each stands for K/G consecutive runs."""
        times = runs // len(self.shares)
        if times == 1:
            return self
        return LabelMix(self.others.repeat_interleave(times, 0), self.shares.repeat_interleave(times))


def mixed_mean(loss: MeanLoss, logits: Tensor, targets: Tensor, others: Tensor, shares: Tensor) -> Tensor:
    """Return the share of a mean loss for the targets, and the rest of that for the others.

    For cross-entropy it is the loss for labels that are shared like the images.
    """
    return loss(logits, targets) * shares + loss(logits, others) * (1 - shares)


def label_mix(
    representatives: Sequence[tuple[Run, int]], step: int, labels: Tensor, size: tuple[int, int]
) -> LabelMix | None:
    """Return the labels of the images that `augment` mixes into a batch; None where no run mixes any.

    Args:
        representatives: a run and its epoch for each of the G batches.
        step: the number of the batch in its epoch.
        labels: (G, N) or (G, N, classes), on the device.
        size: height and width of the images.
    """
    if not any(has_mix(run.hyperparameters.augment) for run, _ in representatives):
        return None
    shares = [_share(run, epoch, step, size) for run, epoch in representatives]
    others = [own if share == 1 else own.roll(1, 0) for own, share in zip(labels.unbind(0), shares, strict=True)]
    return LabelMix(torch.stack(others), to_device(torch.tensor(shares), labels.device))


def _share(run: Run, epoch: int, step: int, size: tuple[int, int]) -> float:
    drawn = draw_mix(run.hyperparameters.augment, run.hyperparameters.seed, epoch, step, size)
    return 1.0 if drawn is None else drawn.share
