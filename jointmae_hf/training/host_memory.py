"""Memory of the host: kept for the next step instead of given back to the system and asked for again."""

import ctypes
import platform


_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # parameters of mallopt(3)


def disable_malloc_trim() -> bool:
    """Let the allocator of this process keep what is freed.

    glibc maps every large tensor anew and unmaps it when it is freed, so that a training step on a CPU touches each
    page of its tensors for the first time, again and again: up to a third of its time (`docs/performance.md`). The
    process holds what it needed at its peak until it ends. On CUDA, PyTorch's own allocator does the same.

    Returns:
        `bool`: Whether the allocator took the advice; other systems than Linux with glibc need none.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return mallopt(_MMAP_MAX, 0) == 1 and mallopt(_TRIM_THRESHOLD, -1) == 1
