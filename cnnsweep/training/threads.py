"""The number of threads that torch uses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def keep_thread_count() -> Iterator[None]:
    """Restore the number of threads when the context is left, for the cells of a notebook after a sweep."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
