"""Trial of users' own losses before training: on random logits, with the shapes of training."""

from __future__ import annotations

import contextlib
import inspect
import traceback
from collections.abc import Iterable

import torch
from torch import Tensor

from cnnsweep.config.dump import without_folder
from cnnsweep.config.schema import SweepSpec
from cnnsweep.errors import UsageError
from cnnsweep.losses.base import LOSSES, FunctionLoss, Loss, loss_of
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
            if (problem := _problem(in_use, count, classes, several=several)) is not None:
                place, text = problem
                raise UsageError(f"{place}loss {without_folder(choice.name, choice.code)}: {text}")


def _problem(loss: Loss, images: int, classes: int, *, several: bool) -> tuple[str, str] | None:
    """Return the place in the user's code and what is wrong; None where nothing is."""
    random = torch.Generator().manual_seed(0)
    leaf = torch.randn(images, classes, generator=random, requires_grad=True)
    shape = (images, classes) if several else (images,)
    labels = torch.randint(0, 2 if several else classes, shape, generator=random)
    targets = labels.float() if several else labels
    file, line = _defined(loss)
    place = f"{file}:{line}: " if file else ""
    seen = f"logits {tuple(leaf.shape)} and targets {tuple(targets.shape)} {'of 0 and 1' if several else 'int64'}"
    try:
        logits, given = leaf * 1, targets.clone()  # not a leaf, as in training
        value = _seeded(loss, logits, given)
        again = _seeded(loss, leaf * 1, targets.clone())
    except Exception as error:
        return _raised(error, file) or place, f"raised {type(error).__name__}: {error}, for {seen}"
    if not isinstance(value, Tensor):
        return place, f"returned {type(value).__name__}, allowed is a tensor with one value an image, ({images},)"
    if value.shape != (images,):
        return place, _wrong_shape(value, images, seen)
    if not (torch.equal(logits, leaf) and torch.equal(given, targets)):
        changed = "targets" if torch.equal(logits, leaf) else "logits"
        return place, f"changes its {changed} in place, which other code uses; change a copy, `{changed}.clone()`"
    if not value.is_floating_point():
        return place, f"returned {value.dtype}, allowed is a floating-point number an image"
    if not bool(value.isfinite().all()):
        return place, f"is {float(value[~value.isfinite()][0].detach())} for random {seen}, allowed is a finite number"
    if not torch.equal(value, again):
        return place, "gives other values for the same logits each time, with equal seeds too; draw with torch alone"
    return _gradient_problem(place, value, leaf)


def _gradient_problem(place: str, value: Tensor, leaf: Tensor) -> tuple[str, str] | None:
    advice = "compute with torch's operations on logits, without detach, no_grad, item or argmax"
    if not value.requires_grad:
        return place, f"has no gradient; {advice}"
    try:
        (gradient,) = torch.autograd.grad(value.sum(), leaf, allow_unused=True)
    except Exception as error:
        return place, f"its gradient raised {type(error).__name__}: {error}"
    if gradient is None or (len(value) > 1 and not bool(gradient.any())):
        return place, f"has no gradient; {advice}"
    if not bool(gradient.isfinite().all()):
        return place, "its gradient is infinite or NaN for random logits, allowed are finite numbers"
    return None


def _wrong_shape(value: Tensor, images: int, seen: str) -> str:
    allowed = f"allowed is one value an image, ({images},)"
    if value.ndim == 0 and images > 1:
        return f"returned a single number for {seen}, {allowed}: no mean or sum over them, as with reduction='none'"
    return f"returned the shape {tuple(value.shape)} for {seen}, {allowed}"


def _seeded(loss: Loss, logits: Tensor, targets: Tensor) -> Tensor:
    with kept_generators():
        torch.manual_seed(0)
        seed_python(0)
        return loss.per_image(logits, targets)


def _defined(loss: Loss) -> tuple[str, int]:
    """Return file and first line of the user's function or class; empty where they are not known."""
    code: object = inspect.unwrap(type(loss).function) if isinstance(loss, FunctionLoss) else type(loss)
    try:
        return str(inspect.getsourcefile(code) or ""), max(1, inspect.getsourcelines(code)[1])  # type: ignore[arg-type]
    except (OSError, TypeError):
        return "", 0


def _raised(error: Exception, file: str) -> str:
    """Return the place of the user's file at which an error was raised; empty where it is not in it."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if file and frame.filename == file]
    return f"{file}:{frames[-1].lineno}: " if frames else ""
