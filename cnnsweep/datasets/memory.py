"""Memory limit for images."""

from cnnsweep.storage.free_memory import free_memory_bytes, gigabytes

__all__ = ["free_memory_bytes", "gigabytes", "image_memory_bytes"]

_SHARE = 0.5  # share of the free memory; the rest is for models, activations and the system's caches


def image_memory_bytes() -> int:
    """Return the limit of images in memory, in bytes: half of the free memory."""
    return int(_SHARE * free_memory_bytes())
