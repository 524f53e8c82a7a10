import pytest
import torch

from cnnsweep.datasets.splits import fold_indices, hold_out, split_indices
from cnnsweep.errors import DataError
from cnnsweep.seeding import generator


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


def all_folds(labels: torch.Tensor, folds: int, seed: int = 0) -> list[list[int]]:
    return [fold_indices(labels, folds, fold, seed)[1].tolist() for fold in range(folds)]


@pytest.mark.parametrize(("sizes", "folds"), [((50, 30, 20), 5), ((7, 8, 1), 3), ((1, 1, 1, 1), 4), ((13,), 2)])
def test_every_image_is_held_out_in_one_fold_and_trained_on_in_the_others(sizes: tuple[int, ...], folds: int) -> None:
    labels = labels_with(*sizes)
    held_out = all_folds(labels, folds)
    assert sorted(position for fold in held_out for position in fold) == list(range(len(labels)))
    for fold in range(folds):
        training, validation = fold_indices(labels, folds, fold, 0)
        assert training.dtype == validation.dtype == torch.int64
        assert training.tolist() == sorted(set(range(len(labels))) - set(validation.tolist()))
        assert validation.tolist() == sorted(validation.tolist())


@pytest.mark.parametrize(("sizes", "folds"), [((50, 31, 22), 5), ((7, 8, 1), 3), ((4, 4, 4, 4), 3), ((1,) * 8, 3)])
def test_folds_differ_by_one_image_at_most_in_all_and_in_every_class(sizes: tuple[int, ...], folds: int) -> None:
    labels = labels_with(*sizes)
    counts = torch.stack([torch.bincount(labels[fold], minlength=len(sizes)) for fold in all_folds(labels, folds)])
    assert (counts.max(0).values - counts.min(0).values).max() <= 1
    assert counts.sum(1).max() - counts.sum(1).min() <= 1


def test_folds_depend_on_the_seed_alone() -> None:
    labels = labels_with(40, 60)
    assert all_folds(labels, 4, 7) == all_folds(labels, 4, 7)
    assert all_folds(labels, 4, 7) != all_folds(labels, 4, 8)


def test_more_folds_than_images_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        fold_indices(labels_with(2, 1), 5, 0, 0)
    assert str(caught.value) == (
        "validation: 5 folds of 3 training images would leave some empty; each needs at least one image: "
        "give fewer folds"
    )


def test_which_images_a_fold_holds_out_is_its_number_in_the_deal() -> None:
    labels = torch.tensor([0, 1, 0, 1, 0, 1, 0])
    order = torch.randperm(7, generator=generator(3, "folds")).tolist()
    dealt = sorted(order, key=lambda position: int(labels[position]))  # stable: by class, in the random order
    for fold in range(3):
        assert fold_indices(labels, 3, fold, 3)[1].tolist() == sorted(dealt[fold::3])
