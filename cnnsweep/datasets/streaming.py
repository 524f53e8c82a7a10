"""Streaming of images that do not fit in memory: worker processes decode them again for each batch."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cnnsweep.datasets.decode import Form, decode, one_line, usable_cores
from cnnsweep.datasets.folder_listing import ImageFile
from cnnsweep.datasets.images import to_device, writable_name
from cnnsweep.errors import DataError
from cnnsweep.formatting.escape import safe_text

_MOST_WORKERS = 16


class StreamedImages:
    """Images decoded on demand; the same bytes as in `MemoryImages`, for any number of workers.

    Args:
        paths: N image files.
        labels: (N,) int64 or (N, classes) uint8, on the CPU.
        form: the target format of each image.
        workers: processes that decode; 0 decodes in this one.
        files: the state of each file when the data set was opened; a changed file is not read.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        labels: Tensor,
        form: Form,
        workers: int | None = None,
        *,
        files: Sequence[ImageFile] | None = None,
    ) -> None:
        self.labels = labels
        self._paths = paths
        self._form = form
        self._files = files
        self._chunks = _DecodedChunks(tuple(map(str, paths)), form, None if files is None else tuple(files))
        self._workers = min(usable_cores(), _MOST_WORKERS) if workers is None else workers

    def with_workers(self, workers: int) -> StreamedImages:
        """Return the same images with this number of decoding processes."""
        other = copy.copy(self)
        other._workers = workers
        return other

    def subset(self, positions: Tensor) -> StreamedImages:
        """See `ImageSet.subset`; the other files are not read."""
        chosen = positions.tolist()
        files = None if self._files is None else [self._files[position] for position in chosen]
        paths = [self._paths[position] for position in chosen]
        return StreamedImages(paths, self.labels[positions], self._form, self._workers, files=files)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self._form.shape

    def file_name(self, position: int) -> str | None:
        """See `ImageSet.file_name`."""
        return None if self._files is None else writable_name(self._files[position].path)

    def batches(self, chunks: Iterable[Tensor], device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
        """See `ImageSet.batches`.

        Raises:
            DataError: a file can no longer be read, or has changed since the data set was opened.
        """
        # The loader passes each chunk to the data set as one index, and returns the results in order.
        loader = DataLoader(
            self._chunks,
            sampler=(chunk.numpy() for chunk in chunks),
            batch_size=None,
            num_workers=self._workers,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # otherwise the loader would draw from the global one
        )
        for positions, images in loader:
            if isinstance(images, str):
                raise DataError(images)
            yield to_device(images, device), to_device(self.labels[positions], device)


class _DecodedChunks(Dataset[tuple[Tensor, Tensor | str]]):
    """Mapping from positions (*S,) to themselves and their images (*S, C, H, W), or to an error text."""

    def __init__(self, paths: tuple[str, ...], form: Form, files: tuple[ImageFile, ...] | None) -> None:
        self._paths = paths
        self._form = form
        self._files = files

    def __getitem__(self, positions: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor | str]:
        images = np.empty((positions.size, *self._form.shape), np.uint8)
        for place, position in enumerate(positions.flat):
            reason = None
            try:
                images[place] = decode(Path(self._paths[position]), self._form)
                # Checked after reading, so that no change is missed: the next start decodes all changed files.
                if self._files is not None and not self._files[position].is_still(os.stat(self._paths[position])):  # noqa: PTH116
                    reason = "has changed during training; run again to check that the data are still the same"
            except Exception as error:
                # Returned as a value: an exception would reach the parent wrapped in the worker's traceback.
                reason = f"cannot be read any more ({safe_text(one_line(error))}); put it back and run again"
            if reason is not None:
                return torch.from_numpy(positions), f"{safe_text(self._paths[position])}: {reason}"
        return torch.from_numpy(positions), torch.from_numpy(images.reshape(*positions.shape, *self._form.shape))
