"""Learning rates equal torch's own schedulers, step by step."""

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

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


def test_warm_up_rises_in_a_straight_line_and_then_the_schedule_spans_the_rest():
    rates = ours(Choice("cosine", {"warmup": 2}))
    assert rates[: 2 * STEPS] == pytest.approx([LR * (k + 1) / (2 * STEPS) for k in range(2 * STEPS)])
    rest = theirs(lambda optimizer: CosineAnnealingLR(optimizer, 3 * STEPS), 3 * STEPS)
    assert rates[2 * STEPS :] == pytest.approx(rest, rel=1e-9)


def test_warm_up_longer_than_the_run_never_divides_by_zero():
    assert ours(Choice("cosine", {"warmup": 50}))[-1] == pytest.approx(LR * 35 / 350)
