"""Every metric equals scikit-learn's and torchmetrics', on random and degenerate inputs, for one run and several."""

# ruff: noqa: ARG005  # all references take labels, predictions and probabilities

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
import torchmetrics.functional.classification as tm
from torch import Tensor

from cnnsweep.datasets.label_counts import count_labels
from cnnsweep.metrics.base import column_of
from cnnsweep.training.metric_sums import MetricSums, Predictions
from cnnsweep.types import Choice, LabelCounts

RUNS = 3
AVERAGES = ("macro", "weighted", "micro")


def single(name: str) -> tuple[Tensor, Tensor]:
    """Return logits (K, N, classes) and labels (N,) of a case."""
    random = torch.Generator().manual_seed(1)
    classes = 2 if name == "two classes" else 5
    images = 1 if name == "one image" else 203
    logits = torch.randn(RUNS, images, classes, generator=random)
    labels = torch.randint(0, classes, (images,), generator=random)
    if name == "one class in the targets":
        labels = torch.full_like(labels, 2)
    elif name == "a class without targets":
        labels[labels == 3] = 1
    elif name == "a class never predicted":
        logits[..., 1] -= 50
    elif name == "only one class predicted":
        logits[..., 4] += 50
    elif name == "ties":
        logits = (logits * 2).round() / 2
    elif name == "constant scores":
        logits = torch.zeros_like(logits)
    elif name == "saturated":
        logits = (logits * 12).round() * 2
    elif name == "bf16":
        logits = logits.bfloat16()
    elif name == "unequal classes":
        labels = (torch.rand(images, generator=random) ** 4 * classes).long()
        logits[:, torch.arange(images), labels] += 1
    elif name == "good":
        logits[:, torch.arange(images), labels] += 4
    return logits, labels


SINGLE = (
    *("random", "good", "unequal classes", "two classes", "one class in the targets", "a class without targets"),
    *("a class never predicted", "only one class predicted", "ties", "constant scores", "saturated", "bf16"),
    "one image",
)


def several(name: str) -> tuple[Tensor, Tensor]:
    """Return logits (K, N, classes) and labels (N, classes) of 0 and 1."""
    random = torch.Generator().manual_seed(2)
    images = 1 if name == "one image" else 151
    logits = torch.randn(RUNS, images, 4, generator=random)
    labels = (torch.rand(images, 4, generator=random) < torch.tensor([0.1, 0.3, 0.5, 0.9])).to(torch.uint8)
    if name == "a label on no image":
        labels[:, 1] = 0
    elif name == "a label on all images":
        labels[:, 1] = 1
    elif name == "a label never predicted":
        logits[..., 2] = -3
    elif name == "neither":
        labels[:, 2], logits[..., 2] = 0, -3
    elif name == "ties":
        logits = (logits * 2).round() / 2
    elif name == "constant scores":
        logits = torch.zeros_like(logits)
    elif name == "saturated":
        logits = (logits * 12).round() * 2
    elif name == "bf16":
        logits = logits.bfloat16()
    return logits, labels


SEVERAL = (
    *("random", "a label on no image", "a label on all images", "a label never predicted", "neither", "ties"),
    *("constant scores", "saturated", "bf16", "one image"),
)


def measured(choice: Choice, logits: Tensor, labels: Tensor, batch: int = 64) -> list[float | None]:
    """Return a metric of each run, over batches."""
    classes = logits.shape[-1]
    # Counts with which every metric can be computed, so that degenerate values are seen too.
    counts = LabelCounts(tuple("abcdefg"[:classes]), (1,) * classes, classes, is_multi_label=labels.ndim > 1)
    sums = MetricSums([choice], counts)
    for part, of_part in zip(logits.split(batch, 1), labels.split(batch), strict=True):
        sums.add(Predictions(part, of_part.expand(len(logits), *of_part.shape)))
    return [values[column_of(choice)] for values in sums.values([0.0] * len(logits), len(labels))]


