"""A metric from a user's function, `my.py:fn`:

    def cost(probabilities, labels, *, missed=5.0):
        ...
        return number

    cost.greater_is_better = False

It gets the probabilities (N, classes) of a run and the labels (N,), or (N, classes) of 0 and 1, as tensors on the CPU,
which scikit-learn's functions take. Its further parameters are keys of the sweep file. More is better, unless the
attribute says otherwise.
"""

from __future__ import annotations

import inspect
import math
from functools import cache
from numbers import Real
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict, Field, model_validator

from cnnsweep.code_place import defined_at, raised_at, what_raised
from cnnsweep.errors import MetricError, UsageError
from cnnsweep.field_types import Plain, mistake
from cnnsweep.metrics.scores import ScoreMetric
from cnnsweep.signatures import arguments_of

if TYPE_CHECKING:
    from torch import Tensor

GREATER = "greater_is_better"


class FunctionMetric(ScoreMetric):
    """Base of metrics from functions."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)
    __pydantic_extra__: dict[str, Plain] = Field(init=False)
    function: ClassVar[Any] = None
    reference: ClassVar[str] = ""

    @model_validator(mode="after")
    def _takes_arguments(self) -> FunctionMetric:
        try:
            inspect.signature(self.function).bind(None, None, **self._arguments)
        except TypeError as error:
            raise mistake(f"{error}; its further parameters are keys") from None
        return self

    @property
    def _arguments(self) -> dict[str, Any]:
        return self.__pydantic_extra__ or {}

    def of_scores(self, likely: Tensor, targets: Tensor) -> Tensor:
        """Return the function's value for each run (K,).

        Raises:
            MetricError: it raised, or returned no number; the message names the file and line.
        """
        import torch

        values = [self._of_run(*run) for run in zip(likely.cpu(), targets.cpu(), strict=True)]
        return torch.tensor(values, dtype=torch.float64)

    def _of_run(self, likely: Tensor, targets: Tensor) -> float:
        if not likely.isfinite().all():  # the run has diverged; scikit-learn's functions would raise
            return math.nan
        try:
            value = self.function(likely.clone(), targets.clone(), **self._arguments)
        except Exception as error:
            raise MetricError(f"{raised_at(error, self.function)}{what_raised(error)}") from error
        number = _as_number(value)
        if number is None:
            found = f"{value!r:.60} ({type(value).__name__})"
            raise MetricError(f"{defined_at(self.function)}returned {found}, allowed is one number")
        return number


@cache
def metric_of_function(function: Any, reference: str) -> type[ScoreMetric] | None:
    """Return the metric that calls a function; None for anything else.

    Raises:
        UsageError: it cannot be called with probabilities and labels, or its direction is neither true nor false.
    """
    if not isinstance(function, FunctionType):
        return None
    direction = getattr(function, GREATER, True)
    if not isinstance(direction, bool):
        where = f"{defined_at(function)}{GREATER}"
        raise UsageError(f"metric {reference}: {where}: found {direction!r:.60}, allowed is True or False")
    if not arguments_of(function, 0).can_take(2):
        found = f"{defined_at(function)}found {function.__name__}{inspect.signature(function)}"
        raise UsageError(f"metric {reference}: {found}, allowed is a function (probabilities, labels, ...)")
    content = {"function": staticmethod(function), "reference": reference, GREATER: direction}
    annotations = dict.fromkeys(content, ClassVar[Any])
    about = {"__doc__": function.__doc__, "__module__": function.__module__}
    return type(function.__name__, (FunctionMetric,), {**content, **about, "__annotations__": annotations})


def _as_number(value: Any) -> float | None:
    """Return a number, also of a tensor or array of one; None for anything else."""
    if hasattr(value, "item") and getattr(value, "size", None) is not None:
        try:
            value = value.item()
        except (ValueError, RuntimeError, TypeError):  # of several numbers
            return None
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None
