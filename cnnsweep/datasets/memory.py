"""Memory limit for images."""

from cnnsweep.storage.free_memory import free_memory_bytes, gigabytes

__all__ = ["free_memory_bytes", "gigabytes", "image_memory_bytes"]

_SHARE = 0.5  # of the free memory; the rest is for models, activations and the system's own caches


def image_memory_bytes() -> int:
    """Return the number of bytes that images may take in memory: half of the free memory."""
    return int(_SHARE * free_memory_bytes())
