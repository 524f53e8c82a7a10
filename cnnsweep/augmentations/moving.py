"""Moves of whole rows and columns of images, several in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from cnnsweep.augmentations.base import Draw, Move


def moved(images: Tensor, moves: Sequence[tuple[Move, Draw]]) -> Tensor:
    """Return images after several moves, in their order: whole rows first, which is fast, then columns."""
    count, channels, height, width = images.shape
    rows = first_rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    for move, draws in reversed(moves):  # from a pixel of the result back to its source pixel
        rows, columns = move.source(rows, columns, (height, width), draws)
    # An additional row and column of zeros represent all pixels outside.
    edge = 0 if all(move.stays_inside for move, _ in moves) else 1
    if edge:
        rows = torch.where((rows >= 0) & (rows < height), rows, height)
        columns = torch.where((columns >= 0) & (columns < width), columns, width)
    if rows is not first_rows:
        starts = torch.arange(count * channels, device=images.device).view(count, channels, 1) * (height + edge)
        every_row = functional.pad(images, (0, edge, 0, edge)).reshape(-1, width + edge)
        images = every_row.index_select(0, (starts + rows.expand(count, -1)[:, None]).view(-1))
        images = images.view(count, channels, height, width + edge)
    columns = columns.expand(count, width)
    return images.gather(3, columns[:, None, None].expand(count, channels, height, width))
