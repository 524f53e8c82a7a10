"""An augmentation waits for no device: the number of images that drew an operation stays on it."""

from __future__ import annotations

import pytest
import torch
from operator_counts import counted

from cnnsweep.augmentations import batches
from cnnsweep.augmentations.augment import augment
from cnnsweep.augmentations.base import AUGMENTATIONS
from cnnsweep.types import Choice

WAITING = {"aten._local_scalar_dense", "aten.item", "aten.is_nonzero", "aten.nonzero", "aten.equal", "aten.unique2"}


@pytest.mark.parametrize("name", AUGMENTATIONS.names)
def test_it_asks_for_no_figure_and_copies_nothing_to_the_device_again(name, monkeypatch):
    monkeypatch.setattr(batches, "can_count", lambda _: False)
    images, items = torch.zeros(8, 3, 9, 9, dtype=torch.uint8), torch.arange(8)

    def change() -> None:
        augment(images, items, (Choice(name),), 1, 1)

    change()  # which makes its tables
    counts = counted(change)
    assert counts.calls.total() > 0
    assert not WAITING & set(counts.calls)
    assert not {"aten.lift_fresh", "aten.lift"} & {*counts.calls, *counts.views}  # of torch.tensor
