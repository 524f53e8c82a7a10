"""Tensors of K runs, in one of two memory layouts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor


class Layout(Enum):
    """Position of the run axis in a stacked tensor.

    RUNS puts them first: (K, *shape), for batched matrix products. CHANNELS puts them side by side in the channels:
    (N, K·C, *spatial), for grouped convolutions and all operations that do not mix channels.
    """

    RUNS = "runs"
    CHANNELS = "channels"


@dataclass(frozen=True, slots=True, eq=False)
class Stacked:
    """The values of K runs.

    Attributes:
        copies: in CHANNELS layout, the number of different values. K/copies consecutive runs share value g, as runs
            with the same batches share their images. K if each run has its own.
    """

    tensor: Tensor
    layout: Layout
    runs: int
    copies: int

    @classmethod
    def by_runs(cls, tensor: Tensor) -> Stacked:
        """Return a value from (K, *shape)."""
        return cls(tensor, Layout.RUNS, len(tensor), len(tensor))

    @classmethod
    def by_channels(cls, tensor: Tensor, runs: int, copies: int | None = None) -> Stacked:
        """Return a value from (N, copies·C, *spatial)."""
        return cls(tensor, Layout.CHANNELS, runs, runs if copies is None else copies)

    @property
    def shape(self) -> torch.Size:
        """The shape for one run."""
        if self.layout is Layout.RUNS:
            return self.tensor.shape[1:]
        batch, channels, *spatial = self.tensor.shape
        return torch.Size([batch, channels // self.copies, *spatial])

    @property
    def is_shared(self) -> bool:
        return self.copies < self.runs

    def with_tensor(self, tensor: Tensor) -> Stacked:
        """Return the same layout around another tensor."""
        return Stacked(tensor, self.layout, self.runs, self.copies)

    def own(self) -> Stacked:
        """Give each run its own copy of shared values."""
        return self.in_runs().in_channels() if self.is_shared else self

    def in_channels(self) -> Stacked:
        """Return the values in CHANNELS layout, four-dimensional ones in channels-last memory order."""
        if self.layout is Layout.CHANNELS:
            return self
        runs, batch, channels = self.tensor.shape[:3]
        spatial = self.tensor.shape[3:]
        # Through (N, *spatial, K, C), so that a copy already has the memory order that suits convolutions.
        last = self.tensor.movedim((0, 2), (-2, -1)).reshape(batch, *spatial, runs * channels)
        return Stacked.by_channels(last.movedim(-1, 1), self.runs)

    def in_runs(self) -> Stacked:
        """Return the values in RUNS layout: a view if the runs own theirs."""
        if self.layout is Layout.RUNS:
            return self
        view = self._runs_view()
        if self.is_shared:
            view = view.repeat_interleave(self.runs // self.copies, 0)
        return Stacked.by_runs(view)

    def of_run(self, run: int) -> Tensor:
        """Return one run's value, as a view."""
        if self.layout is Layout.RUNS:
            return self.tensor[run]
        return self._runs_view()[run * self.copies // self.runs]

    def _runs_view(self) -> Tensor:
        """Return (copies, N, C, *spatial) of a value in CHANNELS layout."""
        view: Tensor = self.tensor.unflatten(1, (self.copies, -1)).movedim(1, 0)
        return view
