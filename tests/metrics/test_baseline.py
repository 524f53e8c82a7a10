"""Baselines: the values of a constant answer, for the metric that decides, in its direction."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from cnnsweep.datasets.label_counts import count_label_sets
from cnnsweep.errors import UsageError
from cnnsweep.losses.base import make_evaluation_loss
from cnnsweep.losses.baseline import loss_baseline
from cnnsweep.metrics.baseline import (
    Baseline,
    answer_words,
    deciding_baseline,
    measure_baselines,
    words_of_answer,
)
from cnnsweep.metrics.objective import Objective
from cnnsweep.types import CROSS_ENTROPY, Choice, LabelCounts, PartCounts

PETS = ("cat", "dog", "ship", "truck")
TRAINING, HELD_OUT = LabelCounts(PETS, (810, 270, 81, 27), 1188), LabelCounts(PETS, (90, 30, 9, 3), 132)
BY_ACCURACY, BY_LOSS = Objective("val_accuracy", "max"), Objective("val_loss", "min")
OLD = {"validation_images": 132, "largest_class": 90}


def facts(**changed):
    counts = {"training": [810, 270, 81, 27], "validation": [90, 30, 9, 3], "test": None}
    return {"classes": list(PETS), "counts": counts, "baselines": {"val_accuracy": 90 / 132}, **changed}


def test_accuracy_of_a_constant_answer_is_the_share_of_the_largest_class():
    assert measure_baselines((), PartCounts(TRAINING, HELD_OUT)) == {"val_accuracy": 90 / 132}
    assert measure_baselines((), PartCounts(TRAINING)) == {"accuracy": 810 / 1188}


def test_images_of_one_class_have_no_baseline():
    """Every answer to them is the constant one: none could be better."""
    only_cats = LabelCounts(PETS, (5, 0, 0, 0), 5)
    assert measure_baselines((), PartCounts(TRAINING, only_cats)) == {}


ROWS = torch.tensor([[1, 0, 0], [1, 0, 1], [0, 0, 0], [1, 0, 1], [0, 1, 0]], dtype=torch.uint8)


def several_labels():
    counts = count_label_sets(ROWS, PETS[:3])
    return PartCounts(counts, counts)


def test_accuracy_of_several_labels_is_the_share_of_the_most_frequent_set():
    assert measure_baselines((), several_labels()) == {"val_accuracy": 2 / 5}
    unknown = LabelCounts(PETS, (9, 2, 1, 0), 10, is_multi_label=True)
    assert measure_baselines((), PartCounts(unknown, unknown)) == {}


def test_averages_over_labels_have_the_baseline_of_giving_all_labels():
    names = ("macro_f1", "micro_f1", "weighted_precision", "macro_recall")
    found = measure_baselines(map(Choice, names), several_labels())
    macro = sum(2 * count / (5 + count) for count in (3, 1, 2)) / 3
    assert found == pytest.approx({
        "val_accuracy": 2 / 5,
        "val_macro_f1": macro,
        "val_micro_f1": 2 * 6 / (15 + 6),
        "val_weighted_precision": (3 * 3 / 5 + 1 / 5 + 2 * 2 / 5) / 6,
    })  # fmt: skip


def test_constant_answers_of_several_labels_are_named():
    several = {"labels": "several"}
    assert answer_words("val_accuracy", several) == "always giving the most frequent set of labels"
    assert answer_words("val_macro_f1", several) == "always giving all labels"
    assert answer_words("val_nll", several) == "always giving the label frequencies"
    assert words_of_answer(several_labels().measured) == "always giving 'cat' and 'ship'"
    nothing = count_label_sets(torch.zeros(2, 3, dtype=torch.uint8), PETS[:3])
    assert words_of_answer(nothing) == "always giving no label"


def test_an_own_metric_has_the_baseline_that_its_class_returns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from cnnsweep.metrics.base import Metric\n"
        "class Cats(Metric):\n"
        "    def baseline(self, measured):\n"
        "        return measured.counts[measured.position('cat')] / 1000\n"
        "class Broken(Metric):\n"
        "    def baseline(self, measured):\n"
        "        return 1 / 0\n"
    )
    parts = PartCounts(TRAINING, HELD_OUT)
    assert measure_baselines([Choice("mine.py:Cats")], parts)["val_Cats"] == 0.09
    with pytest.raises(UsageError, match=r"metric mine.py:Broken: baseline: ZeroDivisionError: division by zero"):
        measure_baselines([Choice("mine.py:Broken")], parts)


def test_loss_of_a_constant_answer_is_the_entropy_of_the_class_frequencies():
    shares = torch.tensor(HELD_OUT.counts, dtype=torch.float64) / 132
    labels = torch.repeat_interleave(torch.arange(4), torch.tensor(HELD_OUT.counts))
    expected = float(cross_entropy(shares.log().expand(132, -1), labels))
    assert loss_baseline(make_evaluation_loss(CROSS_ENTROPY), HELD_OUT) == pytest.approx(expected, rel=1e-12)
    assert measure_baselines([Choice("nll")], PartCounts(TRAINING, HELD_OUT))["val_nll"] == pytest.approx(expected)
    equal = LabelCounts(tuple("abcdefghij"), (7,) * 10, 70)
    assert loss_baseline(make_evaluation_loss(CROSS_ENTROPY), equal) == pytest.approx(math.log(10))
    half = LabelCounts(tuple("abc"), (5, 0, 5), 10)
    assert loss_baseline(make_evaluation_loss(CROSS_ENTROPY), half) == pytest.approx(math.log(2), abs=1e-9)


def test_every_metric_names_the_constant_answer_that_its_baseline_is_of():
    choices = [
        *(Choice(name) for name in ("balanced_accuracy", "mcc", "kappa", "nll", "brier", "auroc", "ece")),
        *(Choice("top_k", {"k": 2}), Choice("f1", {"of_class": "dog"}), Choice("recall", {"of_class": "dog"})),
    ]
    baselines = measure_baselines(choices, PartCounts(TRAINING, HELD_OUT))
    found = {
        name: deciding_baseline(Objective(name, "max"), facts(baselines=baselines)).words.removeprefix("always ")
        for name in baselines
    }
    assert found == {
        **dict.fromkeys(("val_accuracy", "val_balanced_accuracy", "val_mcc", "val_kappa"), "answering 'cat'"),
        **dict.fromkeys(("val_nll", "val_brier"), "giving the class frequencies"),
        "val_auroc": "giving equal scores",
        "val_top_2": "answering the 2 largest classes",
        "val_f1[dog]": "answering 'dog'",
    }
    assert baselines["val_balanced_accuracy"] == 0.25
    assert (baselines["val_mcc"], baselines["val_kappa"]) == (0, 0)


def test_metrics_that_cannot_be_computed_have_no_baseline():
    without_trucks = PartCounts(TRAINING, LabelCounts(PETS, (90, 30, 9, 0), 129))
    choices = [Choice("f1", {"of_class": "truck"}), Choice("f1", {"of_class": "lorry"}), Choice("top_k", {"k": 4})]
    assert list(measure_baselines(choices, without_trucks)) == ["val_accuracy"]


def test_largest_class_is_named_with_escapes_and_cut():
    assert deciding_baseline(BY_ACCURACY, facts()) == Baseline(
        "val_accuracy", 90 / 132, "max", "always answering 'cat'"
    )
    hostile = facts(classes=["\x1b[31mcat" + 50 * "x", *PETS[1:]])
    found = deciding_baseline(BY_ACCURACY, hostile)
    assert found is not None
    assert found.words == "always answering '\\x1b[31mcat" + 22 * "x" + "…'"


def test_equal_classes_and_several_labels_have_an_answer_of_their_own():
    equal = {"training": [5, 5, 5, 5], "validation": [1, 1, 1, 1], "test": None}
    words = [
        deciding_baseline(BY_ACCURACY, facts(**changed)).words
        for changed in ({"counts": equal}, {"labels": "several"}, {"classes": None, "counts": None})
    ]
    assert words == [
        "always answering one class",
        "always giving the most frequent set of labels",
        "always answering the largest class",
    ]


def test_files_of_earlier_versions_have_the_baseline_of_the_accuracy_alone():
    found = deciding_baseline(BY_ACCURACY, OLD)
    assert found == Baseline("val_accuracy", 90 / 132, "max", "always answering the largest class")
    assert deciding_baseline(BY_ACCURACY, {}) is None
    assert deciding_baseline(Objective("val_f1", "max"), OLD) is None


def test_accuracy_stands_in_for_a_loss_without_a_baseline():
    for metric in ("val_loss", "loss", "accuracy"):
        assert deciding_baseline(Objective(metric, "min"), OLD).metric == "val_accuracy"
    own = facts(baselines={"val_accuracy": 90 / 132, "val_loss": 0.8})
    assert deciding_baseline(BY_LOSS, own) == Baseline("val_loss", 0.8, "min", "always giving the class frequencies")


def test_better_is_by_the_direction_of_the_metric_and_not_by_rounding():
    highest, lowest = Baseline("val_accuracy", 0.1, "max", ""), Baseline("val_loss", 0.8, "min", "")
    assert [highest.is_beaten_by(value) for value in (0.1, 0.1 + 1e-16, 0.09, 0.1001, None)] == [
        *(False, False, False, True, True)
    ]
    assert [lowest.is_beaten_by(value) for value in (0.8, 0.8 - 1e-15, 0.9, 0.79)] == [False, False, False, True]
