"""Changes of pixels by their colour or their neighbours, each image by a factor of its own.

Formulas are those of `torchvision.transforms.v2.functional`. Every step is one operation on each element, with one
rounding, so that an image's pixels do not depend on its batch; where torchvision has other steps, a level may
differ by 1.
"""

from __future__ import annotations

import torch
from torch import Tensor


def grey_levels(images: Tensor) -> Tensor:
    """Return the grey levels (n, 1, H, W) of colour images (n, 3, H, W) uint8, as whole numbers in float32."""
    red, green, blue = images.float().unbind(1)
    return (red * 0.2989 + green * 0.587 + blue * 0.114).floor_().unsqueeze(1)


def blended(images: Tensor, others: Tensor, factors: Tensor) -> Tensor:
    """Return images · factor + others · (1 - factor), for factors (n,)."""
    shares = factors[:, None, None, None]
    return (images * shares + others * (1 - shares)).clamp_(0, 255).to(torch.uint8)


def saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Return images with a multiple of their colour; images without three channels stay."""
    return blended(images, grey_levels(images), factors) if images.shape[1] == 3 else images


def sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Return images with a multiple of their distance to smoothed ones; pixels at the edge stay."""
    if min(images.shape[2:]) < 3:
        return images
    inside = images[:, :, 1:-1, 1:-1]
    rows = images.short()
    rows = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    sums = rows[:, :, :, :-2] + rows[:, :, :, 1:-1] + rows[:, :, :, 2:] + 4 * inside.short()
    smoothed = (sums.float() / 13).round_()  # the middle counts 5, its neighbours 1
    result = images.clone()
    shares = 1 - factors[:, None, None, None]
    result[:, :, 1:-1, 1:-1] = ((smoothed - inside) * shares + inside).clamp_(0, 255).to(torch.uint8)
    return result


def hue(images: Tensor, shifts: Tensor) -> Tensor:
    """Return images (n, 3, H, W) with their hue moved by shares (n,) of the colour circle."""
    scaled, highest = images.float().mul_(1 / 255), images.amax(1, keepdim=True)
    least = images.amin(1).float().mul_(1 / 255)  # (n, H, W)
    span = highest[:, 0].float().mul_(1 / 255).sub_(least)
    red, green, blue = (scaled / torch.where(span == 0, 1.0, span).unsqueeze(1)).unbind(1)
    is_red, is_green, _ = (images == highest).unbind(1)
    # The place on the circle, in sixths of it: red is at 0, green at 2, blue at 4.
    place = torch.where(is_red, green - blue, torch.where(is_green, blue - red + 2, red - green + 4))
    place = place.add_(6 * shifts[:, None, None])
    place = place.sub_((place * (1 / 6)).floor_().mul_(6))
    shares = torch.stack([(place - 3).abs_().sub_(1), 2 - (place - 2).abs_(), 2 - (place - 4).abs_()], 1)
    return shares.clamp_(0, 1).mul_(span.unsqueeze(1)).add_(least.unsqueeze(1)).mul_(255.999).to(torch.uint8)
