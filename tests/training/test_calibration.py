"""What is measured decides how runs train; the clock itself is not tested."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from test_fused_equals_alone import ADAM, PLAIN_CNN, make_runs

from cnnsweep.data.batches import PixelScale
from cnnsweep.data.images import MemoryImages
from cnnsweep.errors import FusionError
from cnnsweep.training import calibration
from cnnsweep.training.calibration import calibrate, decide
from cnnsweep.training.checking import check_fused
from cnnsweep.training.feeding import TrainingTask
from cnnsweep.training.footprint import run_bytes, runs_that_fit
from cnnsweep.training.fused_program import FusedProgram


@pytest.fixture(scope="module")
def task() -> TrainingTask:
    images = torch.randint(0, 256, (64, 1, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return TrainingTask(
        MemoryImages(images, torch.arange(64) % 3), torch.arange(64), torch.arange(0), PixelScale((0.5,), (0.25,)), 3,
        torch.device("cpu"), "fp32",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("runs", "fused_s", "size", "why"),
    [
        (16, {}, 1, "measuring whether a group is faster would take too long"),
        (16, {16: 0.5}, 16, "2.0 times as fast"),
        (16, {16: 3.0}, 1, "a group would take 3.0 times as long"),
        (16, {16: 0.98}, 1, "a group would be no faster"),
        (16, {16: 0.50, 8: 0.49}, 16, "2.0 times as fast"),  # no clear difference: the larger one
        (16, {16: 0.50, 8: 0.40}, 8, "2.5 times as fast"),
        (16, {16: 0.50, 8: 0.40, 4: 0.2}, 4, "5.0 times as fast"),
        (3, {3: 0.7, 2: 0.6}, 3, "1.4 times as fast"),  # in twos one is left over: (1 + 2 · 0.6) / 3 is more than 0.7
    ],
)
def test_the_fastest_way_is_chosen(runs, fused_s, size, why):
    choice = decide(runs, 1.0, fused_s)
    assert (choice.size, choice.why) == (size, why)
    assert choice.step_s == (1.0 if size == 1 else fused_s[size])


def test_calibration_measures_alone_and_together(task):
    runs = make_runs(*[dataclasses.replace(ADAM, lr=0.01 * (k + 1)) for k in range(4)], model=PLAIN_CNN)
    choice = calibrate(runs, 4000, task, most=4)
    assert choice.alone_s > 0
    assert 4 in choice.fused_s
    assert choice.size in (1, 2, 4)


def test_calibration_tries_no_group_larger_than_memory_allows(task):
    runs = make_runs(*[dataclasses.replace(ADAM, lr=0.01 * (k + 1)) for k in range(4)], model=PLAIN_CNN)
    assert set(calibrate(runs, 4000, task, most=2).fused_s) == {2}
    assert calibrate(runs, 4000, task, most=1).fused_s == {}


def test_calibration_keeps_to_its_share_of_the_time(task, monkeypatch):
    monkeypatch.setattr(calibration, "_LEAST_BUDGET_S", 0.0)
    runs = make_runs(ADAM, dataclasses.replace(ADAM, lr=0.1), model=PLAIN_CNN)
    assert calibrate(runs, 1, task, most=2).fused_s == {}  # 2 % of a few steps is less than a step


def test_calibration_moves_no_weight_and_no_generator(task):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    calibrate(make_runs(ADAM, dataclasses.replace(ADAM, lr=0.1)), 4000, task, most=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_memory_grows_with_the_batch_and_limits_the_group(task, monkeypatch):
    small, large = (
        run_bytes(make_runs(dataclasses.replace(ADAM, batch_size=size), model=PLAIN_CNN)[0], task)
        for size in (100, 200)
    )
    # Activations of a 10×10 map of 3 channels, its pooled quarter and what follows: some kilobytes an image.
    assert 100 * 1_000 < large - small < 100 * 20_000
    (run,) = make_runs(dataclasses.replace(ADAM, batch_size=100), model=PLAIN_CNN)
    monkeypatch.setattr("cnnsweep.training.footprint.free_memory_bytes", lambda: 10 * small)
    assert runs_that_fit(run, task) == 7
    monkeypatch.setattr("cnnsweep.training.footprint.free_memory_bytes", lambda: 0)
    assert runs_that_fit(run, task) == 1


def test_the_check_passes_what_is_right(task):
    check_fused(make_runs(*[dataclasses.replace(ADAM, seed=k, shuffle=k > 1) for k in range(4)]), task)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p.model.tensors["features.0.weight"].tensor.data.mul_(1.001), "the gradient of '"),
        (lambda p: p._optimizers.reverse(), "the weight after one step of '"),
    ],
    ids=["weights", "optimizers"],
)
def test_the_check_finds_what_is_wrong(task, monkeypatch, spoil, message):
    begin = FusedProgram._begin

    def begin_wrong(self):
        begin(self)
        with torch.no_grad():
            spoil(self)

    monkeypatch.setattr(FusedProgram, "_begin", begin_wrong)
    with pytest.raises(FusionError, match=f"its fused form differs from the model itself: {message}"):
        check_fused(make_runs(ADAM, dataclasses.replace(ADAM, lr=0.05, seed=2)), task)
