"""Implementations by name, with the arguments of the sweep file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Normalization:
    """Normalisation of pixels scaled to 0..1: shift and divisor of each channel.

    `standard` takes mean and deviation of the images trained on, `none` leaves 0..1, `given` uses `mean` and `std`
    (one number for all channels, or one a channel).
    """

    kind: str = "standard"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class DatasetChoice:
    """A data set by name, with the arguments of the sweep file.

    Attributes:
        code: the content hash of a user's own file.
        subset: the training images to use, as a share (float) or a number (int); None for all.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    normalize: Normalization = field(default_factory=Normalization)
    code: str | None = None
    subset: int | float | None = None


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model by name, with the arguments of the sweep file. `code` is the content hash of a user's own file."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """An implementation of a registry, such as a schedule: its name, and arguments.

    Attributes:
        arguments: only those that differ from their defaults, so that equal choices are equal.
        code: the content hash of a user's own file.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    code: str | None = None


@dataclass(frozen=True, slots=True)
class ClassWeights:
    """Weight of each class in the training loss.

    Attributes:
        kind: none, balanced, sqrt or given.
        given: classes with their weights, by class; others have weight 1.
    """

    kind: str = "none"
    given: tuple[tuple[str, float], ...] = ()

    def as_written(self) -> str | dict[str, float]:
        """Return the form of a sweep file: a name, or a mapping."""
        return dict(self.given) if self.given else self.kind


CONSTANT = Choice("constant")
CROSS_ENTROPY = Choice("cross_entropy")
UNWEIGHTED = ClassWeights()
NATURAL, BALANCED = "natural", "balanced"  # sampling
OR_NONE = ("grad_clip", "ema", "swa")  # hyperparameters of which None is a value: `none` in a sweep file