def hits(logits: Tensor, labels: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, predictions and probabilities of one run, as scikit-learn takes them."""
    wide = logits.double()
    likely = wide.sigmoid() if labels.ndim > 1 else wide.softmax(-1)
    found = (logits > 0).long() if labels.ndim > 1 else logits.argmax(-1)
    return labels.numpy(), found.numpy(), likely.numpy()


Reference = Callable[[Any, Any, Any], float]


def averaged(kind: str, average: str) -> Reference:
    score = getattr(sk, f"{kind}_score")
    return lambda y, p, s: score(y, p, average=average, zero_division=0)


def of_class(kind: str, label: int) -> Reference:
    def value(y: Any, p: Any, s: Any) -> float:
        occurs = y[:, label].any() if y.ndim > 1 else (y == label).any()
        scores = getattr(sk, f"{kind}_score")(y, p, average=None, labels=[*range(s.shape[1])], zero_division=0)
        return float(scores[label]) if occurs else math.nan

    return value


def one_hot(y: Any, classes: int) -> Any:
    return y if y.ndim > 1 else np.eye(classes, dtype=int)[y]


def mean_where_defined(score: Callable[..., float], both: bool) -> Reference:
    """Return the mean over the classes that have images, and without `both` also over those that have all."""

    def value(y: Any, p: Any, s: Any) -> float:
        truth = one_hot(y, s.shape[1])
        shares = truth.mean(0)
        kept = [c for c in range(s.shape[1]) if shares[c] > 0 and not (both and shares[c] == 1)]
        return float(np.mean([score(truth[:, c], s[:, c]) for c in kept])) if kept else math.nan

    return value


def nll(y: Any, p: Any, s: Any) -> float:
    if y.ndim > 1:
        return float(np.mean([sk.log_loss(y[:, c], s[:, c], labels=[0, 1]) for c in range(y.shape[1])]))
    return float(sk.log_loss(y, s, labels=[*range(s.shape[1])]))


def brier(y: Any, p: Any, s: Any) -> float:
    if y.ndim > 1:
        return float(np.mean([sk.brier_score_loss(y[:, c], s[:, c], labels=[0, 1]) for c in range(y.shape[1])]))
    return float(sk.brier_score_loss(y, s, labels=[*range(s.shape[1])], scale_by_half=False))


BOTH: dict[Choice, Reference] = {  # with one label an image and with several
    **{
        Choice(f"{average}_{kind}"): averaged(kind, average)
        for kind in ("f1", "precision", "recall")
        for average in AVERAGES
    },
    **{Choice(kind, {"of_class": "c"}): of_class(kind, 2) for kind in ("f1", "precision", "recall")},
    Choice("auroc"): mean_where_defined(sk.roc_auc_score, both=True),
    Choice("average_precision"): mean_where_defined(sk.average_precision_score, both=False),
    Choice("nll"): nll,
    Choice("brier"): brier,
}
ONLY_SINGLE: dict[Choice, Reference] = {
    Choice("balanced_accuracy"): lambda y, p, s: sk.balanced_accuracy_score(y, p),
    Choice("kappa"): lambda y, p, s: sk.cohen_kappa_score(y, p, labels=[*range(s.shape[1])]),
    Choice("mcc"): lambda y, p, s: sk.matthews_corrcoef(y, p),
    # scikit-learn takes the last of equal scores as more likely, so with the classes in reverse it is the first.
    **{
        Choice("top_k", {"k": k}): lambda y, p, s, k=k: sk.top_k_accuracy_score(
            s.shape[1] - 1 - y, s[:, ::-1], k=k, labels=[*range(s.shape[1])]
        )
        for k in (1, 2, 3)
    },
}


def identify(choice: Any) -> str:
    return f"{choice.name}{''.join(map(str, choice.arguments.values()))}" if isinstance(choice, Choice) else str(choice)


def exists(choice: Choice, logits: Tensor) -> bool:
    return choice.arguments.get("of_class") != "c" or logits.shape[-1] > 2


def quietly(reference: Reference, *args: Any) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes without images, which are meant here
        return float(reference(*args))


def expect(found: list[float | None], wanted: list[float]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        if not math.isfinite(other):
            assert one is None
        else:
            assert one == pytest.approx(other, rel=1e-6, abs=1e-6)


def clipped(choice: Choice, case: str) -> bool:
    is_saturated = case in ("saturated", "a class never predicted", "only one class predicted")
    return choice.name == "nll" and is_saturated  # scikit-learn cuts probabilities of 0


@pytest.mark.parametrize("case", SINGLE)
@pytest.mark.parametrize("choice", [*BOTH, *ONLY_SINGLE], ids=identify)
def test_a_metric_equals_scikit_learn(choice: Choice, case: str) -> None:
    logits, labels = single(case)
    if not exists(choice, logits) or clipped(choice, case) or choice.arguments.get("k", 0) >= logits.shape[-1]:
        return
    reference = {**BOTH, **ONLY_SINGLE}[choice]
    if choice.name == "top_k" and case == "two classes":
        return  # scikit-learn wants the scores of one class then
    expect(measured(choice, logits, labels), [quietly(reference, *hits(run, labels)) for run in logits])


@pytest.mark.parametrize("case", SEVERAL)
@pytest.mark.parametrize("choice", BOTH, ids=identify)
def test_with_several_labels_too(choice: Choice, case: str) -> None:
    logits, labels = several(case)
    if not clipped(choice, case):
        expect(measured(choice, logits, labels), [quietly(BOTH[choice], *hits(run, labels)) for run in logits])


def torchmetrics_of(choice: Choice, classes: int) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Return torchmetrics' function of probabilities and labels."""
    average, _, kind = choice.name.partition("_")
    if average in AVERAGES:
        function = getattr(tm, f"multiclass_{'f1_score' if kind == 'f1' else kind}")
        return lambda s, y: function(s.argmax(-1), y, num_classes=classes, average=average)
    if choice.name in ("f1", "precision", "recall"):
        function = getattr(tm, f"multiclass_{'f1_score' if choice.name == 'f1' else choice.name}")
        return lambda s, y: function(s.argmax(-1), y, num_classes=classes, average=None)[2]
    return {
        "balanced_accuracy": lambda s, y: tm.multiclass_accuracy(s, y, num_classes=classes, average="macro"),
        "kappa": lambda s, y: tm.multiclass_cohen_kappa(s, y, num_classes=classes),
        "mcc": lambda s, y: tm.multiclass_matthews_corrcoef(s, y, num_classes=classes),
        "top_k": lambda s, y: tm.multiclass_accuracy(s, y, classes, average="micro", top_k=choice.arguments["k"]),
        "auroc": lambda s, y: tm.multiclass_auroc(s, y, num_classes=classes),
        "average_precision": lambda s, y: tm.multiclass_average_precision(s, y, num_classes=classes),
        "ece": lambda s, y: tm.multiclass_calibration_error(s, y, num_classes=classes, n_bins=15, norm="l1"),
    }.get(choice.name)


# Cases in which torchmetrics differs; ours is scikit-learn's there, as the docstrings say.
DIFFERS = {
    "balanced_accuracy": {"a class without targets", "one class in the targets", "one image"},
    "mcc": {"one class in the targets", "one image"},
    "top_k": {"constant scores", "ties", "bf16", "saturated"},  # any of equal scores is taken there
    "f1": {"one class in the targets", "one image"},
    # A class without images, or with all, is 0 there; here it is left out.
    "auroc": {"one class in the targets", "a class without targets", "one image"},
    "precision": {"one image"},
    "recall": {"one image"},
}


@pytest.mark.parametrize("case", SINGLE)
@pytest.mark.parametrize("choice", [*BOTH, *ONLY_SINGLE, Choice("ece")], ids=identify)
def test_a_metric_equals_torchmetrics(choice: Choice, case: str) -> None:
    logits, labels = single(case)
    reference = torchmetrics_of(choice, logits.shape[-1])
    too_large = choice.arguments.get("k", 0) >= logits.shape[-1]
    if reference is None or case in DIFFERS.get(choice.name, ()) or too_large or not exists(choice, logits):
        return
    likely = logits.double().softmax(-1)
    expect(measured(choice, logits, labels), [quietly(reference, run, labels) for run in likely])


@pytest.mark.parametrize("case", SEVERAL)
@pytest.mark.parametrize("name", ["auroc", "average_precision", "macro_f1", "weighted_recall", "micro_precision"])
def test_with_several_labels_too_against_torchmetrics(name: str, case: str) -> None:
    logits, labels = several(case)
    average, _, kind = name.partition("_")
    functions = {"f1": tm.multilabel_f1_score, "recall": tm.multilabel_recall, "precision": tm.multilabel_precision}
    if average in AVERAGES:
        reference = lambda s, y: functions[kind](s, y, num_labels=4, average=average)  # noqa: E731
    else:
        function = tm.multilabel_auroc if name == "auroc" else tm.multilabel_average_precision
        reference = lambda s, y: function(s, y.int(), num_labels=4)  # noqa: E731
    is_absent = case in ("one image", "a label on no image", "neither")
    if (is_absent and average == "average") or (name == "auroc" and (is_absent or case == "a label on all images")):
        return  # 0 there; here the label is left out
    likely = logits.double().sigmoid()
    expect(measured(Choice(name), logits, labels), [quietly(reference, run, labels) for run in likely])


ALL = [*((choice, True) for choice in (*BOTH, *ONLY_SINGLE, Choice("ece"))), *((choice, False) for choice in BOTH)]


@pytest.mark.parametrize(("choice", "is_single"), ALL, ids=identify)
def test_several_runs_at_once_equal_each_alone(choice: Choice, is_single: bool) -> None:
    logits, labels = single("random") if is_single else several("random")
    together = measured(choice, logits, labels)
    alone = [value for run in logits for value in measured(choice, run[None], labels)]
    assert together == pytest.approx(alone, rel=1e-12, abs=1e-12)
    by_image = measured(choice, logits, labels, batch=1)
    assert by_image == pytest.approx(together, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("choice", "is_single"), ALL, ids=identify)
def test_a_diverged_run_disturbs_no_other(choice: Choice, is_single: bool) -> None:
    logits, labels = single("random") if is_single else several("random")
    wanted = measured(choice, logits, labels)
    logits[1] = math.nan
    found = measured(choice, logits, labels)
    assert [found[0], found[2]] == [wanted[0], wanted[2]]
    if choice.name in ("auroc", "average_precision", "nll", "brier", "ece"):
        assert found[1] is None
    logits[1] = -math.inf
    assert [*measured(choice, logits, labels)][::2] == [wanted[0], wanted[2]]


def test_a_saturated_wrong_answer_costs_its_whole_distance() -> None:
    logits = torch.tensor([[[800.0, 0.0]]])
    assert measured(Choice("nll"), logits, torch.tensor([1])) == [800.0]


def test_accuracy_of_several_labels_wants_all_right() -> None:
    logits, labels = several("random")
    sums = MetricSums()
    sums.add(Predictions(logits, labels.expand(RUNS, *labels.shape)))
    found = [values["accuracy"] for values in sums.values([0.0] * RUNS, len(labels))]
    assert found == pytest.approx([sk.accuracy_score(labels.numpy(), (run > 0).numpy()) for run in logits], abs=1e-12)


def test_counts_of_labels_are_those_of_the_images() -> None:
    labels = torch.tensor([[1, 0, 1], [0, 0, 1]], dtype=torch.uint8)
    assert count_labels(labels, "abc").counts == (1, 0, 2)
