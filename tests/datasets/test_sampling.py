"""An epoch with each class equally often: counts, permutations, and that it follows from (seed, epoch) alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cnnsweep.datasets.sampling import balanced_order, repeats

COUNTS = [90, 30, 0, 9, 3]
LABELS = torch.cat([torch.full((count,), label) for label, count in enumerate(COUNTS)])
FIRST = 1000  # positions in the data set need not begin at 0
INDICES = torch.arange(len(LABELS)) + FIRST


def epochs(count: int, seed: int = 0, labels: Tensor = LABELS) -> list[Tensor]:
    indices = torch.arange(len(labels)) + FIRST
    return [balanced_order(indices, labels, seed, epoch) for epoch in range(1, count + 1)]


def test_each_class_comes_equally_often():
    for order in epochs(5):
        assert torch.bincount(LABELS[order - FIRST], minlength=5).tolist() == [33, 33, 0, 33, 33]


def test_remainder_goes_to_other_classes_in_the_next_epoch():
    labels = torch.tensor([0] * 5 + [1] * 3 + [2] * 2)  # 10 places for 3 classes
    found = [torch.bincount(labels[order - FIRST]).tolist() for order in epochs(3, labels=labels)]
    assert sorted(map(tuple, found)) == [(3, 3, 4), (3, 4, 3), (4, 3, 3)]


def test_images_of_a_class_repeat_evenly_over_all_epochs():
    taken = torch.zeros(len(LABELS), dtype=torch.int64)
    for order in epochs(7):
        taken += torch.bincount(order - FIRST, minlength=len(LABELS))
        for label in (0, 1, 3, 4):
            of_class = taken[label == LABELS]
            assert int(of_class.max() - of_class.min()) <= 1


def test_order_is_drawn_and_follows_from_seed_and_epoch():
    first, second = epochs(2)
    assert torch.equal(second, balanced_order(INDICES, LABELS, 0, 2))
    assert not torch.equal(first, second)
    assert not torch.equal(first, epochs(1, seed=1)[0])
    changes = (LABELS[first - FIRST].diff() != 0).sum()
    assert changes > len(LABELS) // 2  # the classes are mixed


def test_every_image_of_a_large_class_comes_in_time_and_in_another_order():
    first, second = (order[LABELS[order - FIRST] == 0] for order in epochs(2))
    assert len(set(first.tolist()) & set(second.tolist())) == 0
    assert not torch.equal(first.sort().values, first)


def test_images_with_several_labels_stand_for_each_and_those_without_for_a_class_of_their_own():
    labels = torch.zeros(60, 3, dtype=torch.uint8)
    labels[:40, 0] = 1
    labels[30:42, 1] = 1  # class 2 has no image, 18 images have no label
    for order in epochs(3, labels=labels):
        drawn = labels[order - FIRST]
        assert len(order) == 60
        assert int((drawn == 0).all(1).sum()) == 20
        assert int(drawn[:, 0].sum()) >= 20
        assert int(drawn[:, 1].sum()) >= 20


@pytest.mark.parametrize("labels", [torch.zeros(4, dtype=torch.int64), torch.arange(4), torch.tensor([2])])
def test_small_data_sets_have_an_order_too(labels):
    for order in epochs(3, labels=labels):
        assert len(order) == len(labels)
        assert set(order.tolist()) == set(range(FIRST, FIRST + len(labels)))


def test_repeats_are_numbered_within_an_epoch():
    assert repeats(torch.tensor([5, 3, 5, 5, 3, 1])).tolist() == [0, 0, 1, 2, 1, 0]
