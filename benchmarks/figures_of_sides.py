"""From what was measured to what is compared: pure functions over a work's result, as its JSON file holds it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from works import AUTOMATIC, REFERENCE, SIDES, VALIDATION

_FIGURES = ("accuracy", "val_accuracy")
_TOLERANCE, _OTHER_ORDER_TOLERANCE = 0.01, 0.03


@dataclass(frozen=True)
class Range:
    """Median, smallest and largest of the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Range:
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True)
class SideFigures:
    """A side's row of the table; times are for the whole work, also where fewer runs were measured.

    Attributes:
        seconds: since the imports.
        a_run_and_epoch: the same, divided.
        ratio: how many times as long as cnnsweep's automatic way took in the same round.
        start_up_s: imports, and what comes before the first run trains.
        share_of_rate: of the rate of a large matrix product.
        accuracies: mean over the measured runs, while training and on the images held out.
        disagrees: the mean accuracies are not those of the reference, so the row does not count.
    """

    seconds: Range
    a_run_and_epoch: Range
    ratio: Range | None
    start_up_s: float
    cpu_s: float
    peak_bytes: int
    share_of_rate: float
    accuracies: tuple[float, float]
    measured_runs: int
    rounds: int
    disagrees: bool


def compare_sides(result: dict[str, Any]) -> dict[str, SideFigures]:
    """Return the figures of every side that did the work, in the order in which it is listed."""
    names = list(dict.fromkeys(name for round_ in result["rounds"] for name in round_))
    found = {}
    for name in names:
        rounds = [(r[name], r.get(AUTOMATIC)) for r in result["rounds"] if name in r]
        seconds = [whole_seconds(mine, result) for mine, _ in rounds]
        ratios = [whole_seconds(mine, result) / whole_seconds(auto, result) for mine, auto in rounds if auto]
        run_epochs = result["runs"] * result["epochs"]
        rate = 1e9 * median(result["matrix_product_gflops"])
        first = rounds[0][0]
        found[name] = SideFigures(
            seconds=Range.of(seconds),
            a_run_and_epoch=Range.of([value / run_epochs for value in seconds]),
            ratio=Range.of(ratios) if ratios else None,
            start_up_s=median(_start_up(mine) for mine, _ in rounds),
            cpu_s=median(_whole_cpu(mine, result) for mine, _ in rounds),
            peak_bytes=max(mine["peak_bytes"] for mine, _ in rounds),
            share_of_rate=result["flop_a_run_and_epoch"] * run_epochs / median(seconds) / rate,
            accuracies=(mean(_column(first, "accuracy")), mean(_column(first, "val_accuracy"))),
            measured_runs=first["runs"],
            rounds=len(rounds),
            disagrees=False,
        )
    first = {name: one for round_ in reversed(result["rounds"]) for name, one in round_.items()}
    held_out = max(1, round(result["images"] * VALIDATION))
    disagreeing = find_disagreeing(first, held_out)  # of each side its first round, which holds accuracies
    return {name: SideFigures(**{**vars(figures), "disagrees": name in disagreeing}) for name, figures in found.items()}


def whole_seconds(measured: dict[str, Any], result: dict[str, Any]) -> float:
    """Return the seconds of the whole work, where some of its runs were measured one after the other."""
    factor = result["runs"] / measured["runs"]
    return measured["start_up"] + (measured["seconds"] - measured["start_up"]) * factor


def find_disagreeing(round_: dict[str, Any], held_out: int) -> set[str]:
    """Return the sides whose mean accuracies differ from the reference's by more than rounding and batches explain.

    Both are compared over the runs that both trained. A mean may differ by 0.01, that of a side which shuffles by
    itself by 0.03 (after a few epochs an order makes that much of a difference), and on the images held out also by
    half a standard error of a share of so many images.

    Args:
        held_out: how many images that is.
    """
    reference = REFERENCE if REFERENCE in round_ else AUTOMATIC
    if reference not in round_:
        return set()
    expected = {_key(row): row for row in _rows(round_[reference])}
    disagreeing = set()
    for name, measured in round_.items():
        shared = [(row, expected[_key(row)]) for row in _rows(measured) if _key(row) in expected]
        tolerance = _OTHER_ORDER_TOLERANCE if SIDES[name].draws_order else _TOLERANCE
        for figure, images in (("accuracy", math.inf), ("val_accuracy", held_out)):
            difference = mean(mine[figure] - theirs[figure] for mine, theirs in shared) if shared else math.nan
            if not abs(difference) <= tolerance + 0.25 / math.sqrt(images):  # so that NaN disagrees
                disagreeing.add(name)
    return disagreeing


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return which run a row is of; sides that train some of the runs leave axes out that have their usual value."""
    run = {"shuffle": True, "seed": 0, **row}
    return tuple(value for name, value in sorted(run.items()) if name not in ("loss", *_FIGURES))


def _column(measured: dict[str, Any], name: str) -> list[float]:
    return [row[name] for row in _rows(measured)]


def _rows(measured: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(measured["columns"], row, strict=True)) for row in measured["rows"]]


def _start_up(measured: dict[str, Any]) -> float:
    imports: float = measured["wall_s"] - measured["seconds"]
    return imports + measured["start_up"]


def _whole_cpu(measured: dict[str, Any], result: dict[str, Any]) -> float:
    """Return the CPU time of the whole work; imports and start-up count once, as if they used one core."""
    once = min(measured["cpu_s"], _start_up(measured))
    return once + (measured["cpu_s"] - once) * result["runs"] / measured["runs"]


def intensity_and_rate(step: dict[str, Any]) -> tuple[float, float]:
    """Return a training step's floating-point operations for each byte read or written, and its GFLOP/s."""
    flop = sum(step["arithmetic"].values())
    return flop / sum(step["moved"].values()), flop / step["seconds"] / 1e9
