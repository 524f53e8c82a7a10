"""Keep the memory that a training step frees, for the next step to use again."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # from glibc's malloc.h


def keep_freed_memory() -> bool:
    """Stop glibc's malloc from returning freed pages to the kernel; return True if that is possible.

    A training step allocates and frees activations of many megabytes. By default glibc maps each block again, and every
    page of it faults: up to half of a small network's step. With this setting the process keeps its peak. Harmless
    without glibc, and for memory on other devices.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has no mallopt
        return False
    # One arena: the arenas of other threads have heaps of 64 MB, too small for the allocations of a step.
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_ARENA_MAX, 1))
    done = [mallopt(parameter, value) for parameter, value in settings]
    return all(done)
