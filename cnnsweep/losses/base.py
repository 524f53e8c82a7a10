"""Contract of losses: one formula for a run alone and for K runs that train fused.

    class Focal(Loss, name="focal"):
        \"\"\"Focal loss (Lin et al., arXiv:1708.02002).\"\"\"

        gamma: float = 2.0

        def per_example(self, logits, targets):
            right = logits.log_softmax(-1).gather(-1, targets[..., None]).squeeze(-1)
            return -((1 - right.exp()) ** self.gamma) * right

Where images have several labels, a loss is the mean of `per_label` over the classes; a class without that method gets
the labels in `per_example`. Weights of classes are applied here, so that all losses have them alike.

`loss` and `val_loss` of a run, in all tables and charts, are means of its own loss, so runs with different losses must
be compared by accuracy. The key `label_smoothing` of `params` goes to a loss that has a field of that name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict, create_model

from cnnsweep.losses.own_function import GIVEN, PROOF_IMAGES, further_parameters, holds_for_runs
from cnnsweep.registry import Component, Registry
from cnnsweep.types import Choice, Hyperparameters

if TYPE_CHECKING:
    from torch import Tensor

LABEL_SMOOTHING = "label_smoothing"
_proven: dict[tuple[object, ...], bool] = {}  # whether a function takes stacked runs


class Loss(Component):
    """Base of losses.

    Attributes:
        takes_tensors: the formulas also hold where numeric fields are tensors (K, 1) or (K, 1, 1), one number a run, so
            that runs that differ in them have one formula.
    """

    takes_tensors: ClassVar[bool] = False

    def per_example(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example (..., N), for logits (..., N, classes) and labels (..., N) int64.

        A run alone has no leading dimension, fused runs have one. Operations along the last dimension fit both, and no
        arithmetic may cross from run to run.
        """
        raise NotImplementedError

    def per_label(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each label (..., N, classes), for logits and labels 0 or 1 of the same shape and type."""
        raise NotImplementedError

    @property
    def has_labels(self) -> bool:
        """True if it has a form for single labels, to which positive weights apply."""
        return type(self).per_label is not Loss.per_label

    def per_image(self, logits: Tensor, targets: Tensor, positive: Tensor | None = None) -> Tensor:
        """Return the loss of each example (..., N), with one label an image or several.

        Args:
            targets: (..., N) int64, or (..., N, classes) of 0 and 1.
            positive: (..., classes) weights of the labels that are 1, for several labels alone.
        """
        if targets.ndim < logits.ndim:
            return self.per_example(logits, targets)
        labels = targets.to(logits.dtype)
        if not self.has_labels:
            return self.per_example(logits, labels)
        each = self.per_label(logits, labels)
        if positive is not None:
            each = each * (labels * (positive[..., None, :] - 1) + 1)
        return each.mean(-1)

    def mean(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over the examples, which training minimises: a scalar for a run alone."""
        return self.per_image(logits, targets).mean(-1)

    def weighted_mean(self, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the mean weighted by the class of each example, as `nn.CrossEntropyLoss(weight=...)` defines it.

        Args:
            weights: (..., classes); with several labels an image those of labels that are 1, as `pos_weight` of
                `nn.BCEWithLogitsLoss`.
        """
        if targets.ndim == logits.ndim:
            return self.per_image(logits, targets, weights).mean(-1)
        of_examples = weights.gather(-1, targets)
        return (self.per_example(logits, targets) * of_examples).sum(-1) / of_examples.sum(-1)

    def in_evaluation(self) -> Loss:
        """Return the loss for `val_loss`, without terms that only regularise training."""
        return self


class FunctionLoss(Loss):
    """Base of losses of a function; its fields are the function's further parameters."""

    model_config = ConfigDict(protected_namespaces=())
    function: ClassVar[Callable[..., Any]]

    def per_example(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return what the function returns for each example (..., N).

        It gets logits of float32 or float64, and targets (..., N) int64, or of several labels (..., N, classes) of the
        logits' type.
        """
        import torch

        scores = in_full_precision(logits)
        if scores.ndim == 2 or self._takes_runs(scores, targets):
            return self.call(scores, targets)
        return torch.stack([self.call(*of_run) for of_run in zip(scores, targets, strict=True)])

    def call(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Call the function with the arguments of the sweep file."""
        value: Tensor = type(self).function(logits, targets, **dict(self))
        return value

    def _takes_runs(self, logits: Tensor, targets: Tensor) -> bool:
        several = targets.ndim == logits.ndim
        key = (type(self), repr(dict(self)), logits.shape[-1], several, logits.device)
        if key not in _proven:
            _proven[key] = all(holds_for_runs(self.call, logits, images, several=several) for images in PROOF_IMAGES)
        return _proven[key]


class _OpenFunctionLoss(FunctionLoss):
    """Base of losses of a function with `**further`."""

    model_config = ConfigDict(extra="allow")


@cache
def loss_of_function(function: FunctionType, reference: str) -> type[Loss]:
    """Return the class of losses of a function.

    Raises:
        UsageError: it does not take logits and targets, or a parameter has a name that is not possible here.
    """
    fields, is_open = further_parameters(function, taken=dir(FunctionLoss))
    base = _OpenFunctionLoss if is_open else FunctionLoss
    made: type[FunctionLoss] = create_model(reference.rpartition(":")[2], __base__=base, **fields)
    made.function = function
    return made


LOSSES = Registry("loss", "losses", Loss, of_function=loss_of_function, leading=GIVEN)


def make_loss(h: Hyperparameters) -> Loss:
    """Return the loss of a run, from its hyperparameters.

    Raises:
        UsageError: it is unknown or does not take its arguments.
    """
    return loss_of(h.loss_function, h.label_smoothing)


def loss_of(choice: Choice, label_smoothing: float = 0.0) -> Loss:
    """Return a loss, with label smoothing if it has that.

    Raises:
        UsageError: it is unknown or does not take its arguments.
    """
    has_smoothing = LABEL_SMOOTHING in LOSSES.get(choice.name).model_fields
    return LOSSES.make(choice, **({LABEL_SMOOTHING: label_smoothing} if has_smoothing else {}))


def make_evaluation_loss(loss: Choice) -> Loss:
    """Return the loss for a run's held-out images."""
    return LOSSES.make(loss).in_evaluation()


def in_full_precision(logits: Tensor) -> Tensor:
    """Return logits of half precision as float32, and others as they are: logarithms need it."""
    return logits.float() if logits.dtype.itemsize < 4 else logits
