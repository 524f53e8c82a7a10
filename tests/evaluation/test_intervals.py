"""Intervals of an evaluation: held to slow loops, and to the truth of simulated models."""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import coverage

from cnnsweep.datasets.label_counts import count_labels
from cnnsweep.evaluation import bootstrap
from cnnsweep.evaluation.bootstrap import confusion_interval, draw_confusions, scores_interval, sums_interval
from cnnsweep.evaluation.calibration_interval import calibration_interval
from cnnsweep.evaluation.label_metrics import LabelOutputs, label_metrics
from cnnsweep.evaluation.mistakes import ImageLosses, most_likely_other, with_mistakes
from cnnsweep.evaluation.rank_interval import auroc_interval, average_precision_interval, rank_interval
from cnnsweep.metrics.base import make_metric
from cnnsweep.types import Choice

SIZES = (60, 30, 12)
LIMITS = (0.0, math.inf)


def outputs(distance: float = 1.5, sizes: tuple[int, ...] = SIZES) -> tuple[torch.Tensor, torch.Tensor]:
    """Return probabilities (N, classes) and labels (N,)."""
    made = torch.Generator().manual_seed(5)
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    logits = torch.randn(len(labels), len(sizes), generator=made, dtype=torch.float64)
    logits[torch.arange(len(labels)), labels] += distance
    return logits.softmax(1), labels


def drawn_places(labels: list[int], chance: random.Random) -> list[int]:
    """Return places of images, drawn again one by one within their classes."""
    by_class = [[place for place, one in enumerate(labels) if one == label] for label in sorted(set(labels))]
    return [chance.choice(places) for places in by_class for _ in places]


