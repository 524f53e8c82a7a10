"""Trial of users' own losses before training: on random logits, with the shapes of training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cnnsweep.code_place import defined_at, raised_at, what_raised
from cnnsweep.config.dump import without_folder
from cnnsweep.config.schema import SweepSpec
from cnnsweep.errors import UsageError
from cnnsweep.losses.base import LOSSES, Loss, UserLoss, loss_of
from cnnsweep.samplers.space import Interval
from cnnsweep.seeding import kept_generators, seed_python
from cnnsweep.types import Choice, Run

_IMAGES = (7, 8, 1)  # tried numbers of images; the first or second differs from the number of classes


def check_losses(runs: Iterable[Run], classes: int, *, several: bool) -> None:
    """Try every distinct loss that is not built in.

    Args:
        several: with several labels an image.

    Raises:
        UsageError: it raises, does not return one finite value an image, has no gradient, changes its inputs, or
            differs each time; the message has file and line of the user's code.
    """
    used = [(run.hyperparameters.loss_function, run.hyperparameters.label_smoothing) for run in runs]
    own = {repr(one): one for one in used if not LOSSES.is_built_in(one[0].name)}
    for choice, label_smoothing in own.values():
        _try(loss_of(choice, label_smoothing), choice, classes, several=several)


def check_searched_losses(spec: SweepSpec, classes: int, *, several: bool) -> None:
    """Try the losses that a search may choose, those that lack arguments excepted: its trials bring them.

    Raises:
        UsageError: as for `check_losses`.
    """
    axis = spec.axes.get("loss_function", ()) if spec.search is not None else ()
    for choice in () if isinstance(axis, Interval) else axis:
        if not LOSSES.is_built_in(choice.name):
            loss = None
            with contextlib.suppress(UsageError):
                loss = loss_of(choice)
            if loss is not None:
                _try(loss, choice, classes, several=several)


def _try(loss: Loss, choice: Choice, classes: int, *, several: bool) -> None:
    for in_use in (loss, loss.in_evaluation()):
        for count in [count for count in _IMAGES if count != classes or count == 1]:
            if (problem := _problem_on_devices(in_use, count, classes, several=several)) is not None:
                raise UsageError(f"{problem.place}loss {without_folder(choice.name, choice.code)}: {problem.text}")


@dataclass(frozen=True)
class _Problem:
    """Mistake in a loss, with its place in the user's code."""

    place: str
    text: str
    is_raised: bool = False


def _problem_on_devices(loss: Loss, images: int, classes: int, *, several: bool) -> _Problem | None:
    """Return what is wrong; what raises is tried on a GPU too, since some code is written for one alone."""
    problem = _problem(loss, images, classes, torch.device("cpu"), several=several)
    if problem is not None and problem.is_raised and torch.cuda.is_available():
        on_gpu = _problem(loss, images, classes, torch.device("cuda"), several=several)
        return on_gpu if on_gpu is None or not on_gpu.is_raised else problem
    return problem


def _problem(loss: Loss, images: int, classes: int, device: torch.device, *, several: bool) -> _Problem | None:
    """Return what is wrong; None where nothing is."""
    random = torch.Generator().manual_seed(0)
    leaf = torch.randn(images, classes, generator=random).to(device).requires_grad_()
    shape = (images, classes) if several else (images,)
    labels = torch.randint(0, 2 if several else classes, shape, generator=random).to(device)
    if several:
        labels[0], labels[-1] = 0, 1  # an image without any label, and one with all
    targets = labels.float() if several else labels
    code = _code(loss)
    place = defined_at(code)
    seen = f"logits {tuple(leaf.shape)} and targets {tuple(targets.shape)} {'of 0 and 1' if several else 'int64'}"
    try:
        if (text := _module_problem(loss, leaf, targets)) is not None:
            return _Problem(place, text)
        logits, given = leaf * 1, targets.clone()  # not a leaf, as in training
        value = _seeded(loss, logits, given)
        again = _seeded(loss, leaf * 1, targets.clone())
    except Exception as error:
        return _Problem(raised_at(error, code), f"{what_raised(error)}, for {seen}", is_raised=True)
    text = _value_problem(value, images, seen)
    if text is None and not (torch.equal(logits, leaf) and torch.equal(given, targets)):
        changed = "targets" if torch.equal(logits, leaf) else "logits"
        text = f"changes its {changed} in place, which other code uses; change a copy, `{changed}.clone()`"
    if text is None and not torch.equal(value, again):
        text = "gives other values for the same logits each time, with equal seeds too; draw with torch alone"
    text = text or _gradient_problem(value, leaf)
    return None if text is None else _Problem(place, text)


