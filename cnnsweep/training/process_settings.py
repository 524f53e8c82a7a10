"""Settings of the process that trains: memory that is freed, and the number of threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from cnnsweep.training.malloc import keep_freed_memory


@contextlib.contextmanager
def training_process() -> Iterator[None]:
    """Keep freed memory for the next step, and restore the number of threads when the context is left.

    The cells of a notebook after a sweep have the threads that they had before.
    """
    keep_freed_memory()
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
