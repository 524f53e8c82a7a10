import pytest
import torch

from cnnsweep.data.splits import hold_out, split_indices
from cnnsweep.errors import DataError


def labels_with(*sizes: int) -> torch.Tensor:
    """Labels with so many of each class, mixed."""
    labels = torch.cat([torch.full((size,), label) for label, size in enumerate(sizes)])
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]


def test_the_parts_are_sorted_and_together_hold_every_position_once() -> None:
    train, validation = split_indices(labels_with(50, 30, 20), 0.2, seed=0)
    assert train.tolist() == sorted(train.tolist())
    assert validation.tolist() == sorted(validation.tolist())
    assert sorted(train.tolist() + validation.tolist()) == list(range(100))
    assert train.dtype == validation.dtype == torch.int64


def test_each_class_gives_its_share() -> None:
    labels = labels_with(50, 30, 20)
    _, validation = split_indices(labels, 0.2, seed=0)
    assert torch.bincount(labels[validation]).tolist() == [10, 6, 4]


def test_the_largest_remainders_get_the_images_left_over() -> None:
    # 10 of 97 images: quotas 5.98, 3.09, 0.93; whole parts 5, 3, 0; the two left over go to 0.98 and 0.93.
    labels = labels_with(58, 30, 9)
    _, validation = split_indices(labels, 10, seed=0)
    assert torch.bincount(labels[validation]).tolist() == [6, 3, 1]


def test_of_equal_remainders_the_first_classes_win() -> None:
    labels = labels_with(5, 5, 5, 5)
    _, validation = split_indices(labels, 2, seed=3)
    assert torch.bincount(labels[validation], minlength=4).tolist() == [1, 1, 0, 0]


def test_the_split_depends_on_the_seed_alone() -> None:
    labels = labels_with(40, 60)
    assert torch.equal(split_indices(labels, 0.1, 7)[1], split_indices(labels, 0.1, 7)[1])
    assert not torch.equal(split_indices(labels, 0.1, 7)[1], split_indices(labels, 0.1, 8)[1])
    assert not torch.equal(split_indices(labels, 10, 7)[1], hold_out(labels, 10, 7, "another purpose")[1])


def test_every_image_of_a_class_can_be_held_out() -> None:
    held_out = {position for seed in range(60) for position in split_indices(labels_with(6, 6), 2, seed)[1].tolist()}
    assert held_out == set(range(12))


def test_no_validation_keeps_everything_for_training() -> None:
    for nothing in (0, 0.0):
        train, validation = split_indices(labels_with(3, 3), nothing, 0)
        assert train.tolist() == list(range(6))
        assert validation.tolist() == []


@pytest.mark.parametrize(("validation", "held_out"), [(0.01, 0), (6, 6), (7, 7), (0.99, 6)])
def test_a_split_that_leaves_a_part_empty_is_refused(validation: float, held_out: int) -> None:
    with pytest.raises(DataError) as caught:
        split_indices(labels_with(3, 3), validation, 0)
    assert str(caught.value) == (
        f"validation: {validation} of 6 training images would hold out {held_out}; both parts need at least one image: "
        "give a share or count that leaves 1 to 5, or 0 for no validation"
    )