def deviation(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def test_interval_of_scores_is_that_of_images_drawn_one_by_one(monkeypatch):
    monkeypatch.setattr(bootstrap, "FEW_RESAMPLES", 2000)  # so that chance does not decide
    likely, labels = outputs()
    metric, chance = make_metric(Choice("auroc")), random.Random(3)
    value = float(metric.of_scores(likely[None], labels[None]))
    slow = []
    for _ in range(400):
        places = drawn_places(labels.tolist(), chance)
        slow.append(float(metric.of_scores(likely[places][None], labels[places][None])))
    odds, half = math.log(value / (1 - value)), 1.959964 * deviation(slow) / (value * (1 - value))
    found = scores_interval(metric.of_scores, likely, labels, value, (0.0, 1.0))
    width = math.log(found[1] / (1 - found[1])) - math.log(found[0] / (1 - found[0]))
    assert width / 2 == pytest.approx(half, rel=0.1)
    assert sum(math.log(end / (1 - end)) for end in found) / 2 == pytest.approx(odds)


def test_interval_of_sums_is_that_of_images_drawn_one_by_one():
    likely, labels = outputs()
    losses, chance = -likely[torch.arange(len(labels)), labels].log(), random.Random(4)
    value = float(losses.mean())
    means = [float(losses[drawn_places(labels.tolist(), chance)].mean()) for _ in range(1000)]
    low, high = sums_interval(lambda sums, count: sums / count, losses, labels, value, LIMITS)
    assert math.log(high / low) / 2 == pytest.approx(1.959964 * deviation(means) / value, rel=0.15)
    assert math.sqrt(low * high) == pytest.approx(value)


def test_interval_of_a_confusion_matrix_is_that_of_its_rows_drawn_one_by_one():
    confusion = torch.tensor([[50, 8, 2], [5, 22, 3], [3, 2, 7]])
    metric, chance = make_metric(Choice("balanced_accuracy")), random.Random(7)
    value = float(metric.of_confusion(confusion[None].double()))
    # Recall of a class after one image more, which is right as often as the mean of the classes and one more half.
    typical = (0.5 + 3 * value) / 4
    means = []
    for _ in range(20_000):
        recalls = []
        for true, row in enumerate(confusion.tolist()):
            right = chance.gammavariate(row[true] + typical, 1.0)
            recalls.append(right / (right + chance.gammavariate(sum(row) - row[true] + 1 - typical, 1.0)))
        means.append(sum(recalls) / 3)
    means.sort()
    found = confusion_interval(metric, value, draw_confusions(confusion))
    assert found == pytest.approx((means[500], means[-501]), abs=0.008)


@pytest.mark.parametrize(("interval", "count"), [("scores", 200), ("sums", 200), ("confusion", 2000)])
def test_number_of_resamples_does_not_grow_with_the_images(interval, count):
    likely, labels = outputs(sizes=(600, 300, 120))
    asked: list[int] = []

    def of(first: torch.Tensor, *_: object) -> torch.Tensor:
        asked.append(len(first))
        return torch.rand(len(first), dtype=torch.float64)

    if interval == "scores":
        scores_interval(of, likely, labels, 0.5, (0.0, 1.0))
    elif interval == "sums":
        sums_interval(of, likely[:, 0], labels, 0.5, LIMITS)
    else:
        asked.append(len(draw_confusions(torch.eye(3) * 100)))
    assert sum(asked) == count


def test_resamples_keep_the_number_of_images_of_each_class_and_are_the_same_again():
    confusion = torch.tensor([[50, 8, 2], [5, 22, 3], [0, 0, 0]])
    drawn = draw_confusions(confusion, 20)
    assert torch.allclose(drawn.sum(2), confusion.sum(1).double().expand(20, 3))
    assert torch.equal(drawn, draw_confusions(confusion, 20))
    labels = torch.tensor([0] * 9 + [2] * 4)
    weights = torch.cat(list(bootstrap._weights(bootstrap._strata(labels), 13, bootstrap.np.random.default_rng(1))))
    assert (weights[:, :9].sum(1) == 9).all()
    assert (weights[:, 9:].sum(1) == 4).all()


def test_precision_of_a_class_that_is_never_answered_is_unknown():
    counts = coverage.LabelCounts(("a", "b"), (10, 5), 15)
    choices = [Choice(name, {"of_class": "b"}) for name in ("precision", "recall")]
    values = coverage._values(choices, counts, coverage.np.array([[10, 0], [5, 0]]))
    assert values["precision[b]"] == (0.0, None)
    assert values["recall[b]"] == (0.0, pytest.approx((0.0, 0.4345), abs=1e-3))


# Nearly perfect models, and small classes.


@pytest.mark.parametrize("positive", [1, 3, 9, 100, 5000])
def test_interval_of_a_perfect_order_has_a_width_that_falls_with_the_images(positive):
    low, high = auroc_interval(1.0, positive, 10 * positive)
    fewer, _ = auroc_interval(1.0, max(positive // 2, 1), 10 * positive)
    assert high == 1.0
    assert fewer <= low < 1
    assert 1 - low > 1 / (2 * positive + 2)  # about the resolution of the class
    below, above = average_precision_interval(1.0, positive, 10 * positive)
    assert above == 1.0
    assert 1 - below >= min(1 / positive, 0.7)  # not narrower than a share of as many images


def test_interval_of_an_area_agrees_with_the_error_of_hanley_and_mcneil():
    # Table II of their paper of 1982: 51 abnormal and 58 normal images, area 0.893, standard error 0.032.
    low, high = auroc_interval(0.893, 51, 58)
    assert (high - low) / 2 == pytest.approx(1.96 * 0.032, rel=0.1)
    assert low < 0.893 < high
    assert auroc_interval(0.0, 20, 20)[0] == 0.0


def test_mean_over_the_classes_leaves_out_those_without_images():
    likely, labels = outputs(sizes=(60, 30, 0))
    metric = make_metric(Choice("average_precision"))
    values = [float(one) for one in metric.of_classes(_scores(likely, labels))[0]]
    ends = [average_precision_interval(value, count, 0) for value, count in zip(values[:2], (60, 30), strict=True)]
    below = math.hypot(*(value - low for value, (low, _) in zip(values, ends, strict=False))) / 2
    found = rank_interval(metric, likely, labels)
    assert math.isnan(values[2])
    assert found[0] == pytest.approx(sum(values[:2]) / 2 - below)
    assert rank_interval(make_metric(Choice("kappa")), likely, labels) is None


def _scores(likely: torch.Tensor, labels: torch.Tensor):
    from cnnsweep.metrics.scores import Scores

    return Scores(likely[None], labels[None])


def test_mistake_that_did_not_happen_widens_the_interval():
    logits = torch.tensor([[4.0, 1.0, 0.0], [0.0, 1.0, 5.0], [3.0, 2.5, 0.0]], dtype=torch.float64)
    labels = torch.tensor([0, 2, 0])
    assert most_likely_other(logits, labels).tolist() == [1, 1, 1]
    losses = ImageLosses(torch.tensor([0.1, 0.1, 0.1]), torch.tensor([3.0, 5.0, 0.9]), torch.zeros(3, dtype=torch.bool))
    low, high = with_mistakes((0.09, 0.11), 0.1, losses, LIMITS)
    assert low == 0.09
    assert high == pytest.approx(0.1 + 0.5615 * 0.9, abs=1e-3)  # Wilson's of 0 of 3 images
    assert with_mistakes(None, 0.1, losses, (0.0, 0.4)) == (pytest.approx(0.1), 0.4)
    losses.is_wrong[0] = True
    assert with_mistakes((0.09, 0.11), 0.1, losses, LIMITS)[0] < 0.09


def test_calibration_error_of_a_calibrated_model_reaches_0_and_is_not_below():
    images, sure = torch.tensor([0.0, 50.0, 50.0]).numpy(), torch.tensor([0.0, 30.0, 45.0]).numpy()
    low, high = calibration_interval(images, sure, torch.tensor([0.0, 33.0, 42.0]).numpy())
    assert low == 0.0
    assert 0.06 < high < 0.2
    low, _ = calibration_interval(images, sure, torch.tensor([0.0, 3.0, 4.0]).numpy())
    assert low > 0.5  # surely not calibrated
    _, high = calibration_interval(images[1:2], torch.tensor([49.99]).numpy(), torch.tensor([50.0]).numpy())
    assert high == pytest.approx(0.0711, abs=2e-3)  # all right: up to 7 % of 50 images may still be wrong


@pytest.mark.parametrize(("sizes", "distance"), [((90, 30, 9), 5.0), ((90, 30, 9), 3.0)])
def test_intervals_contain_the_truth(monkeypatch, sizes, distance):
    """Nearly perfect and good: of 60 validations, less than 52 in the interval happen once in 70 times."""
    monkeypatch.setattr(coverage, "_TRUTH_IMAGES", 60_000)
    monkeypatch.setattr(bootstrap, "FEW_RESAMPLES", 60)
    found = coverage.score_coverage(sizes, distance, 60, seed=1)
    for name, one in found.items():
        assert (one.missing, one.total) == (0, 60), name
        assert one.held >= 52, name


def test_of_thousands_of_labels_scores_are_not_resampled_for_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = torch.zeros(40, 3, dtype=torch.uint8)
    labels[::4] = 1
    scores = torch.linspace(0.1, 0.9, 40)[:, None].expand(40, 3)
    outputs, counts = LabelOutputs(scores.logit(), scores, labels), count_labels(labels, ("a", "b", "c"))
    assert label_metrics([], outputs, [0.5] * 3, counts).values["average_precision"].interval is not None
    monkeypatch.setattr("cnnsweep.evaluation.label_metrics._MOST_SORTS", 2)
    assert label_metrics([], outputs, [0.5] * 3, counts).values["average_precision"].interval is None
