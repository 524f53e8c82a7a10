"""Images by class before training: a table, a line, and what accuracy hides."""

from __future__ import annotations

from cnnsweep.formatting.class_counts import class_lines, constant_answer_words, hidden_classes_words
from cnnsweep.types import LabelCounts, PartCounts


def counted(*counts: int, classes: tuple[str, ...] | None = None, several: bool = False) -> LabelCounts:
    names = classes or tuple(f"c{number}" for number in range(len(counts)))
    return LabelCounts(names, counts, sum(counts), several)


PETS = ("cat", "dog", "ship", "truck")
UNEQUAL = PartCounts(
    counted(810, 270, 81, 27, classes=PETS),
    counted(90, 30, 9, 3, classes=PETS),
    counted(1000, 1000, 1000, 1000, classes=PETS),
)


def test_unequal_classes_have_a_table():
    assert class_lines(UNEQUAL) == [
        "images: class  training  validation   test",
        "        cat         810          90  1,000",
        "        dog         270          30  1,000",
        "        ship         81           9  1,000",
        "        truck        27           3  1,000",
    ]


def test_a_table_is_aligned_where_names_are_wide_and_safe_where_they_are_hostile():
    parts = PartCounts(counted(90, 3, classes=("数字", "\x1b[31m" + 60 * "x")))
    first, wide, hostile = class_lines(parts)
    assert first.endswith("  training")
    assert wide == "        数字" + " " * 30 + "        90"
    assert hostile == "        \\x1b[31m" + 25 * "x" + "…" + "         3"


def test_equal_classes_have_one_line():
    equal = PartCounts(counted(9, 9, 9), counted(1, 1, 1), counted(3, 3, 3))
    assert class_lines(equal) == ["images: of a class 9 to train on, 1 for validation, 3 for testing"]
    nearly = PartCounts(counted(5421, 6742, 5949))
    assert class_lines(nearly) == ["images: of a class 5,421 to 6,742 to train on"]


def test_many_unequal_classes_have_one_line_with_the_ends():
    many = PartCounts(counted(*range(10, 1010)), counted(*range(1, 1001)))
    assert class_lines(many) == [
        "images: of a class 10 (c0) to 1,009 (c999) to train on, 1 (c0) to 1,000 (c999) for validation"
    ]


def test_a_fold_is_named_and_labels_are_called_labels():
    parts = PartCounts(counted(9, 3, several=True), counted(3, 1, several=True), fold=2)
    assert class_lines(parts)[0] == "images: label  training  validation (in fold 2, the least balanced)"


def test_a_constant_answer_is_told_in_percent_with_the_deciding_metric():
    baselines = {"val_accuracy": 90 / 132, "val_balanced_accuracy": 0.25}
    words = "always answering 'cat' is right for 68.18 % of the validation images"
    assert constant_answer_words(UNEQUAL, baselines, "val_accuracy") == words
    both = f"{words} and reaches val_balanced_accuracy 0.25"
    assert constant_answer_words(UNEQUAL, baselines, "val_balanced_accuracy") == both
    training = constant_answer_words(PartCounts(UNEQUAL.training), {"accuracy": 810 / 1188}, "accuracy")
    assert training == "always answering 'cat' is right for 68.18 % of the training images"
    assert constant_answer_words(UNEQUAL, {}, "val_accuracy") is None


def test_accuracy_is_said_to_hide_classes_from_a_ratio_of_three():
    hidden = hidden_classes_words(UNEQUAL, "val_accuracy")
    assert hidden == (
        "val_accuracy hides the small classes, of 27 (truck) to 810 (cat) images to train on: consider metric: "
        "balanced_accuracy or macro_f1"
    )
    assert hidden_classes_words(UNEQUAL, "val_balanced_accuracy") is None
    assert hidden_classes_words(PartCounts(counted(3, 1)), "val_accuracy") is not None
    assert hidden_classes_words(PartCounts(counted(29, 10)), "val_accuracy") is None


def test_several_labels_have_words_of_their_own():
    several = LabelCounts(("cat", "dog"), (90, 9), 100, True, ("cat",), 81)
    counts, baselines = PartCounts(several, several), {"val_accuracy": 0.81, "val_macro_f1": 0.556}
    right = "always giving 'cat' is right for 81.00 % of the validation images"
    assert constant_answer_words(counts, baselines, "val_accuracy") == right
    both = f"{right}; always giving all labels reaches val_macro_f1 0.556"
    assert constant_answer_words(counts, baselines, "val_macro_f1") == both
    hidden = hidden_classes_words(counts, "val_accuracy")
    assert hidden is not None
    assert hidden.startswith("val_accuracy hides the rare labels, of 9 (dog) to 90 (cat) images")
    assert hidden.endswith("consider metric: average_precision or macro_f1")