def _module_problem(loss: Loss, logits: Tensor, targets: Tensor) -> str | None:
    """Return what a module may not have: parameters that train, and a state that its calls change."""
    module = loss.made_for(logits, several=targets.ndim == 2) if isinstance(loss, UserLoss) else None
    if not isinstance(module, nn.Module):
        return None
    learned = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    if learned:
        return (
            f"has parameters of its own to train ({', '.join(learned)}), allowed is a loss without any: the network's "
            "are trained and stored; a constant is a buffer, `self.register_buffer`"
        )
    states: list[dict[str, Any]] = []
    for _ in range(2):
        with kept_generators():
            torch.manual_seed(0)
            seed_python(0)
            module(logits * 1, targets.clone())
        states.append(_state(module))
    first, second = states
    changed = [name for name in first if name in second and not _is_same(first[name], second[name])]
    if changed:
        return (
            f"changes its {', '.join(changed)} in each call, so that a resumed run would differ; allowed is a loss "
            "that depends on logits and targets alone"
        )
    return None


def _state(module: nn.Module) -> dict[str, Any]:
    """Return the numbers and tensors that a module has, by name."""
    found: dict[str, Any] = {}
    for path, one in module.named_modules():
        values = {**vars(one), **dict(one.named_buffers(recurse=False))}
        for name, value in values.items():
            if isinstance(value, Tensor | int | float):
                key = f"{path}.{name}" if path else name
                found[key] = value.detach().clone() if isinstance(value, Tensor) else value
    return found


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and torch.equal(one.nan_to_num(), other.nan_to_num())
    return type(one) is type(other) and one == other


def _value_problem(value: object, images: int, seen: str) -> str | None:
    if not isinstance(value, Tensor):
        return f"returned {type(value).__name__}, allowed is a tensor with one value an image, ({images},)"
    if value.shape != (images,):
        return _wrong_shape(value, images, seen)
    if not value.is_floating_point():
        return f"returned {value.dtype}, allowed is a floating-point number an image"
    if not bool(value.isfinite().all()):
        return f"is {float(value[~value.isfinite()][0].detach())} for random {seen}, allowed is a finite number"
    return None


def _gradient_problem(value: Tensor, leaf: Tensor) -> str | None:
    none = "has no gradient; compute with torch's operations on logits, without detach, no_grad, item or argmax"
    if not value.requires_grad:
        return none
    try:
        (gradient,) = torch.autograd.grad(value.sum(), leaf, allow_unused=True)
    except Exception as error:
        return f"its gradient {what_raised(error)}"
    if gradient is None or (len(value) > 1 and not bool(gradient.any())):
        return none
    if not bool(gradient.isfinite().all()):
        return "its gradient is infinite or NaN for random logits, allowed are finite numbers"
    return None


def _wrong_shape(value: Tensor, images: int, seen: str) -> str:
    allowed = f"allowed is one value an image, ({images},)"
    if value.ndim == 0 and images > 1:
        return (
            f"returned a single number for {seen}, {allowed}: no mean or sum over them, as with reduction='none' (a "
            "mean or sum of values that an image has by itself will do); weights of classes are `class_weight`"
        )
    return f"returned the shape {tuple(value.shape)} for {seen}, {allowed}"


def _seeded(loss: Loss, logits: Tensor, targets: Tensor) -> Tensor:
    with kept_generators():
        torch.manual_seed(0)
        seed_python(0)
        return loss.per_image(logits, targets)


def _code(loss: Loss) -> Any:
    """Return the code whose lines messages name."""
    return loss.own.code if isinstance(loss, UserLoss) else type(loss)
