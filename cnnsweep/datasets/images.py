"""Image sets for the training loop: batches by index, as uint8 on the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from cnnsweep.datasets.shared_memory import SharedMemory, give_back_freed_memory

# Share of a device's free memory for a resident copy of the images; the rest is for models and activations.
RESIDENT_SHARE = 0.5


class ImageSet(Protocol):
    """One part (training or test) of a data set."""

    @property
    def labels(self) -> Tensor:
        """(N,) int64, or with several labels an image (N, classes) uint8 of 0 and 1; on the CPU."""
        ...

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        ...

    def __len__(self) -> int: ...

    def file_name(self, position: int) -> str | None:
        """Return the file of an image, relative to the data set's folder; None for a data set that is no folder."""
        ...

    def subset(self, positions: Tensor) -> ImageSet:
        """Return the images at some positions, in their order."""
        ...

    def batches(self, chunks: Iterable[Tensor], device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and labels for each chunk of positions, in the chunks' order.

        Args:
            chunks: int64 tensors of any shape S on the CPU, for example (B,) or (K, B).

        Yields:
            uint8 images (*S, C, H, W) and labels (*S,) or (*S, classes), both on `device` and free to be overwritten.
        """
        ...


class MemoryImages:
    """Images in memory, copied once to each GPU that trains on them.

    Args:
        images: (N, C, H, W) uint8, contiguous, on the CPU; kept, not copied.
        labels: (N,) int64 or (N, classes) uint8, on the CPU.
        files: the name of each image's file, relative to the data set's folder; empty for images without files.
    """

    def __init__(self, images: Tensor, labels: Tensor, files: Sequence[str] = ()) -> None:
        assert images.dtype == torch.uint8
        assert images.is_contiguous()
        assert labels.shape[:1] == images.shape[:1]
        self.images = images
        self.labels = labels
        self._files = files
        self._resident: dict[torch.device, tuple[Tensor, Tensor]] = {}
        self._shared: SharedMemory | None = None

    def shared_memory(self) -> SharedMemory:
        """Move the images to memory that other processes can map, unless already done, and return it."""
        if self._shared is None:
            self._shared = SharedMemory.of_size(self.images.nbytes)
            shared = self._shared.tensor(tuple(self.images.shape))
            shared.copy_(self.images)
            self.images = shared
            give_back_freed_memory()  # otherwise the images would count twice in this process
        return self._shared

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def file_name(self, position: int) -> str | None:
        """See `ImageSet.file_name`."""
        return writable_name(self._files[position]) if self._files else None

    def subset(self, positions: Tensor) -> MemoryImages:
        """See `ImageSet.subset`; they are copied, so that the others leave the memory."""
        files = [self._files[position] for position in positions.tolist()] if self._files else ()
        return MemoryImages(self.images[positions], self.labels[positions], files)

    def batches(self, chunks: Iterable[Tensor], device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
        """See `ImageSet.batches`."""
        images, labels = self._at(device)
        for chunk in chunks:
            positions = to_device(chunk.reshape(-1), images.device)
            batch = images.index_select(0, positions).reshape(*chunk.shape, *self.image_shape)
            of_batch = labels.index_select(0, positions).reshape(*chunk.shape, *labels.shape[1:])
            yield to_device(batch, device), to_device(of_batch, device)

    def _at(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return images and labels on the device, or on the CPU if the device has too little memory."""
        if device.type == "cpu":
            return self.images, self.labels
        if device not in self._resident:
            fits = self.images.nbytes <= RESIDENT_SHARE * _free_bytes(device)
            home = device if fits else torch.device("cpu")
            self._resident[device] = (self.images.to(home), self.labels.to(home))
        return self._resident[device]


def writable_name(name: str) -> str:
    """Return a name with bytes outside UTF-8 as escapes, since result files hold UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Return the values on the device; a copy to a CUDA device does not wait for its queued work."""
    if values.device.type == device.type and device.index in (None, values.device.index):
        return values
    if device.type == "cuda" and not values.is_pinned():
        values = values.pin_memory()  # a copy from pageable memory would wait for the device
    return values.to(device, non_blocking=True)


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return 0  # an unknown kind of device gets its batches one by one
