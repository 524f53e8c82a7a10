"""A function as a schedule, and a schedule that depends on the epochs before."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from added_components import AddedPackage, added_package, metrics

from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.errors import SpecError, UsageError
from cnnsweep.planning.batching import trajectories
from cnnsweep.schedules.base import SCHEDULES
from cnnsweep.types import Choice

CODE = '''
import math
from cnnsweep.schedules.base import Schedule

def triangle(step, steps, epochs, lr, peak=0.5, *, low=0.0):
    """Up to lr, and down."""
    share = step / steps
    return low + (lr - low) * (share / peak if share < peak else (1 - share) / (1 - peak))

def late(step, steps, epochs, lr):
    if step < steps - 1:
        return lr
    WORSE

class Jump(Schedule):
    def lr_at(self, step, steps_per_epoch, epochs, base_lr):
        return base_lr

    def lr_factor(self, history):
        return FACTOR
'''
STEPS = 3  # of 36 images in batches of 16


@pytest.fixture
def package(tmp_path: Path) -> Iterator[AddedPackage]:
    for package in added_package(tmp_path, SCHEDULES):
        package.write(CODE.replace("WORSE", "return lr / 2").replace("FACTOR", "0.5 ** len(history)"))
        yield package


def rates_of(sweep) -> dict[str, list[float]]:
    """Return the rate at the last step of each epoch, by run."""
    rates: dict[str, list[float]] = {}
    for line in (Path(sweep.folder) / "journal.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "epoch":
            rates.setdefault(event["run"], []).append(event["lr"])
    return rates


@pytest.mark.parametrize("fused", [False, True])
def test_rates_are_those_of_the_function(package, fused):
    train = package.train_fused if fused else package.train
    schedules = [{"name": f"{package.file}:triangle", "low": 0.01}, "constant"]
    sweep = train("own", lr=0.1, epochs=4, schedule=schedules)
    last = [(STEPS * epoch - 1) / (STEPS * 4) for epoch in (1, 2, 3, 4)]
    expected = [0.01 + 0.09 * (share / 0.5 if share < 0.5 else (1 - share) / 0.5) for share in last]
    assert [pytest.approx(expected), [0.1] * 4] == list(rates_of(sweep).values())


def test_arguments_of_a_function_are_checked_without_running_it(package):
    schedule = f"{{name: '{package.file}:triangle', peek: 1}}"
    text = f"name: s\ndataset: shapes\nmodel: lenet\nparams: {{schedule: {schedule}}}\n"
    with pytest.raises(SpecError, match=r"params\.schedule\.peek: unknown key; did you mean 'peak'\?"):
        parse_sweep(text, "s.yaml")
    assert parse_sweep(text.replace("peek", "low"), "s.yaml").axes["schedule"][0].arguments == {"low": 1}


@pytest.mark.parametrize(
    ("worse", "message"),
    [
        ("return float('nan')", "added.py:10: schedule added.py:late: returned nan for step 1 of 2, 2 epochs, lr 0.1"),
        ("return -lr", "added.py:10: schedule added.py:late: returned -0.1 for step 1 of 2"),
        ("return None", "added.py:10: schedule added.py:late: returned None for step 1 of 2"),
        ("return '0.1'", "added.py:10: schedule added.py:late: returned '0.1' for step 1 of 2"),
        ("return 1 / 0", "added.py:13: schedule added.py:late: raised ZeroDivisionError: division by zero"),
    ],
)
def test_a_function_that_returns_no_rate_is_refused_before_training(package, worse, message):
    package.file.write_text(CODE.replace("WORSE", worse))
    with pytest.raises(UsageError) as raised:
        package.train("wrong", lr=0.1, schedule=f"{package.file}:late")
    assert message in str(raised.value)
    assert not (package.folder / "wrong" / "journal.jsonl").exists()


def test_a_factor_that_is_no_number_is_refused_before_training(package):
    package.file.write_text(CODE.replace("FACTOR", "-1 if len(history) > 1 else 1"))
    with pytest.raises(UsageError, match=r"added\.py:15: schedule .*Jump: returned -1 for the metrics of 2 epochs"):
        package.train("wrong", schedule=f"{package.file}:Jump")


def test_a_search_that_may_choose_a_wrong_function_is_refused_before_it_begins(package):
    package.file.write_text(CODE.replace("WORSE", "return -lr"))
    with pytest.raises(UsageError, match=r"late: returned -0\.001"):
        package.train("wrong", schedule=["constant", f"{package.file}:late"], search={"method": "random", "runs": 1})


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "def short(step, lr): return lr",
            "added.py:1: schedule added.py:short: found short(step, lr), allowed is short(step, steps, epochs, lr,",
        ),
        ("def needs(step, steps, epochs, lr, power): return lr", "needs the argument 'power'"),
        ("short = 3", "allowed is a function, or a subclass of cnnsweep.schedules.base.Schedule"),
    ],
)
def test_a_function_of_another_form_is_refused(package, code, message):
    package.file.write_text(code)
    name = "needs" if "needs" in code else "short"
    with pytest.raises(UsageError, match=re.escape(message)):
        package.train("wrong", schedule=f"{package.file}:{name}")


# Schedules that depend on the epochs before.

PLATEAU = {"name": "plateau", "patience": 0, "threshold": 0.05, "factor": 0.5}


def test_plateau_has_the_rates_that_the_recorded_epochs_say(package):
    sweep = package.train("plateau", lr=[0.3, 0.01], epochs=8, schedule=PLATEAU)
    losses = sweep.epochs.groupby("run", sort=False)["val_loss"].apply(list)
    made = SCHEDULES.make(Choice("plateau", {key: value for key, value in PLATEAU.items() if key != "name"}))
    for lr, rates, of_run in zip([0.3, 0.01], rates_of(sweep).values(), losses, strict=True):
        history = [{"val_loss": loss} for loss in of_run]
        assert rates == [pytest.approx(lr * made.lr_factor(history[:epoch])) for epoch in range(8)]
        assert rates[-1] < lr


@pytest.mark.parametrize("schedule", ["plateau", "own"])
def test_rates_by_history_go_on_after_a_break_as_without(package, schedule):
    params = {"lr": 0.3, "epochs": 6, "schedule": PLATEAU if schedule == "plateau" else f"{package.file}:Jump"}
    broken, whole = package.train_with_a_break("broken", **params), package.train("whole", **params)
    assert metrics(broken) == metrics(whole)
    assert rates_of(broken) == rates_of(whole)
    assert len(set(*rates_of(whole).values())) > 1


def test_fused_runs_have_each_their_own_plateau(package):
    params = {"lr": [0.3, 0.1, 0.01], "epochs": 8, "schedule": PLATEAU}
    alone, fused = package.train("alone", **params), package.train_fused("fused", **params)
    assert rates_of(alone) == rates_of(fused)
    assert len(set(map(tuple, rates_of(alone).values()))) == 3
    for mine, theirs in zip(metrics(fused), metrics(alone), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-9)


def test_fused_runs_with_plateaus_go_on_after_a_break_as_without(package):
    params = {"lr": [0.3, 0.1, 0.01], "epochs": 6, "schedule": [PLATEAU, "constant"]}
    broken, whole = package.train_fused_with_a_break("broken", **params), package.train_fused("whole", **params)
    assert rates_of(broken) == rates_of(whole)
    assert metrics(broken) == metrics(whole)


def test_runs_that_differ_in_epochs_share_a_training_with_a_plateau(package):
    text = "name: s\ndataset: shapes\nmodel: lenet\nparams: {epochs: [4, 6], schedule: NAME}\n"
    shared = [len(trajectories(expand_runs(parse_sweep(text.replace("NAME", name), "s")).runs)) for name in (
        "plateau", "restarts", "polynomial")]  # fmt: skip
    assert shared == [1, 1, 2]
    params = {"lr": 0.3, "schedule": PLATEAU}
    together = package.train_fused("together", epochs=[4, 6], **params)
    alone = [package.train(f"{epochs}", epochs=epochs, **params) for epochs in (4, 6)]
    assert list(rates_of(together).values()) == [rates for sweep in alone for rates in rates_of(sweep).values()]


def test_pruned_runs_with_a_plateau_go_on_from_a_rung_as_without(package):
    params = {"lr": [0.3, 0.1], "epochs": 6, "schedule": PLATEAU}
    pruned = package.train("pruned", early_stop={"method": "halving", "min_epochs": 3, "factor": 2}, **params)
    whole = package.train("whole", **params)
    for run, rates in rates_of(pruned).items():
        assert rates == rates_of(whole)[run][: len(rates)]
    assert max(map(len, rates_of(pruned).values())) == 6
