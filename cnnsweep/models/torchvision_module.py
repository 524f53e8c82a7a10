"""torchvision's classification models, adapted to small images and any number of channels and classes."""

from collections.abc import Mapping
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

SMALL_IMAGE = 64  # pixels; up to this size the stem keeps the resolution
_SIZES_TO_TRY = (32, 48, 64, 75, 96, 128, 160, 224, 299)


class ResizedInput(nn.Module):
    """A model behind a bilinear enlargement of its input, for images below the smallest size that it accepts."""

    def __init__(self, model: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.model = model
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        enlarged = nn.functional.interpolate(images, self.size, mode="bilinear", align_corners=False)
        logits: Tensor = self.model(enlarged)
        return logits


def build_vision_model(
    name: str, in_channels: int, num_classes: int, image_size: tuple[int, int], arguments: dict[str, Any]
) -> nn.Module:
    """Return a torchvision model with random weights.

    The first convolution takes `in_channels`. For images of up to 64 pixels the stem keeps the resolution (stride 1, a
    7×7 kernel becomes 3×3, no pooling), as He et al. 2016 (Deep Residual Learning, section 4.2) do for CIFAR-10.
    If the model needs larger images, they are enlarged to the smallest size that works.

    Raises:
        TypeError, ValueError: torchvision refuses an argument.
    """
    arguments = {**_family_arguments(name, image_size), **arguments}
    model: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=num_classes, **arguments)
    fixed = _fixed_size(arguments)
    _adapt_stem(model, in_channels, small=max(image_size) <= SMALL_IMAGE and fixed is None)
    needed = fixed or _smallest_working_size(model, in_channels, image_size)
    return model if needed == image_size else ResizedInput(model, needed)


def _family_arguments(name: str, image_size: tuple[int, int]) -> dict[str, Any]:
    if name.startswith("vit_"):
        patch = int(name.rsplit("_", 1)[1])
        return {"image_size": _round_up(max(image_size), patch)}
    if name.startswith("maxvit"):
        side = _round_up(max(image_size), 224)  # its windows of 7×7 fit only multiples of 224
        return {"input_size": (side, side)}
    if name in ("googlenet", "inception_v3"):
        # The auxiliary heads return a second output; init_weights unset warns.
        return {"aux_logits": False, "init_weights": True}
    return {}


def _fixed_size(arguments: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the only input size of a transformer."""
    size = arguments.get("input_size", arguments.get("image_size"))
    return (size, size) if isinstance(size, int) else size


def _round_up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _adapt_stem(model: nn.Module, in_channels: int, *, small: bool) -> None:
    path, first = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    is_patch_embedding = first.stride == first.kernel_size  # ViT, Swin and ConvNeXt cut the image into patches
    shrink = small and first.stride == (2, 2) and not is_patch_embedding
    if shrink or first.in_channels != in_channels:
        kernel, padding = first.kernel_size, first.padding
        if shrink and kernel == (7, 7):
            kernel, padding = (3, 3), (1, 1)
        replacement = nn.Conv2d(
            in_channels,
            first.out_channels,
            (kernel[0], kernel[1]),
            stride=(1, 1) if shrink else (first.stride[0], first.stride[1]),
            padding=padding if isinstance(padding, str) else (padding[0], padding[1]),
            bias=first.bias is not None,
        )
        model.set_submodule(path, replacement)
    if shrink:
        for pool in ("maxpool", "features.pool0"):  # ResNet's and ShuffleNet's; DenseNet's
            if any(n == pool for n, _ in model.named_modules()):
                model.set_submodule(pool, nn.Identity())
    if getattr(model, "transform_input", False):
        setattr(model, "transform_input", False)  # noqa: B010 - mypy: not a submodule. GoogLeNet and Inception would index three channels


def _smallest_working_size(model: nn.Module, in_channels: int, image_size: tuple[int, int]) -> tuple[int, int]:
    sizes = [image_size, *((s, s) for s in _SIZES_TO_TRY if s > max(image_size))]
    was_training = model.training
    model.eval()
    try:
        for position, size in enumerate(sizes):
            try:
                with torch.no_grad():
                    model(torch.zeros(1, in_channels, *size))
            except (RuntimeError, ValueError, AssertionError):
                if position == len(sizes) - 1:
                    raise
            else:
                return size
    finally:
        model.train(was_training)
    raise AssertionError("unreachable: the last size returns or raises")
