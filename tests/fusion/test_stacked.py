"""A stacked tensor gives each run its own value, in either layout, and shares what runs share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cnnsweep.fusion.stacked_tensor import Layout, Stacked

# Values are only moved about, so that every comparison here is exact.
SHAPES = [(2, 3), (2, 3, 5), (2, 3, 4, 5), (2, 1, 4, 4), (1, 3, 1, 1), (2, 3, 2, 4, 5)]


def values_of_runs(runs: int, shape: tuple[int, ...]) -> Tensor:
    random = torch.Generator().manual_seed(runs)
    return torch.randn(runs, *shape, generator=random, dtype=torch.float64)


def side_by_side(values: Tensor) -> Tensor:
    return torch.cat(list(values), dim=1)


@pytest.mark.parametrize("runs", [1, 2, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_channels_lie_run_after_run(runs, shape):
    values = values_of_runs(runs, shape)
    stacked = Stacked.by_runs(values).in_channels()
    assert stacked.layout is Layout.CHANNELS
    assert (stacked.runs, stacked.copies) == (runs, runs)
    assert torch.equal(stacked.tensor, side_by_side(values))


@pytest.mark.parametrize("runs", [1, 2, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_runs_come_back_from_channels(runs, shape):
    values = values_of_runs(runs, shape)
    stacked = Stacked.by_channels(side_by_side(values), runs).in_runs()
    assert stacked.layout is Layout.RUNS
    assert (stacked.runs, stacked.copies) == (runs, runs)
    assert torch.equal(stacked.tensor, values)


@pytest.mark.parametrize("shape", SHAPES)
def test_layouts_round_trip_to_the_same_values(shape):
    by_runs = Stacked.by_runs(values_of_runs(3, shape))
    assert torch.equal(by_runs.in_channels().in_runs().tensor, by_runs.tensor)
    by_channels = by_runs.in_channels()
    assert torch.equal(by_channels.in_runs().in_channels().tensor, by_channels.tensor)


def test_value_in_the_wanted_layout_is_left_alone():
    by_runs = Stacked.by_runs(values_of_runs(2, (2, 3, 4, 4)))
    assert by_runs.in_runs() is by_runs
    by_channels = by_runs.in_channels()
    assert by_channels.in_channels() is by_channels
    assert by_channels.own() is by_channels


def test_four_dimensional_channels_are_in_channels_last_order():
    stacked = Stacked.by_runs(values_of_runs(3, (2, 3, 4, 5))).in_channels()
    assert stacked.tensor.is_contiguous(memory_format=torch.channels_last)


def test_runs_of_channels_are_a_view():
    images = side_by_side(values_of_runs(3, (2, 3, 4, 4))).contiguous(memory_format=torch.channels_last)
    runs = Stacked.by_channels(images, 3).in_runs().tensor
    assert runs.untyped_storage().data_ptr() == images.untyped_storage().data_ptr()
    back = Stacked.by_runs(runs).in_channels().tensor
    assert back.untyped_storage().data_ptr() == images.untyped_storage().data_ptr()


@pytest.mark.parametrize("shape", [*SHAPES, (4,), ()])
def test_shape_in_runs_is_one_runs_shape(shape):
    assert Stacked.by_runs(values_of_runs(4, shape)).shape == torch.Size(shape)


@pytest.mark.parametrize(("runs", "copies"), [(2, 1), (4, 2), (6, 3), (3, 3)])
@pytest.mark.parametrize("shape", SHAPES)
def test_shape_in_channels_is_one_runs_shape(runs, copies, shape):
    assert Stacked.by_channels(side_by_side(values_of_runs(copies, shape)), runs, copies).shape == torch.Size(shape)


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_each_run_finds_its_own_value_in_either_layout(runs, shape):
    values = values_of_runs(runs, shape)
    for stacked in (Stacked.by_runs(values), Stacked.by_channels(side_by_side(values), runs)):
        for run in range(runs):
            assert torch.equal(stacked.of_run(run), values[run])


def test_value_of_one_run_is_a_view():
    values = values_of_runs(3, (2, 3, 4, 4))
    by_runs, by_channels = Stacked.by_runs(values.clone()), Stacked.by_channels(side_by_side(values), 3)
    for stacked in (by_runs, by_channels):
        stacked.of_run(1).zero_()
        expected = values.clone()
        expected[1] = 0
        assert torch.equal(stacked.in_runs().tensor, expected)


@pytest.mark.parametrize(("runs", "copies"), [(2, 1), (5, 1), (4, 2), (6, 2), (6, 3)])
@pytest.mark.parametrize("shape", SHAPES)
def test_consecutive_runs_share_a_copy(runs, copies, shape):
    values = values_of_runs(copies, shape)
    shared = Stacked.by_channels(side_by_side(values), runs, copies)
    expected = [values[copy] for copy in range(copies) for _ in range(runs // copies)]
    assert shared.is_shared
    assert (shared.runs, shared.copies) == (runs, copies)
    for run in range(runs):
        assert torch.equal(shared.of_run(run), expected[run])
    assert torch.equal(shared.in_runs().tensor, torch.stack(expected))
    own = shared.own()
    assert not own.is_shared
    assert own.layout is Layout.CHANNELS
    assert (own.runs, own.copies) == (runs, runs)
    assert torch.equal(own.tensor, side_by_side(torch.stack(expected)))


def test_gradients_of_a_shared_copy_are_summed_over_its_runs():
    images = side_by_side(values_of_runs(2, (2, 3, 4, 4))).requires_grad_()
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    own = Stacked.by_channels(images, runs=4, copies=2).own().in_runs().tensor
    (own * weights[:, None, None, None, None]).sum().backward()
    expected = torch.cat([torch.full((2, 3, 4, 4), 3.0), torch.full((2, 3, 4, 4), 7.0)], 1).double()
    assert torch.equal(images.grad, expected)


def test_another_tensor_keeps_layout_runs_and_copies():
    shared = Stacked.by_channels(torch.zeros(2, 6, 4, 4), runs=4, copies=2)
    other = shared.with_tensor(torch.ones(2, 8, 2, 2))
    assert (other.layout, other.runs, other.copies) == (Layout.CHANNELS, 4, 2)
    assert other.shape == torch.Size([2, 4, 2, 2])


def test_values_without_stacking_are_not_shared():
    assert not Stacked.by_runs(torch.zeros(3, 2)).is_shared
    assert not Stacked.by_channels(torch.zeros(2, 6, 4, 4), runs=3).is_shared
