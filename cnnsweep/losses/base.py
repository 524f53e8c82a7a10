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
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict, PrivateAttr, create_model

from cnnsweep.losses.own_loss import GIVEN, OwnLoss, is_own_loss, made_of_lists
from cnnsweep.losses.proven_form import Form, by_image, form_of, of_all_runs
from cnnsweep.registry import Component, Registry
from cnnsweep.types import Choice, Hyperparameters

if TYPE_CHECKING:
    from torch import Tensor

LABEL_SMOOTHING = "label_smoothing"
_forms: dict[tuple[object, ...], Form] = {}  # of users' losses, proven once a process


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


class UserLoss(Loss):
    """Base of losses of users' functions and modules; the fields are their arguments."""

    model_config = ConfigDict(protected_namespaces=())
    own: ClassVar[OwnLoss]
    _trains: bool = PrivateAttr(default=True)

    @cached_property
    def _text(self) -> str:
        return repr((dict(self), self._trains))

    @cached_property
    def _made(self) -> dict[tuple[Any, ...], Callable[[Tensor, Tensor], Tensor]]:
        return {}

    def in_evaluation(self) -> Loss:
        """Return the loss whose module is in eval mode."""
        copied = self.model_copy()
        copied._trains = False
        return copied

    def per_example(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the user's loss of each example (..., N).

        It gets logits of float32 or float64, and targets (..., N) int64, or of several labels (..., N, classes) of the
        logits' type.
        """
        import torch

        scores = in_full_precision(logits)
        form = self._form(scores, several=targets.ndim == logits.ndim)
        if form is Form.IMAGES:
            return by_image(self._call, scores, targets)
        if scores.ndim == 2:
            return self._call(scores, targets)
        if form is Form.RUNS:
            return of_all_runs(self._call, scores, targets)
        return torch.stack([self._call(*of_run) for of_run in zip(scores, targets, strict=True)])

    def made_for(self, logits: Tensor, *, several: bool) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the user's function or module, made once for a device and precision."""
        key = logits.device, logits.dtype, self._trains
        if key not in self._made:
            make = partial(self.own.made, device=logits.device, dtype=logits.dtype, training=self._trains)
            self._made[key] = made_of_lists(make, dict(self), logits, several=several)
        return self._made[key]

    def _call(self, logits: Tensor, targets: Tensor) -> Tensor:
        several = targets.ndim == logits.ndim
        value = self.made_for(logits, several=several)(logits, targets)
        is_per_label = several and getattr(value, "shape", None) == logits.shape
        return value.mean(-1) if is_per_label else value

    def _form(self, logits: Tensor, *, several: bool) -> Form:
        key = (type(self), self._text, logits.shape[-1], several, logits.device)
        if key not in _forms:
            _forms[key] = form_of(self._call, logits, several=several)
        return _forms[key]


class _OpenUserLoss(UserLoss):
    """Base of losses of a function with `**further`."""

    model_config = ConfigDict(extra="allow")


def loss_of_code(value: Any, reference: str) -> type[Loss] | None:
    """Return the class of losses of a function, a module or a class of modules; None for anything else.

    Raises:
        UsageError: it does not take logits and targets, or an argument has a name that is not possible here.
    """
    return _class_of(value, reference) if is_own_loss(value) else None


@cache
def _class_of(value: Any, reference: str) -> type[UserLoss]:
    own = OwnLoss(value)
    fields, is_open = own.fields(taken=dir(UserLoss))
    made: type[UserLoss] = create_model(
        reference.rpartition(":")[2], __base__=_OpenUserLoss if is_open else UserLoss, **fields
    )
    made.own = own
    return made


LOSSES = Registry(
    "loss", "losses", Loss, of_code=loss_of_code, leading=GIVEN, constructor=0, others="a function, a torch.nn.Module"
)


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


def smallest(values: Tensor) -> float:
    """Return the smallest normal number: the slope of a power below 1, and of a logarithm, is infinite at 0."""
    import torch

    return torch.finfo(values.dtype).tiny
