from pathlib import Path

import numpy as np
import pytest
import torch

from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.normalize import PixelNormalize, epoch_order, pixel_normalize
from cnnsweep.errors import DataError
from cnnsweep.types import DatasetChoice, Normalization

RNG = np.random.default_rng(0)


def images_of(pixels: np.ndarray) -> MemoryImages:
    return MemoryImages(torch.from_numpy(pixels), torch.zeros(len(pixels), dtype=torch.int64))


@pytest.mark.parametrize("shape", [(4, 1, 6, 5), (4, 3, 6, 5), (2, 4, 3, 6, 5)])
def test_model_input_is_the_normalised_pixel(shape: tuple[int, ...]) -> None:
    pixels = RNG.integers(0, 256, shape, dtype=np.uint8)
    mean, std = (0.1, 0.5, 0.3)[: shape[-3]], (0.2, 1.0, 0.7)[: shape[-3]]
    result = PixelNormalize(mean, std).to_model_input(torch.from_numpy(pixels))
    expected = (pixels / 255 - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1))
    assert result.dtype == torch.float32
    # Values up to 4.5: a float32 product and sum differ from float64 by a few units of 2**-23.
    np.testing.assert_allclose(result.numpy(), expected.reshape(result.shape), rtol=0, atol=2e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_model_input_has_the_strides_of_channels_last(channels: int) -> None:
    result = PixelNormalize((0.5,) * channels, (0.5,) * channels).to_model_input(
        torch.zeros(2, channels, 4, 6, dtype=torch.uint8)
    )
    assert result.stride() == (4 * 6 * channels, 1, 6 * channels, channels)


def test_a_pixel_has_the_same_value_wherever_it_lies_in_a_batch() -> None:
    scale = PixelNormalize((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616))
    every_value = torch.arange(256, dtype=torch.uint8).repeat(3, 37)[:, None, :, None].expand(3, 3, -1, 1)
    batch = scale.to_model_input(every_value.contiguous())
    alone = [scale.to_model_input(torch.full((1, 3, 1, 1), value, dtype=torch.uint8)) for value in range(256)]
    expected = torch.cat(alone, dim=2).repeat(3, 1, 37, 1)
    assert torch.equal(batch, expected)


def test_model_input_leaves_the_images_alone() -> None:
    pixels = torch.full((2, 3, 4, 4), 200, dtype=torch.uint8)
    PixelNormalize((0.5,) * 3, (0.5,) * 3).to_model_input(pixels)
    assert (pixels == 200).all()


def test_standard_normalisation_is_mean_and_deviation_of_the_images_trained_on() -> None:
    pixels = RNG.integers(0, 256, (20, 3, 4, 4), dtype=np.uint8)
    pixels[15:] = 255  # not trained on
    scale = pixel_normalize(Normalization(), images_of(pixels), torch.arange(15))
    assert scale.mean == pytest.approx((pixels[:15] / 255).mean((0, 2, 3)), abs=1e-14)  # float64 sums of 240 numbers
    assert scale.std == pytest.approx((pixels[:15] / 255).std((0, 2, 3)), abs=1e-14)


def test_standard_normalisation_is_the_same_in_any_order() -> None:
    images = images_of(RNG.integers(0, 256, (9000, 1, 3, 3), dtype=np.uint8))  # several chunks
    order = torch.randperm(9000, generator=torch.Generator().manual_seed(0))
    assert pixel_normalize(Normalization(), images, order) == pixel_normalize(
        Normalization(), images, torch.arange(9000)
    )


def test_a_constant_channel_is_not_divided_by_zero() -> None:
    scale = pixel_normalize(Normalization(), images_of(np.full((2, 1, 3, 3), 51, np.uint8)), torch.arange(2))
    assert scale == PixelNormalize((0.2,), (1.0,))


def test_normalisation_can_be_given_or_left_out() -> None:
    images = images_of(np.zeros((1, 3, 2, 2), np.uint8))
    every = torch.arange(1)
    assert pixel_normalize(Normalization("none"), images, every) == PixelNormalize((0.0,) * 3, (1.0,) * 3)
    given = Normalization("given", (0.5,), (0.1, 0.2, 0.3))
    assert pixel_normalize(given, images, every) == PixelNormalize((0.5, 0.5, 0.5), (0.1, 0.2, 0.3))


def test_given_numbers_must_fit_the_channels() -> None:
    with pytest.raises(DataError) as caught:
        pixel_normalize(
            Normalization("given", (0.5, 0.5), (0.5,)), images_of(np.zeros((1, 3, 2, 2), np.uint8)), torch.arange(1)
        )
    assert str(caught.value) == (
        "normalize: mean has 2 numbers, but the images have 3 channels; give one number, or one per channel"
    )


def test_fashion_mnist_has_the_published_mean_and_deviation(shared_data: Path) -> None:
    images = load_dataset(DatasetChoice("fashion_mnist"), shared_data).train
    scale = pixel_normalize(Normalization(), images, torch.arange(len(images)))
    assert f"{scale.mean[0]:.4f} {scale.std[0]:.4f}" == "0.2860 0.3530"


def test_an_epoch_visits_every_index_once_in_an_order_of_its_own() -> None:
    indices = torch.tensor([5, 3, 9, 100, 42, 7, 8, 6])
    first, again, next_epoch = (epoch_order(indices, True, 0, epoch) for epoch in (1, 1, 2))
    assert sorted(first.tolist()) == sorted(indices.tolist())
    assert torch.equal(first, again)
    assert not torch.equal(first, next_epoch)
    assert not torch.equal(first, epoch_order(indices, True, 1, 1))


def test_without_shuffling_an_epoch_keeps_the_order() -> None:
    indices = torch.tensor([5, 3, 9])
    assert torch.equal(epoch_order(indices, False, 0, 1), indices)
