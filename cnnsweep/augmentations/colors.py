"""Changes of pixels by their colour or their neighbours, each image by a factor of its own.

Formulas are those of `torchvision.transforms.v2.functional`. Every step is one operation on each element, with one
rounding, so that an image's pixels do not depend on its batch; where torchvision's sums are rounded once for two steps,
a level may differ by 1.
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
    red, green, blue = scaled = (images.float() * (1 / 255)).unbind(1)
    most, least = torch.stack(scaled).amax(0), torch.stack(scaled).amin(0)
    span = most - least
    divisor = torch.where(span == 0, 1.0, span)
    to_red, to_green, to_blue = ((most - one) / divisor for one in scaled)
    sixths = torch.where(
        most == red, to_blue - to_green, torch.where(most == green, to_red - to_blue + 2, to_green - to_red + 4)
    )
    turned = sixths * (1 / 6) + 1 + shifts[:, None, None]
    turned = (turned - turned.floor()) * 6
    return _of_hue(turned, span / torch.where(span == 0, 1.0, most), most)


def _of_hue(sixths: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Return images (n, 3, H, W) uint8 for a hue of 0..6, saturation and value, (n, H, W) each."""
    channels = []
    for offset in (5, 3, 1):  # Smith, 1978, as one formula for a channel
        place = sixths + offset
        place = place - 6 * (place * (1 / 6)).floor()
        distance = torch.minimum(place, 4 - place).clamp_(0, 1)
        channels.append(value - value * saturation * distance)
    return torch.stack(channels, 1).clamp_(0, 1).mul_(255.999).to(torch.uint8)
