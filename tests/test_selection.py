"""Which epoch stands for a run, and which figure is better: with figures missing, infinite and NaN."""

from __future__ import annotations

import dataclasses
import math

import pytest

from cnnsweep.metrics.objective import BEST, LAST, Objective, default_mode, mean_of_last
from cnnsweep.types import EpochRecord

NAN, INF = math.nan, math.inf


def records(*figures, metric="val_accuracy", diverged=False):
    """Return one record an epoch; of the last one the run has diverged, if asked for."""
    made = []
    for epoch, figure in enumerate(figures, start=1):
        values = {"loss": epoch / 10, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5, metric: figure}
        divergence = "the loss became nan in batch 1" if diverged and epoch == len(figures) else None
        made.append(EpochRecord("r", epoch, values, 1.0, epoch, 0.1, 1, divergence))
    return made


def selected(scope, *figures, metric="val_accuracy", mode="max", **options):
    found = Objective(metric, mode, scope).selected(records(*figures, metric=metric, **options))
    return None if found is None else (found.epoch, found[metric])


@pytest.mark.parametrize(
    ("scope", "figures", "expected"),
    [
        (BEST, (0.1, 0.4, 0.4, 0.3), (2, 0.4)),  # the earlier of equal ones
        (BEST, (NAN, 0.2, None, 0.1), (2, 0.2)),
        (BEST, (INF, 0.2), (2, 0.2)),
        (BEST, (NAN, None), None),
        (BEST, (), None),
        (LAST, (0.4, 0.1), (2, 0.1)),
        (LAST, (0.4, 0.3, NAN), (2, 0.3)),  # the last sound one
        (LAST, (None,), None),
        (LAST, (), None),
        ("mean of last 2", (0.9, 0.5, 0.1), (3, pytest.approx(0.3))),
        ("mean of last 2", (0.9, NAN, 0.1), (3, pytest.approx(0.5))),  # of those that are finite
        ("mean of last 5", (0.9, 0.1), (2, pytest.approx(0.5))),  # fewer than it asks for
        ("mean of last 2", (0.9,), (1, 0.9)),
        ("mean of last 2", (NAN,), None),
        ("mean of last 2", (), None),
    ],
)
def test_what_stands_for_a_run(scope, figures, expected):
    assert selected(scope, *figures) == expected


@pytest.mark.parametrize(
    ("scope", "expected"), [(BEST, (1, 0.2)), (LAST, (2, 0.6)), ("mean of last 2", (2, pytest.approx(0.4)))]
)
def test_an_epoch_in_which_a_run_diverged_never_stands_for_it(scope, expected):
    assert selected(scope, 0.2, 0.6, 0.9, diverged=True) == ((2, 0.6) if scope == BEST else expected)
    assert selected(scope, 0.9, diverged=True) is None


@pytest.mark.parametrize(
    ("scope", "expected"), [(BEST, (3, 0.3)), (LAST, (4, 0.6)), ("mean of last 2", (4, pytest.approx(0.45)))]
)
def test_less_may_be_better(scope, expected):
    assert selected(scope, 0.9, NAN, 0.3, 0.6, metric="val_loss", mode="min") == expected


def test_a_mean_is_that_of_every_figure_and_the_rest_is_the_last_record():
    found = Objective("val_accuracy", "max", "mean of last 2").selected(records(0.1, 0.2, 0.6))
    assert (found["loss"], found["val_accuracy"], found.run_duration) == (pytest.approx(0.25), pytest.approx(0.4), 3)


def test_a_figure_that_was_not_measured_has_no_mean():
    made = records(0.1, 0.2, metric="accuracy")
    made = [dataclasses.replace(record, metrics={**record.metrics, "val_loss": None}) for record in made]
    found = Objective("accuracy", "max", "mean of last 2").selected(made)
    assert (found["val_loss"], found["accuracy"]) == (None, pytest.approx(0.15))


@pytest.mark.parametrize(("mode", "order"), [("max", [3, 0, 4, 1, 2, 5]), ("min", [0, 4, 3, 1, 2, 5])])
def test_missing_figures_rank_last_and_equal_ones_keep_their_order(mode, order):
    assert Objective("val_loss", mode).rank([0.1, None, NAN, 0.5, 0.1, INF]) == order


@pytest.mark.parametrize("bad", [None, NAN, INF, -INF])
@pytest.mark.parametrize("mode", ["max", "min"])
def test_what_is_not_finite_never_wins(mode, bad):
    objective = Objective("loss", mode)
    assert not objective.is_better(bad, 0.5)
    assert not objective.is_better(bad, None)
    assert objective.is_better(0.5, bad)
    assert not objective.is_better(0.5, 0.5)


def test_names():
    assert [default_mode(metric) for metric in ("val_accuracy", "val_loss")] == ["max", "min"]
    assert [mean_of_last(1), mean_of_last(3)] == [LAST, "mean of last 3"]
    assert [Objective("loss", "min", scope).window for scope in (BEST, LAST, "mean of last 3")] == [1, 1, 3]
