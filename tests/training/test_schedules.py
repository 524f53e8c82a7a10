"""Learning rates equal torch's own schedulers, step by step."""

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    StepLR,
)

from cnnsweep.schedules.base import SCHEDULES
from cnnsweep.types import CONSTANT, Choice

LR = 0.4
STEPS, EPOCHS = 7, 5


def ours(schedule: Choice) -> list[float]:
    made = SCHEDULES.make(schedule)
    return [made.lr_at(step, STEPS, EPOCHS, LR) for step in range(STEPS * EPOCHS)]


def theirs(make_scheduler, count: int = STEPS * EPOCHS) -> list[float]:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    scheduler = make_scheduler(optimizer)
    rates = []
    for _ in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_constant_stays():
    assert ours(CONSTANT) == [LR] * (STEPS * EPOCHS)


def test_step_drops_as_torchs_does():
    expected = theirs(lambda optimizer: StepLR(optimizer, 2 * STEPS, gamma=0.3))
    assert ours(Choice("step", {"every": 2, "factor": 0.3})) == pytest.approx(expected, rel=1e-12)


def test_cosine_follows_torchs():
    expected = theirs(lambda optimizer: CosineAnnealingLR(optimizer, STEPS * EPOCHS, eta_min=0.1 * LR))
    assert ours(Choice("cosine", {"final": 0.1})) == pytest.approx(expected, rel=1e-9)  # torch's is recursive


@pytest.mark.parametrize("peak", [0.3, 0.5, 0.01])
def test_one_cycle_follows_torchs(peak):
    expected = theirs(lambda o: OneCycleLR(o, LR, total_steps=STEPS * EPOCHS, pct_start=peak, cycle_momentum=False))
    assert ours(Choice("one_cycle", {"peak": peak})) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("power", [1, 0.5, 2.5])
def test_polynomial_follows_torchs(power):
    expected = theirs(lambda optimizer: PolynomialLR(optimizer, STEPS * EPOCHS, power))
    assert ours(Choice("polynomial", {"power": power})) == pytest.approx(expected, rel=1e-9)
    left = [LR * (0.1 + 0.9 * (1 - step / (STEPS * EPOCHS)) ** power) for step in range(STEPS * EPOCHS)]
    assert ours(Choice("polynomial", {"power": power, "final": 0.1})) == pytest.approx(left)


@pytest.mark.parametrize(("every", "growth"), [(1, 1), (2, 1), (1, 2), (3, 3)])
def test_restarts_follow_torchs(every, growth):
    def make(optimizer):
        return CosineAnnealingWarmRestarts(optimizer, every * STEPS, growth, eta_min=0.1 * LR)

    schedule = Choice("restarts", {"every": every, "growth": growth, "final": 0.1})
    assert ours(schedule) == pytest.approx(theirs(make), rel=1e-9)


CURVES = {
    "noisy": [2.0, 1.5, 1.6, 1.4, 1.41, 1.42, 1.39, 1.5, 1.5, 1.5, 1.2, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3],
    "flat": [1.0] * 17,
    "falling": [1 / (1 + epoch) for epoch in range(17)],
    "hardly falling": [1 - epoch * 1e-5 for epoch in range(17)],
}


@pytest.mark.parametrize("metric", ["val_loss", "accuracy"])
@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("given", [{}, {"patience": 0, "cooldown": 2}, {"patience": 1, "factor": 0.5, "final": 0.2}])
def test_plateau_drops_as_torchs_does(given, curve, metric):
    values = [value if metric == "val_loss" else 1 - value / 3 for value in CURVES[curve]]
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    arguments = {"patience": 3, **{key: value for key, value in given.items() if key != "final"}}
    mode = "min" if metric == "val_loss" else "max"
    scheduler = ReduceLROnPlateau(optimizer, mode, min_lr=LR * given.get("final", 0.0), **arguments)
    made = SCHEDULES.make(Choice("plateau", {"metric": metric, **given}))
    for epoch in range(len(values) + 1):
        found = made.lr_at(0, STEPS, EPOCHS, LR) * made.lr_factor([{metric: value} for value in values[:epoch]])
        # Torch leaves tiny drops out.
        assert found == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-7)
        if epoch < len(values):
            scheduler.step(values[epoch])


def test_plateau_looks_at_training_images_where_nothing_is_held_out():
    made = SCHEDULES.make(Choice("plateau", {"patience": 0}))
    assert made.lr_factor([{"loss": 1.0, "val_loss": None}, {"loss": 2.0, "val_loss": None}]) == 0.1
    assert made.lr_factor([{"loss": 1.0, "val_loss": 2.0}, {"loss": 2.0, "val_loss": 1.0}]) == 1.0


def test_warm_up_rises_in_a_straight_line_and_then_the_schedule_spans_the_rest():
    rates = ours(Choice("cosine", {"warmup": 2}))
    assert rates[: 2 * STEPS] == pytest.approx([LR * (k + 1) / (2 * STEPS) for k in range(2 * STEPS)])
    rest = theirs(lambda optimizer: CosineAnnealingLR(optimizer, 3 * STEPS), 3 * STEPS)
    assert rates[2 * STEPS :] == pytest.approx(rest, rel=1e-9)


def test_warm_up_longer_than_the_run_never_divides_by_zero():
    assert ours(Choice("cosine", {"warmup": 50}))[-1] == pytest.approx(LR * 35 / 350)
