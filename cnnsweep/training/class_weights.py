"""Weights of the classes in the training loss, from the images of each class that a run trains on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cnnsweep.training.data_module import DataModule
from cnnsweep.types import UNWEIGHTED, ClassWeights, LabelCounts, Run


def is_weighted(run: Run) -> bool:
    """True if a run has weights of classes."""
    return run.hyperparameters.class_weight != UNWEIGHTED


def class_weights(runs: Sequence[Run], task: DataModule) -> Tensor | None:
    """Return the weights of each run (K, classes) float64, on the CPU; None where no run has any.

    Args:
        runs: of one learner, which have one fold.
    """
    if not any(map(is_weighted, runs)):
        return None
    counts = task.training_counts(runs[0])
    return torch.tensor([weights_of(run.hyperparameters.class_weight, counts) for run in runs], dtype=torch.float64)


def weights_of(wanted: ClassWeights, counts: LabelCounts) -> list[float]:
    """Return the weight of each class, in the order of the labels.

    `balanced` is images / (classes · images of the class), of several labels an image those without a label over those
    with it; `sqrt` is its square root. A label that no training image has, or every one, has weight 1: nothing balances
    it.
    """
    if wanted.kind == "given":
        given = dict(wanted.given)
        return [given.get(name, 1.0) for name in counts.classes]
    balanced = [_balanced(count, counts) for count in counts.counts]
    return {"none": [1.0] * len(balanced), "balanced": balanced, "sqrt": list(map(math.sqrt, balanced))}[wanted.kind]


def _balanced(count: int, counts: LabelCounts) -> float:
    if counts.is_multi_label:
        return (counts.images - count) / count if 0 < count < counts.images else 1.0
    return counts.images / (len(counts.classes) * count) if count else 1.0
