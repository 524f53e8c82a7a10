"""Memory limit for images."""

from cnnsweep.free_memory import free_memory_bytes, gigabytes

__all__ = ["free_memory_bytes", "gigabytes", "image_memory_bytes"]

_SHARE = 0.5  # of the free memory; the rest is for models, activations and the system's own caches


def image_memory_bytes() -> int:
    """Return how many bytes of images may be held in memory: half of what is free now."""
    return int(_SHARE * free_memory_bytes())
