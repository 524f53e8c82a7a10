"""Classification of exceptions: kind and cause of a failed run."""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import TypeVar

import torch

from cnnsweep import errors
from cnnsweep.errors import CnnSweepError, DataError, MetricError, ModelError
from cnnsweep.models.base import MODELS
from cnnsweep.plugins import is_reference
from cnnsweep.types import FailureKind, Run, RunOutcome, RunStatus

# Messages of CPU allocators; torch has an exception type only for those of accelerators.
_MEMORY_WORDS = ("can't allocate memory", "not enough memory", "Cannot allocate memory", "std::bad_alloc")
_ASKED_FOR = re.compile(r"tried to allocate (?P<amount>[\d.]+ ?\w+)", re.IGNORECASE)
_OURS = Path(errors.__file__).parent  # the whole package, with all modules
_CALL_A_MODEL: set[CodeType] = set()

Class = TypeVar("Class", bound=type)


def calls_a_model(kind: Class) -> Class:
    """Mark a class whose methods call a model: an error raised below them, outside our code, is the model's.

    Methods are found in a traceback by their code object, so that marking costs nothing per call.
    """
    methods = (inspect.unwrap(one) for one in vars(kind).values() if inspect.isroutine(one))
    _CALL_A_MODEL.update(method.__code__ for method in methods)
    return kind


def failed_outcome(run: Run, error: Exception) -> RunOutcome:
    """Return the outcome of a run that raised an error."""
    kind = failure_kind(run, error)
    cause = one_line(error)
    if kind is FailureKind.MEMORY:
        cause = f"{_memory_words(error)}; use a batch_size below {run.hyperparameters.batch_size}, or a smaller model"
    elif kind is FailureKind.SETTINGS:
        own = {name: value for name, value in run.params.items() if name == "model" or name.startswith("model.")}
        cause += f" (hyperparameters: {', '.join(f'{name}={value}' for name, value in own.items())})" if own else ""
    return RunOutcome(run.id, RunStatus.FAILED, cause, "".join(traceback.format_exception(error)), kind)


def failure_kind(run: Run, error: Exception) -> FailureKind:
    """Return the cause of an error of a run that trained alone."""
    if is_out_of_memory(error):
        return FailureKind.MEMORY
    if isinstance(error, DataError):
        return FailureKind.DATA
    if isinstance(error, MetricError) or _is_a_components(error, run):
        return FailureKind.USER_CODE
    has_custom_model = not MODELS.is_built_in(run.model.name)
    if isinstance(error, ModelError):
        return FailureKind.USER_CODE if has_custom_model else FailureKind.SETTINGS
    return FailureKind.USER_CODE if has_custom_model and _is_a_models(error) else FailureKind.CNNSWEEP


def is_out_of_memory(error: BaseException) -> bool:
    """True if memory ran out, also if that is the cause of another error."""
    for one in _with_causes(error):
        if isinstance(one, torch.OutOfMemoryError | MemoryError):
            return True
        if isinstance(one, RuntimeError) and any(words in str(one) for words in _MEMORY_WORDS):
            return True
    return False


def one_line(error: BaseException) -> str:
    """Return an error as one line; our own messages need no type."""
    text = " ".join(str(error).split())
    if isinstance(error, CnnSweepError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _memory_words(error: BaseException) -> str:
    """Return the size of the failed allocation, without the free memory, so that equal failures have equal causes."""
    for one in _with_causes(error):
        if found := _ASKED_FOR.search(str(one)):
            return f"tried to allocate {found['amount']}"
    return "memory ran out"


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__


def _is_a_components(error: BaseException, run: Run) -> bool:
    """True if a user's own optimizer, schedule, loss or augmentation raised, directly or indirectly."""
    names = [choice.name for choice in run.hyperparameters.components if is_reference(choice.name)]
    places = {name.rpartition(":")[0] for name in names}
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(frame.f_code.co_filename in places or frame.f_globals.get("__name__") in places for frame in frames)


def _is_a_models(error: BaseException) -> bool:
    """True if a model raised, or torch for it, in a loss or a backward pass."""
    codes = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not codes or Path(codes[-1].co_filename).is_relative_to(_OURS):  # raised by our own code
        return False
    return not _CALL_A_MODEL.isdisjoint(codes)
