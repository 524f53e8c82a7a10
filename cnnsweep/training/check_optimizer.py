"""Trial of optimizers before training: some steps on a few small weights, and a resume in between."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from cnnsweep.config.dump import without_folder
from cnnsweep.errors import CnnSweepError, UsageError
from cnnsweep.optimizers.base import OPTIMIZERS, OwnOptimizer, make_optimizer
from cnnsweep.optimizers.fused_step import RunOptimizer
from cnnsweep.seeding import kept_generators, seed_step
from cnnsweep.storage.checkpoint import decode_optimizer, encode_last, on_cpu
from cnnsweep.training.code_place import defined_at, raised_at
from cnnsweep.types import EpochRecord, Hyperparameters

_STEPS, _RESUMED_AFTER = 16, 13  # some change nothing in their first ten
_TOLERANCE = 1e-4  # state in another memory order is rounded otherwise
_CPU = torch.device("cpu")
_SHAPES = ((4, 3, 3, 3), (4,), (4,), (6, 4), (6,))  # filter, norm, layer
_RECORD = EpochRecord("trial", 1, {}, 0.0, 0.0, 0.0, 1)


def check_optimizers(every: Iterable[Hyperparameters]) -> None:
    """Try every distinct optimizer that is not built in, and those that are with arguments.

    Raises:
        UsageError: it raises, needs a closure, changes no weights, or does not continue from its state dict; the
            message has file and line of the user's code.
    """
    used = [h for h in every if h.optimizer_arguments or not OPTIMIZERS.is_built_in(h.optimizer)]
    alike = {repr(dataclasses.replace(h, seed=0, epochs=1, batch_size=1, augment=())): h for h in used}
    for h in alike.values():
        with kept_generators(_CPU):
            check_optimizer(h)


def check_optimizer(h: Hyperparameters) -> None:
    """Try one optimizer."""
    kind = OPTIMIZERS.get(h.optimizer)
    code: Any = kind.make if issubclass(kind, OwnOptimizer) else kind
    about = f"optimizer {without_folder(h.optimizer, h.optimizer_code)}: "
    is_custom = not OPTIMIZERS.is_built_in(h.optimizer)
    weights = _weights()
    make_optimizer(h)  # raises for arguments that it does not take
    try:
        optimizer = RunOptimizer(h, weights, _CPU)
        before = [weight.clone() for weight in weights]
        _train(optimizer, weights, h.lr, range(_RESUMED_AFTER))
        optimizer.set_training(False)
        saved = [weight.clone() for weight in weights], optimizer.state_dict()
    except CnnSweepError as error:
        raise UsageError(f"{defined_at(code) if is_custom else ''}{about}{error}") from error
    except Exception as error:
        place = raised_at(error, code) if is_custom else ""
        raise UsageError(f"{place}{about}raised {type(error).__name__}: {_one_line(error)}") from error
    if all(map(torch.equal, weights, before)):
        raise UsageError(f"{defined_at(code)}{about}its steps change no weight; {_RESUMED_AFTER} were tried")
    if (problem := _problem_of_resume(h, optimizer, weights, saved)) is not None:
        raise UsageError(f"{defined_at(code) if is_custom else ''}{about}{problem}")


def _problem_of_resume(
    h: Hyperparameters, optimizer: RunOptimizer, weights: list[Tensor], saved: tuple[list[Tensor], Any]
) -> str | None:
    """Return why a run that resumes would not equal one that was not interrupted."""
    resumed, rest = _weights(), range(_RESUMED_AFTER, _STEPS)
    try:
        state = decode_optimizer(encode_last(_RECORD, on_cpu({}), saved[1]))
        again = RunOptimizer(h, resumed, _CPU)
        for weight, value in zip(resumed, saved[0], strict=True):
            weight.copy_(value)
        again.load_state_dict(state)
        _train(again, resumed, h.lr, rest)
        _train(optimizer, weights, h.lr, rest)
    except Exception as error:
        return f"its state cannot be saved and loaded: {type(error).__name__}: {_one_line(error)}"
    pairs = zip(resumed, weights, strict=True)
    if all(torch.allclose(*pair, rtol=_TOLERANCE, atol=_TOLERANCE * h.lr, equal_nan=True) for pair in pairs):
        return None
    return (
        "a run that resumes would differ from one that was not interrupted: what its steps depend on is not all in its "
        "state dict; keep it in self.state[parameter] or in the parameter groups"
    )


def _train(optimizer: RunOptimizer, weights: Sequence[Tensor], lr: float, steps: range) -> None:
    for step in steps:
        optimizer.set_training(True)
        seed_step(_CPU, step)
        optimizer.step([torch.sin(weight.detach() * (step + 2)) + 0.1 for weight in weights], lr)


def _weights() -> list[Tensor]:
    """Return small weights of a CNN in memory order of the filters of one, biases of 0."""
    random = torch.Generator().manual_seed(0)
    weights = [torch.randn(shape, generator=random) * (len(shape) > 1) for shape in _SHAPES]
    weights[0] = weights[0].contiguous(memory_format=torch.channels_last)
    return weights


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
