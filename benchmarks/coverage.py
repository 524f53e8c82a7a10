"""Coverage of the 95 % intervals of `cnnsweep evaluate`: how often they contain the truth.

A model is given by the probability of each answer for each class (metrics of the confusion matrix), or by the
distribution of its scores (others). Its true metrics are those of the expected confusion matrix, or of a sample of half
a million images. Then validations of some hundred images are drawn, each is evaluated as `evaluate` does, and the
intervals that contain the truth are counted.

    python benchmarks/coverage.py                    # 1,000 validations each: an hour or two
    python benchmarks/coverage.py --validations 200
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cnnsweep.analysis.confusion import Counts
from cnnsweep.evaluation.metric_values import MetricValues, Outputs
from cnnsweep.metrics.base import column_of
from cnnsweep.types import Choice, LabelCounts

OF_CONFUSION = ("balanced_accuracy", "macro_f1", "weighted_f1", "macro_precision", "kappa", "mcc")
OF_CLASS = ("recall", "precision", "f1")  # of the last class, the smallest
OF_SCORES = ("auroc", "average_precision", "nll", "brier", "ece", "top_2")
_TRUTH_IMAGES = 500_000

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Model:
    """A model to evaluate, on validations with these numbers of images of each class.

    Attributes:
        recall: the probability that an image of each class is recognised.
        never: the last class is never answered.
    """

    name: str
    sizes: tuple[int, ...]
    recall: tuple[float, ...]
    never: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(f"c{number}" for number in range(len(self.sizes)))

    @property
    def answers(self) -> Matrix:
        """The probability of each answer (columns) for an image of each class (rows)."""
        random, count = np.random.default_rng(1), len(self.sizes)
        # Mistakes go to large classes more often, as those of trained models do.
        weights = np.sqrt(self.sizes) * random.uniform(0.3, 1.7, (count, count))
        weights[:, -1] *= 0.0 if self.never else 1.0
        np.fill_diagonal(weights, 0.0)
        shares = weights / weights.sum(1, keepdims=True) * (1 - np.array(self.recall))[:, None]
        return np.asarray(shares + np.diag(self.recall), dtype=np.float64)


SMALL = (900, 300, 90, 30)
MODELS = (
    Model("10 classes of 100, good", (100,) * 10, (0.9,) * 10),
    Model("10 classes of 100, poor", (100,) * 10, (0.6,) * 10),
    Model("10 classes of 100, nearly perfect", (100,) * 10, (0.99,) * 10),
    Model("900/300/90/30, good", SMALL, (0.95, 0.9, 0.8, 0.7)),
    Model("900/300/90/30, poor", SMALL, (0.97, 0.6, 0.3, 0.1)),
    Model("900/300/90/30, last never answered", SMALL, (0.98, 0.7, 0.5, 0.0), never=True),
    Model("90/30/9, good", (90, 30, 9), (0.95, 0.85, 0.7)),
    Model("300/90/9, nearly perfect", (300, 90, 9), (0.99, 0.98, 0.97)),
    Model("100 classes of 20, good", (20,) * 100, (0.9,) * 100),
)
# Classes, and the distance of a class's scores from those of others, in deviations.
SCORES = tuple(
    (f"{name}, {quality}", sizes, distance)
    for name, sizes in (
        ("10 classes of 30", (30,) * 10),
        ("300/100/30/10", (300, 100, 30, 10)),
        ("90/30/9", (90, 30, 9)),
    )
    for quality, distance in (("poor", 1.5), ("good", 3.0), ("nearly perfect", 5.0))
)


@dataclass(slots=True)
class Coverage:
    """Counts of the intervals of one metric: those that contain the truth, all, and missing ones."""

    held: int = 0
    total: int = 0
    missing: int = 0
    width: float = 0.0

    def add(self, interval: tuple[float, float] | None, truth: float) -> None:
        """Count one interval."""
        if interval is None:
            self.missing += 1
            return
        low, high = interval
        self.held += low - 1e-9 <= truth <= high + 1e-9
        self.total += 1
        self.width += high - low

    @property
    def text(self) -> str:
        """`94.6 (0.075)`, percent and mean width; with the number of missing intervals."""
        if not self.total:
            return "–"
        missing = f" -{self.missing}" if self.missing else ""
        return f"{100 * self.held / self.total:.1f} ({self.width / self.total:.3f}){missing}"


def confusion_coverage(model: Model, validations: int, seed: int = 0) -> dict[str, Coverage]:
    """Return the coverage of metrics of the confusion matrix."""
    random, answers = np.random.default_rng(seed), model.answers
    choices = [Choice(name) for name in OF_CONFUSION]
    choices += [Choice(name, {"of_class": model.classes[-1]}) for name in OF_CLASS]
    counts = LabelCounts(model.classes, model.sizes, sum(model.sizes))
    # Scaled, so that the expected confusion matrix has whole counts.
    truth = _values(choices, counts, np.round(1e9 * np.array(model.sizes)[:, None] * answers), has_interval=False)
    found = {column_of(choice): Coverage() for choice in choices}
    for _ in range(validations):
        drawn = np.stack([random.multinomial(size, row) for size, row in zip(model.sizes, answers, strict=True)])
        values = _values(choices, counts, drawn)
        for name, coverage in found.items():
            coverage.add(values[name][1], truth[name][0])
    return found


def _values(
    choices: Sequence[Choice], counts: LabelCounts, confusion: npt.NDArray[np.generic], *, has_interval: bool = True
) -> dict[str, tuple[float, tuple[float, float] | None]]:
    matrix = tuple(tuple(int(number) for number in row) for row in confusion)
    outputs = Outputs(None, torch.zeros(0, dtype=torch.int64), Counts("val", counts.classes, matrix))
    values = MetricValues(choices, counts).values(outputs, has_intervals=has_interval)
    return {name: (one.value, one.interval) for name, one in values.items()}


def score_coverage(sizes: tuple[int, ...], distance: float, validations: int, seed: int = 0) -> dict[str, Coverage]:
    """Return the coverage of metrics of the scores."""
    random = np.random.default_rng(seed)
    names = tuple(f"c{number}" for number in range(len(sizes)))
    choices = [Choice("top_k", {"k": 2}) if name == "top_2" else Choice(name) for name in OF_SCORES]

    def measured(
        sample: tuple[int, ...], *, has_intervals: bool
    ) -> dict[str, tuple[float, tuple[float, float] | None]]:
        logits, labels = _draw(sample, sizes, distance, random)
        metrics = MetricValues(choices, LabelCounts(names, sample, sum(sample)))
        metrics.add(logits, labels)
        pairs = torch.bincount(labels * len(names) + logits.argmax(1), minlength=len(names) ** 2)
        matrix = tuple(map(tuple, pairs.view(len(names), len(names)).tolist()))
        values = metrics.values(Outputs(logits, labels, Counts("val", names, matrix)), has_intervals=has_intervals)
        return {name: (one.value, one.interval) for name, one in values.items()}

    times = _TRUTH_IMAGES // sum(sizes)
    truth = measured(tuple(size * times for size in sizes), has_intervals=False)
    found = {column_of(choice): Coverage() for choice in choices}
    for _ in range(validations):
        values = measured(sizes, has_intervals=True)
        for name, coverage in found.items():
            coverage.add(values[name][1] if name in values else None, truth[name][0])
    return found


def _draw(
    sample: tuple[int, ...], sizes: tuple[int, ...], distance: float, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return logits and labels of a model that is a little too sure, as trained ones are."""
    labels = np.repeat(np.arange(len(sample)), sample)
    scores = random.normal(size=(len(labels), len(sample)))
    scores[np.arange(len(labels)), labels] += distance
    logits = 1.3 * (scores * distance + np.log(np.array(sizes) / sum(sizes)))
    return torch.from_numpy(logits), torch.from_numpy(labels)


def tables(validations: int) -> Iterator[str]:
    """Yield the lines of the two tables."""
    yield from _table(
        [(model.name, lambda model=model: confusion_coverage(model, validations)) for model in MODELS],
        [*OF_CONFUSION, *(f"{name} of last" for name in OF_CLASS)],
    )
    yield ""
    yield from _table(
        [
            (name, lambda sizes=sizes, distance=distance: score_coverage(sizes, distance, validations))
            for name, sizes, distance in SCORES
        ],
        list(OF_SCORES),
    )


def _table(rows: Sequence[tuple[str, Callable[[], dict[str, Coverage]]]], headings: Sequence[str]) -> Iterator[str]:
    yield f"| validations | {' | '.join(headings)} |"
    yield "| --- " * (len(headings) + 1) + "|"
    for name, count in rows:
        yield f"| {name} | {' | '.join(one.text for one in count().values())} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--validations", type=int, default=1000)
    options = parser.parse_args()
    start = time.monotonic()
    print(f"Coverage in % (mean width of the intervals) over {options.validations:,} validations\n")
    for line in tables(options.validations):
        print(line, flush=True)
    print(f"\n{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
