"""A schedule from outside the package decides the learning rates that the journal holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from added_components import AddedPackage, added_package, metrics

from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.errors import SpecError
from cnnsweep.planning.batching import trajectories
from cnnsweep.schedules.base import SCHEDULES

CODE = """
from typing import ClassVar
from cnnsweep.schedules.base import Schedule, WarmUp

class Fading(WarmUp):
    '''The learning rate falls to 0 as a power of what is left.'''
    power: float = 1.0

    def after_warmup(self, step, total, steps_per_epoch, base_lr):
        return base_lr * (1 - step / total) ** self.power

class Endless(Schedule):
    '''1 / (1 + steps).'''
    depends_on_length: ClassVar[bool] = False

    def lr_at(self, step, steps_per_epoch, epochs, base_lr):
        return base_lr / (1 + step)
"""
STEPS = 3  # of 36 images in batches of 16


@pytest.fixture
def package(tmp_path: Path) -> Iterator[AddedPackage]:
    for package in added_package(tmp_path, SCHEDULES):
        package.write(CODE, fading="Fading", endless="Endless")
        yield package


@pytest.mark.parametrize("is_file", [False, True])
def test_rates_are_those_of_the_formula(package, is_file):
    name = f"{package.file}:Fading" if is_file else "fading"
    sweep = package.train("added", lr=0.1, epochs=4, schedule={"name": name, "power": 2, "warmup": 1})
    left = [1 - (STEPS * epoch - 1 - STEPS) / (STEPS * 3) for epoch in (2, 3, 4)]  # at the last step of the epoch
    assert rates_of(sweep) == pytest.approx([0.1, *(0.1 * share**2 for share in left)])


def rates_of(sweep) -> list[float]:
    lines = (Path(sweep.folder) / "journal.jsonl").read_text().splitlines()
    return [event["lr"] for event in map(json.loads, lines) if event["event"] == "epoch"]


def test_fused_runs_have_each_their_own_rates(package):
    params = {"lr": 0.1, "schedule": ["endless", "constant", "fading"]}
    alone, fused = package.train("alone", **params), package.train_fused("fused", **params)
    assert sorted(rates_of(alone)) == sorted(rates_of(fused))
    constant, endless, fading = [0.1, 0.1], [0.1 / 3, 0.1 / 6], [0.1 * 4 / 6, 0.1 / 6]  # at the ends of epochs
    assert sorted(rates_of(alone)) == pytest.approx(sorted([*constant, *endless, *fading]))
    for mine, theirs in zip(metrics(fused), metrics(alone), strict=True):
        assert sorted(mine) == pytest.approx(sorted(theirs), rel=1e-7)


def test_a_break_changes_nothing(package):
    params = {"lr": 0.1, "epochs": 3, "schedule": "fading"}
    assert metrics(package.train_with_a_break("broken", **params)) == metrics(package.train("whole", **params))


def test_runs_that_differ_in_epochs_are_trained_once_if_the_schedule_does_not_depend_on_them(package):
    def trained(schedule: str) -> int:
        text = f"name: s\ndataset: shapes\nmodel: lenet\nparams: {{epochs: [1, 2], schedule: {schedule}}}\n"
        return len(trajectories(expand_runs(parse_sweep(text, "s")).runs))

    assert [trained(name) for name in ("endless", "fading", "constant", "cosine")] == [1, 2, 1, 2]


def test_arguments_are_checked(package):
    schedules = "[{name: endless, warmup: 1}, {name: fading, powr: 1}]"
    text = f"name: s\ndataset: shapes\nmodel: lenet\nparams: {{schedule: {schedules}}}\n"
    with pytest.raises(SpecError) as raised:
        parse_sweep(text, "s.yaml")
    assert "params.schedule.warmup: the schedule endless does not use it; allowed are name" in str(raised.value)
    assert "params.schedule.powr: unknown key; did you mean 'power'?" in str(raised.value)
