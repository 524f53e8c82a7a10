"""One contract for every ImageSet: in memory, streamed in this process, streamed by workers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnnsweep.datasets.decode import Form
from cnnsweep.datasets.images import ImageSet, MemoryImages
from cnnsweep.datasets.streaming import StreamedImages
from cnnsweep.errors import DataError

CPU = torch.device("cpu")
COUNT = 12
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 3, 5, 7), dtype=np.uint8)
LABELS = torch.arange(COUNT) % 3


def in_memory(folder: Path) -> ImageSet:
    return MemoryImages(torch.from_numpy(PIXELS.copy()), LABELS)


def streamed(workers: int) -> Callable[[Path], ImageSet]:
    def build(folder: Path) -> ImageSet:
        paths = [folder / f"{position}.png" for position in range(COUNT)]
        for path, pixels in zip(paths, PIXELS, strict=True):
            Image.fromarray(pixels.transpose(1, 2, 0)).save(path)
        return StreamedImages(paths, LABELS, Form(5, 7, 3), workers)

    return build


@pytest.fixture(params=[in_memory, streamed(0), streamed(2)], ids=["memory", "streamed", "streamed by workers"])
def images(request: pytest.FixtureRequest, tmp_path: Path) -> ImageSet:
    built: ImageSet = request.param(tmp_path)
    return built


def test_length_shape_and_labels_are_those_of_the_images(images: ImageSet) -> None:
    assert len(images) == COUNT
    assert images.image_shape == (3, 5, 7)
    assert torch.equal(images.labels, LABELS)


def test_each_chunk_gives_its_images_and_labels_in_its_own_shape(images: ImageSet) -> None:
    chunks = [torch.tensor([3, 0, 3]), torch.tensor([[11, 2], [5, 7], [0, 1]]), torch.tensor([4])]
    batches = list(images.batches(iter(chunks), CPU))
    assert len(batches) == len(chunks)
    for chunk, (pixels, labels) in zip(chunks, batches, strict=True):
        assert pixels.dtype == torch.uint8
        assert np.array_equal(pixels.numpy(), PIXELS[chunk.numpy()])
        assert labels.dtype == torch.int64
        assert torch.equal(labels, LABELS[chunk])


def test_a_batch_may_be_overwritten_without_harm_to_the_data_set(images: ImageSet) -> None:
    chunk = torch.tensor([1, 2])
    for pixels, labels in images.batches([chunk], CPU):
        pixels.zero_()
        labels.zero_()
    (pixels, labels), *_ = images.batches([chunk], CPU)
    assert np.array_equal(pixels.numpy(), PIXELS[1:3])
    assert torch.equal(labels, LABELS[1:3])


def test_batches_leave_the_global_random_generator_alone(images: ImageSet) -> None:
    before = torch.random.get_rng_state()
    list(images.batches([torch.tensor([0])], CPU))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_vanishes_while_streaming_is_named_in_one_line(tmp_path: Path, workers: int) -> None:
    images = streamed(workers)(tmp_path)
    (tmp_path / "2.png").unlink()
    with pytest.raises(DataError) as caught:
        list(images.batches([torch.tensor([0, 2])], CPU))
    reason = "cannot be read any more (No such file or directory); put it back and run again"
    assert str(caught.value) == f"{tmp_path / '2.png'}: {reason}"
