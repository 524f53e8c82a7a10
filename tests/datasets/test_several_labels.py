"""Data sets with several labels an image: accepted forms, refused ones, and splits."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.fingerprint import digest_labels
from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.splits import fold_indices, split_indices
from cnnsweep.errors import DataError
from cnnsweep.types import DatasetChoice

PRELUDE = """
import numpy as np
import torch

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 5, 4), dtype=np.uint8)
ROWS = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 0, 1]])
NUMBERS = [[0, 2], [], [2, 1, 0], [2]]
NAMES = [["cat", "elk"], [], ["elk", "dog", "cat"], ["elk"]]
CLASSES = ["cat", "dog", "elk"]
"""
ROWS = [[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 0, 1]]

Load = Callable[[str], Dataset]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load what a function with this body returns."""

    def load(body: str) -> Dataset:
        file = tmp_path / f"own{len(list(tmp_path.iterdir()))}.py"  # a module is imported once
        file.write_text(f"{PRELUDE}\ndef data():\n{textwrap.indent(body, '    ')}\n")
        return load_dataset(DatasetChoice(f"{file}:data"), tmp_path)

    return load


@pytest.mark.parametrize(
    "labels",
    [
        "ROWS",
        "ROWS.astype(bool)",
        "ROWS.astype('float32')",
        "torch.tensor(ROWS)",
        "torch.tensor(ROWS).float()",
        "ROWS.tolist()",
        "list(ROWS)",
        "list(torch.tensor(ROWS))",
        "NUMBERS",
        "[np.array(one, dtype=int) for one in NUMBERS]",
        "[set(one) for one in NUMBERS]",
        "NAMES",
        "[tuple(one) for one in NAMES]",
        "[set(one) for one in NAMES]",
        "np.array(NAMES, dtype=object)",
        "[[*one, *one] for one in NAMES]",  # an object that is there twice
    ],
)
def test_labels_of_every_accepted_kind_become_the_same_rows(labels: str, load: Load) -> None:
    dataset = load(f"return (PIXELS, {labels}), None, CLASSES")
    assert dataset.is_multi_label
    assert dataset.train.labels.dtype == torch.uint8
    assert dataset.train.labels.tolist() == ROWS
    assert dataset.classes == ("cat", "dog", "elk")
    of_items = load(f"return [(p, l) for p, l in zip(PIXELS, {labels})], None, CLASSES")
    assert of_items.train.labels.tolist() == ROWS
    assert of_items.fingerprint == dataset.fingerprint


@pytest.mark.parametrize(
    ("returned", "classes"),
    [
        ("(PIXELS, ROWS), None", ("0", "1", "2")),
        ("(PIXELS, NUMBERS), (PIXELS[:2], [[3], []])", ("0", "1", "2", "3")),
        ("(PIXELS, NAMES), (PIXELS[:2], [['bat'], []])", ("bat", "cat", "dog", "elk")),
        ("(PIXELS, NAMES), None, {'elk': 0, 'dog': 1, 'cat': 2}", ("elk", "dog", "cat")),
    ],
)
def test_classes_are_as_given_or_all_that_occur(returned: str, classes: tuple[str, ...], load: Load) -> None:
    dataset = load(f"return {returned}")
    assert dataset.classes == classes
    assert dataset.train.labels.shape == (4, len(classes))


def test_one_hot_rows_are_one_label_an_image_unless_another_part_has_more(load: Load) -> None:
    one = load("return (PIXELS, np.eye(3)[[0, 1, 2, 0]]), (PIXELS, np.eye(3)[[0, 1, 2, 0]])")
    assert one.train.labels.tolist() == [0, 1, 2, 0]
    assert any("exactly one 1 in each row, so each image has one label" in line for line in one.found)
    several = load("return (PIXELS, np.eye(3)[[0, 1, 2, 0]]), (PIXELS, ROWS)")
    assert several.train.labels.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_lists_of_one_name_each_are_several_labels(load: Load) -> None:
    assert load("return (PIXELS, [['b'], ['a'], ['b'], ['a']]), None").train.labels.tolist() == [[0, 1], [1, 0]] * 2


