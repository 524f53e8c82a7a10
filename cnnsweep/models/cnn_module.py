"""The configurable convolutional network."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn


class CNN(nn.Module):
    """Blocks of convolution, pooling and ReLU, then linear layers.

    Args:
        in_channels: channels of the images.
        num_classes: outputs.
        image_size: height and width of the images in pixels.
        channels: output channels of each convolution; the length is the number of blocks.
        kernel_size: kernel side of each convolution, one number for all or one per block.
        hidden: widths of the linear layers before the last; may be empty.
        padding: `same` keeps the size in a convolution, `valid` loses kernel_size - 1 pixels.
        pool: side and stride of the max pooling after each convolution; 1 omits it.
        batch_norm: put batch normalisation after each convolution.
        dropout: probability of dropout before each linear layer except the first; before a single layer too.

    Raises:
        ValueError: the images are too small for the blocks, or the lists do not fit each other.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: tuple[int, int],
        channels: Sequence[int] = (6, 12),
        kernel_size: int | Sequence[int] = 5,
        hidden: Sequence[int] = (120, 60),
        padding: Literal["same", "valid"] = "valid",
        pool: int = 2,
        batch_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        kernels = [kernel_size] * len(channels) if isinstance(kernel_size, int) else list(kernel_size)
        if len(kernels) != len(channels):
            raise ValueError(f"kernel_size has {len(kernels)} values for {len(channels)} convolutions")
        height, width = image_size
        blocks: list[nn.Module] = []
        for block, (before, after, kernel) in enumerate(
            zip([in_channels, *channels[:-1]], channels, kernels, strict=True), start=1
        ):
            blocks.append(nn.Conv2d(before, after, kernel, padding=padding))
            if batch_norm:
                blocks.append(nn.BatchNorm2d(after))
            # Pooling first: max and ReLU commute, in values and gradients, and ReLU then has a quarter of the work.
            blocks.append(nn.MaxPool2d(pool) if pool > 1 else nn.Identity())
            blocks.append(nn.ReLU(inplace=True))
            lost = kernel - 1 if padding == "valid" else 0
            height, width = (height - lost) // pool, (width - lost) // pool
            if height < 1 or width < 1:
                raise ValueError(
                    f"images of {image_size[0]}×{image_size[1]} have no pixel left after convolution {block} "
                    f"of {len(channels)} (kernel_size {kernel}, pool {pool}); use fewer channels, a smaller kernel_size"
                    ", pool: 1 or padding: same"
                )
        self.features = nn.Sequential(*blocks)
        widths = [channels[-1] * height * width if channels else in_channels * height * width, *hidden, num_classes]
        layers: list[nn.Module] = [nn.Flatten()]
        for position, (before, after) in enumerate(pairwise(widths)):
            if position:
                layers.append(nn.ReLU(inplace=True))
            if position or len(widths) == 2:
                layers.append(nn.Dropout(dropout))  # also for 0, so that runs that differ in it can be fused
            layers.append(nn.Linear(before, after))
        self.classifier = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        logits: Tensor = self.classifier(self.features(images))
        return logits
