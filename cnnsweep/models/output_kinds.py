"""Kinds of outputs that are not logits, recognised by their values: those of a softmax, a sigmoid or a ReLU."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

SOFTMAX, LOG, UNIT, POSITIVE = "softmax", "log-softmax", "unit", "positive"
_NEAR = 1e-4


def _sums_to_one(output: Tensor) -> bool:
    return _is_in_unit(output) and bool(((output.sum(1) - 1).abs() < _NEAR).all())


def _is_log_of_such(output: Tensor) -> bool:
    return bool((output <= _NEAR).all()) and bool((output.logsumexp(1).abs() < _NEAR).all())


def _is_in_unit(output: Tensor) -> bool:
    return bool(((output >= -_NEAR) & (output <= 1 + _NEAR)).all()) and bool((output != 0).any())


def _is_never_negative(output: Tensor) -> bool:
    return bool((output >= 0).all())


_CHECKS: dict[str, Callable[[Tensor], bool]] = {  # the narrower kind first
    SOFTMAX: _sums_to_one,
    LOG: _is_log_of_such,
    UNIT: _is_in_unit,
    POSITIVE: _is_never_negative,
}
KINDS = tuple(_CHECKS)


def is_of_kind(kind: str, output: Tensor) -> bool:
    """True if all outputs (N, classes) could come from such a last layer."""
    return _CHECKS[kind](output)


def is_of_no_kind(output: Tensor) -> bool:
    """True if finite outputs (N, classes) cannot come from any of these last layers."""
    return bool(output.isfinite().all()) and not any(check(output) for check in _CHECKS.values())
