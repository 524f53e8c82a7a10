"""The comparison of fused and alone takes values of every type, and finds what differs in any."""

from __future__ import annotations

import math

import pytest
import torch

from cnnsweep.errors import FusionError
from cnnsweep.training.verify_fused import _compare

VALUES = {
    "truth": torch.tensor([True, False]),
    "whole": torch.tensor([3, -4]),
    "half": torch.tensor([1.0, 2.0], dtype=torch.float16),
    "complex": torch.tensor([1 + 2j, -1j]),
    "empty": torch.empty(0, 3),
    "infinite": torch.tensor([0.0, -math.inf]),
    "number": torch.tensor([1.0, -2.0], dtype=torch.float64),
}
OTHER = {
    "truth": torch.tensor([True, True]),
    "whole": torch.tensor([3, -5]),
    "half": torch.tensor([1.0, 2.01], dtype=torch.float16),
    "complex": torch.tensor([1 + 2j, -1.01j]),
    "infinite": torch.tensor([0.0, math.inf]),
    "number": torch.tensor([1.0, -2.0001], dtype=torch.float64),
}


def test_equal_values_of_every_type_pass():
    _compare("weight", VALUES, {name: value.clone() for name, value in VALUES.items()}, 1e-6)


@pytest.mark.parametrize("name", OTHER)
def test_another_value_of_any_type_is_found(name):
    with pytest.raises(FusionError, match=f"the weight of '{name}' by "):
        _compare("weight", VALUES | {name: OTHER[name]}, VALUES, 1e-6)


def test_what_became_nan_is_found():
    spoilt = torch.tensor([1.0, math.nan], dtype=torch.float64)
    with pytest.raises(FusionError, match="the weight of 'number' by nan"):
        _compare("weight", VALUES | {"number": spoilt}, VALUES, 1e-6)


def test_a_whole_number_is_not_compared_with_the_largest_weight():
    counts = {"large": torch.tensor([1e9], dtype=torch.float64), "steps": torch.tensor(3)}
    with pytest.raises(FusionError, match="of 'steps'"):
        _compare("weight", counts | {"steps": torch.tensor(4)}, counts, 1e-6)