def test_classes_that_all_or_no_images_have_are_said(load: Load) -> None:
    found = load("return (PIXELS, [[0, 3], [3], [3, 0], [3]]), None, ['a', 'b', 'c', 'd']").found
    assert found == (
        "1 to 2 labels an image, 1.50 on average; 0 images without any",
        "no image has the label b, c: nothing to learn",
        "every image has the label d: nothing to learn",
    )
    each = load("return (PIXELS, [['b'], ['a'], ['b'], ['a']]), None").found
    assert each[:2] == (
        "1 label for every image",
        "to learn them as classes, put the images into class folders, or give one number for each",
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return (PIXELS, ROWS * 2), None", ": train: labels[0, 0] is 2; expected 0 or 1, one column a class, or N "
         "whole numbers from 0"),
        ("return (PIXELS, ROWS * np.nan), None", ": train: labels[0, 0] is nan; expected 0 or 1, one column a class, "
         "or N whole numbers from 0"),
        ("return (PIXELS, (ROWS - [[0, 0, .7]]).tolist()), None", ": train: labels[0, 2] is 0.3; expected 0 or 1, one "
         "column a class, or N whole numbers from 0"),
        ("return (PIXELS, [[0, 1, 0], [0, 1], [1, 1, 1], [0, 0, 0]]), None", ": train: labels[1] has 2 values, but "
         "labels[0] has 3; rows of 0 and 1 have one column a class"),
        ("return (PIXELS, [torch.zeros(3), torch.zeros(3), torch.zeros(4), torch.zeros(3)]), None",
         ": train: labels[2] has 4 values, but labels[0] has 3; rows of 0 and 1 have one column a class"),
        ("return (PIXELS, [['cat'], ['dgo'], [], []]), None, CLASSES",
         ": train: labels[1] has the unknown class 'dgo'; did you mean 'dog'?"),
        ("return (PIXELS, NAMES), (PIXELS, [['x'], [], [], []]), CLASSES",
         ": test: labels[0] has the unknown class 'x'; allowed are cat, dog, elk"),
        ("return (PIXELS, [[0], [1, 3], [], [-1]]), None, CLASSES",
         ": train: labels[1] has the class number 3, but must have numbers in 0 to 2"),
        ("return (PIXELS, [[0], [1, 3], [], [-1]]), None",
         ": train: labels[3] has the class number -1, but must have numbers in 0 to 3"),
        ("return (PIXELS, ROWS), (PIXELS, [0, 1, 2, 0])", ": train has rows of 0 and 1 (several labels an image), but "
         "test has one label an image; expected one kind of labels in both parts"),
        ("return (PIXELS, NAMES), (PIXELS, ROWS)", ": train has lists of labels, but test has rows of 0 and 1 (several "
         "labels an image); expected one kind of labels in both parts"),
        ("return (PIXELS, [0, 1, 2, 0]), (PIXELS, NAMES)", ": train has one label an image, but test has lists of "
         "labels; expected one kind of labels in both parts"),
        ("return (PIXELS, ROWS), (PIXELS, ROWS[:, :2])",
         ": test: the labels have 2 columns, but there are 3 classes; expected one column a class"),
        ("return (PIXELS, ROWS), None, ['a', 'b']",
         ": train: the labels have 3 columns, but there are 2 classes; expected one column a class"),
        ("return (PIXELS, [[], [], [], []]), None",
         ": no image has a label; return the class names too: (train, test, classes)"),
        ("return (PIXELS, [['a'], ['b', 1], [], []]), None", ": train: labels[1] holds both names and numbers; "
         "expected rows of 0 and 1, one column a class, or lists of class names or numbers"),
        ("return (PIXELS, [['a'], [1], [], []]), None", ": train: some labels are names, others numbers; expected rows "
         "of 0 and 1, one column a class, or lists of class names or numbers"),
        ("return (PIXELS, [['a'], [None], [], []]), None", ": train: labels[1] holds None; expected rows of 0 and 1, "
         "one column a class, or lists of class names or numbers"),
        ("return (PIXELS, [['a'], 'b', [], []]), None", ": train: labels[1] is of type str; expected the labels of one "
         "image, as for the images before"),
        ("return [(p, l) for p, l in zip(PIXELS, [0, [1], 2, 0])], None", ": train: item 1 has a list of labels, but "
         "item 0 the single label 0; expected one form for all images"),
        ("return (PIXELS, NAMES[:3]), None", ": train: 4 images and 3 labels; expected equal numbers, at least 1"),
        ("return PIXELS, NAMES", ": returned a tuple of 2; expected (train, test), (train, test, classes) or a mapping "
         "with these keys, where train and test are (images, labels) or a torch Dataset, and test may be None. This "
         "looks like (images, labels): write `return (images, labels), None`, or with images to test on `return "
         "(images, labels), (test_images, test_labels)`"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_are_described(body: str, message: str, load: Load, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(body)
    assert str(caught.value) == f"{tmp_path / 'own0.py'}:data{message}"


def _sparse_labels(images: int) -> torch.Tensor:
    chance = torch.linspace(0.01, 0.3, 8)
    return (torch.rand(images, 8, generator=torch.Generator().manual_seed(1)) < chance).to(torch.uint8)


def test_validation_images_have_each_labels_share() -> None:
    labels = _sparse_labels(1000)
    training, validation = split_indices(labels, 0.2, seed=3)
    assert len(validation) == 200
    assert sorted(torch.cat([training, validation]).tolist()) == list(range(1000))
    # The rarest labels are dealt first, exactly; the most frequent ones get what is left of the images.
    shares = labels[validation].sum(0).double() / labels.sum(0)
    assert ((shares - 0.2).abs() * labels.sum(0) <= 1).all()


def test_folds_have_equal_sizes_and_shares_of_each_label() -> None:
    labels = _sparse_labels(503)
    held_out = [fold_indices(labels, 5, fold, seed=0)[1] for fold in range(5)]
    assert sorted(map(len, held_out)) == [100, 100, 101, 101, 101]
    assert sorted(torch.cat(held_out).tolist()) == list(range(503))
    for positions in held_out:
        assert ((labels[positions].sum(0) - labels.sum(0) / 5).abs() < 2).all()


def test_a_label_of_two_images_is_in_both_parts() -> None:
    labels = torch.zeros(10, 2, dtype=torch.uint8)
    labels[:, 0], labels[[3, 7], 1] = 1, 1
    _, validation = split_indices(labels, 5, seed=0)
    assert labels[validation, 1].sum() == 1


def test_equal_seeds_give_equal_parts_and_other_seeds_others() -> None:
    labels = _sparse_labels(100)
    first, again, other = (split_indices(labels, 0.2, seed)[1].tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_batches_of_any_shape_have_a_row_of_labels_for_each_image(load: Load) -> None:
    train = load("return (PIXELS, NAMES), None").train
    positions = torch.tensor([[2, 0], [3, 3], [1, 2]])
    ((images, labels),) = train.batches([positions], torch.device("cpu"))
    assert images.shape == (3, 2, 1, 5, 4)
    assert np.array_equal(labels, np.array(ROWS)[positions])


def test_labels_that_do_not_lie_in_a_row_have_the_digest_of_their_values() -> None:
    pairs = torch.tensor([[2, 0], [1, 0], [0, 0]])
    assert digest_labels(pairs[:, 0]) == digest_labels(torch.tensor([2, 1, 0]))
    rows = torch.tensor(ROWS, dtype=torch.uint8)
    assert digest_labels(rows.t().contiguous().t()) == digest_labels(rows)
