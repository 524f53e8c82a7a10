"""What is measured decides how runs train; the clock itself is not tested."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from test_fused_equals_alone import ADAM, CNN, PLAIN_CNN, make_runs

from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.errors import FusionError
from cnnsweep.models.build import build_model
from cnnsweep.training import autotune as calibration
from cnnsweep.training import fused_learner as fused_program
from cnnsweep.training.autotune import ALONE, FusionPlan, autotune, decide, seconds_together
from cnnsweep.training.data_module import DataModule, FoldData
from cnnsweep.training.fused_learner import FusedLearner
from cnnsweep.training.memory_estimate import run_bytes, runs_that_fit
from cnnsweep.training.verify_fused import check_fused


@pytest.fixture(scope="module")
def task() -> DataModule:
    images = torch.randint(0, 256, (64, 1, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    part = FoldData(torch.arange(64), torch.arange(0), PixelNormalize((0.5,), (0.25,)))
    return DataModule(MemoryImages(images, torch.arange(64) % 3), (part,), 3, torch.device("cpu"), "fp32")


TWO = 2  # threads


@pytest.mark.parametrize(
    ("runs", "together_s", "way", "why"),
    [
        (16, {}, ALONE, "measuring a group would take too long"),
        (16, {FusionPlan(16): 0.5}, FusionPlan(16), "2.0 times as fast as alone"),
        (16, {FusionPlan(16): 3.0}, ALONE, "a group would take 3.0 times as long"),
        (16, {FusionPlan(16): 0.98}, ALONE, "a group would hardly be faster"),
        (
            16,
            {FusionPlan(16): 0.50, FusionPlan(8): 0.49},
            FusionPlan(16),
            "2.0 times as fast as alone",
        ),  # no clear difference
        (16, {FusionPlan(16): 0.50, FusionPlan(8): 0.40}, FusionPlan(8), "2.5 times as fast as alone"),
        (16, {FusionPlan(16): 0.50, FusionPlan(16, TWO): 0.40}, FusionPlan(16, TWO), "2.5 times as fast as alone"),
        (16, {FusionPlan(16): 1.40, FusionPlan(2, TWO): 0.80}, FusionPlan(2, TWO), "1.2 times as fast as alone"),
        (
            16,
            {FusionPlan(16): 0.50, FusionPlan(8): 0.40, FusionPlan(4): 0.2},
            FusionPlan(4),
            "5.0 times as fast as alone",
        ),
        # In twos one of three is left over: (1 + 2 · 0.6) / 3 is more than 0.7.
        (3, {FusionPlan(3): 0.7, FusionPlan(2): 0.6}, FusionPlan(3), "1.4 times as fast as alone"),
    ],
)
def test_the_fastest_way_is_chosen(runs, together_s, way, why):
    choice = decide(runs, 1.0, together_s)
    assert (choice.way, choice.why) == (way, why)
    assert choice.step_s == (1.0 if way == ALONE else together_s[way])


def four_runs(model=PLAIN_CNN):
    return make_runs(*[dataclasses.replace(ADAM, lr=0.01 * (k + 1)) for k in range(4)], model=model)


def test_calibration_measures_alone_and_together(task):
    choice = autotune(four_runs(), 4000, task, most=4)
    assert choice.alone_s > 0
    assert FusionPlan(4) in choice.together_s


def test_calibration_tries_no_group_larger_than_memory_allows(task):
    assert {way.size for way in autotune(four_runs(), 4000, task, most=2).together_s} == {2}
    assert autotune(four_runs(), 4000, task, most=1).together_s == {}


@pytest.mark.parametrize("threads", [1, 2])
def test_programs_on_a_thread_each_are_tried_where_there_are_threads_and_nothing_is_random(task, threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(calibration, "_CLEAR_LOSS", 1e9)  # whatever was measured
    ways = autotune(four_runs(), 100_000, task, most=4).together_s
    assert any(way.threads == 2 for way in ways) == (threads == 2)
    random = autotune(four_runs(CNN), 100_000, task, most=4).together_s  # with dropout
    assert {way.threads for way in random} == {1}


@pytest.mark.parametrize(("rate", "is_busy"), [(1.0, True), (1e18, False)])
def test_what_keeps_the_cores_busy_alone_is_not_tried_together(task, monkeypatch, rate, is_busy):
    monkeypatch.setattr(calibration, "matrix_product_rate", lambda *_: rate)
    choice = autotune(four_runs(), 4000, task, most=4)
    assert choice.alone_s > 0
    assert (not choice.together_s) == is_busy
    assert choice.why.startswith("each keeps the cores busy alone (") == is_busy
    assert choice.way == ALONE or not is_busy


def test_whether_a_comparison_is_worth_it_is_counted_in_images(task):
    runs = four_runs()  # on 64 images; a batch of 8 a step is compared: 2 times 4 runs and 4 more, for 5 % of all
    assert runs[0].hyperparameters.batch_size == 8
    enough = 8 * (2 * 4 + 4) / 0.05 / 64
    assert calibration._affordable_size(runs, int(enough), task, 4) == 4
    assert calibration._affordable_size(runs, int(enough) - 1, task, 4) == 2
    assert calibration._affordable_size(runs, int(enough), task, 2) == 2
    assert calibration._affordable_size(runs, 1, task, 4) == 1
    assert autotune(runs, 1, task, most=4) == calibration.TOO_SHORT


def test_calibration_keeps_to_its_share_of_the_time(task, monkeypatch):
    monkeypatch.setattr(calibration, "_LEAST_BUDGET_S", 0.0)
    runs = make_runs(ADAM, dataclasses.replace(ADAM, lr=0.1), model=PLAIN_CNN)
    assert autotune(runs, 1, task, most=2).together_s == {}  # 1 % of a few steps is less than a step


def test_calibration_moves_no_weight_and_no_generator(task):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    autotune(make_runs(ADAM, dataclasses.replace(ADAM, lr=0.1)), 4000, task, most=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_memory_grows_with_the_batch_and_limits_the_group(task, monkeypatch):
    small, large = (
        run_bytes(make_runs(dataclasses.replace(ADAM, batch_size=size), model=PLAIN_CNN)[0], task)
        for size in (100, 200)
    )
    # Activations of a 10×10 map of 3 channels, its pooled quarter and what follows: some kilobytes an image.
    assert 100 * 1_000 < large - small < 100 * 20_000
    (run,) = make_runs(dataclasses.replace(ADAM, batch_size=100), model=PLAIN_CNN)
    monkeypatch.setattr("cnnsweep.training.memory_estimate.free_memory_bytes", lambda: 10 * small)
    assert runs_that_fit(run, task) == 7
    monkeypatch.setattr("cnnsweep.training.memory_estimate.free_memory_bytes", lambda: 0)
    assert runs_that_fit(run, task) == 1


def test_a_step_of_one_run_is_its_share_of_a_groups_and_grows_with_the_batch(task, monkeypatch):
    looked_at = []

    class Steady:
        def __init__(self, runs, _task, images):
            looked_at.append((len(runs), images))

        def seconds(self):
            return 0.8

    monkeypatch.setattr(calibration, "_Stepper", Steady)
    monkeypatch.setattr(calibration, "_IMAGES", 4)
    runs = make_runs(*[dataclasses.replace(ADAM, batch_size=16, seed=k) for k in range(4)])
    assert seconds_together(runs, task, measuring_s=0) == pytest.approx(0.8 / 4 * 16 / 4)
    assert looked_at == [(4, 4)]


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
    begin = FusedLearner._begin

    def begin_wrong(self):
        begin(self)
        with torch.no_grad():
            spoil(self)

    monkeypatch.setattr(FusedLearner, "_begin", begin_wrong)
    with pytest.raises(FusionError, match=f"its fused form differs from the model itself: {message}"):
        check_fused(make_runs(ADAM, dataclasses.replace(ADAM, lr=0.05, seed=2)), task)


@pytest.mark.parametrize(
    ("alone_s", "budget_s"),
    [(1.0, 0.02), (20.0, 0.4), (40.0, 0.5), (1000.0, 10.0)],  # 2 % of a short sweep, 1 % of a long one, 0.5 s between
)
def test_measuring_costs_a_small_share_of_what_the_runs_take(alone_s, budget_s):
    assert calibration._budget_s(alone_s) == pytest.approx(budget_s)


def test_equal_initial_weights_are_built_once(monkeypatch, task):
    built = []

    def build(choice, image_shape, num_classes, seed):
        built.append(seed)
        return build_model(choice, image_shape, num_classes, seed)

    monkeypatch.setattr(fused_program, "build_model", build)
    runs = make_runs(*[dataclasses.replace(ADAM, seed=seed, lr=lr) for seed in (1, 2) for lr in (0.01, 0.02, 0.03)])
    program = FusedLearner(runs, task.images.image_shape, 3, task.device, "fp64")
    assert built == [1, 2]
    for position, run in enumerate(runs):
        alone = build_model(run.model, task.images.image_shape, 3, run.hyperparameters.seed).double().state_dict()
        fused = program.weights(position)
        assert fused.keys() == alone.keys()
        assert all(torch.equal(fused[name], alone[name]) for name in alone)


def test_a_check_measures_the_fused_program_once_a_batch_size_however_many_runs_it_has(monkeypatch, task):
    measured = []
    measure = FusedLearner.measure
    monkeypatch.setattr(FusedLearner, "measure", lambda *args: measured.append(args) or measure(*args))
    check_fused(make_runs(*[dataclasses.replace(ADAM, lr=0.01 * k) for k in range(1, 6)]), task)
    assert [len(labels) for _, _, labels in measured] == [8, 3]


def test_a_wrong_evaluation_of_any_run_is_found(monkeypatch, task):
    measure = FusedLearner.measure

    def wrong(program, *args):
        losses, correct = measure(program, *args)
        return losses + torch.tensor([0.0, 0.0, 1e-3]), correct

    monkeypatch.setattr(FusedLearner, "measure", wrong)
    with pytest.raises(FusionError, match="the loss in evaluation by"):
        check_fused(make_runs(*[dataclasses.replace(ADAM, lr=0.01 * k) for k in range(1, 4)]), task)
