"""A small residual network for 32×32 images, in the manner of DAWNBench's ResNet-9 (David Page, 2018), but narrower.

It reaches 16×16 pixels after the first convolution, which is where most of the arithmetic of larger ones goes.
"""

from torch import Tensor, nn


def convolution(before: int, after: int) -> nn.Sequential:
    """Return a 3×3 convolution with batch norm and ReLU; batch norm makes a bias pointless."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


class Residual(nn.Module):
    """Two convolutions around which the input is carried."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(convolution(channels, channels), convolution(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Net(nn.Module):
    """Stages of twice as many channels and half as many pixels, a residual block after the second and the last.

    Args:
        width: channels of the first convolution.
    """

    def __init__(self, in_channels: int, num_classes: int, width: int = 24) -> None:
        super().__init__()
        self.features = nn.Sequential(
            convolution(in_channels, width),
            nn.MaxPool2d(2),
            convolution(width, 2 * width),
            Residual(2 * width),
            nn.MaxPool2d(2),
            convolution(2 * width, 4 * width),
            nn.MaxPool2d(2),
            convolution(4 * width, 8 * width),
            Residual(8 * width),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(8 * width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        return self.classifier(self.features(images))
