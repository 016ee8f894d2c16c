"""How much memory there is and how much is taken, on the host and on a CUDA device."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any


def resident(*, peak: bool = False) -> int | None:
    """Bytes of memory this process holds now, or at most held so far; None where the system does not say."""
    field = "VmHWM:" if peak else "VmRSS:"
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError:
        if not peak or sys.platform == "win32":
            return None
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), None)


def host_available() -> int | None:
    """Bytes the system can still give; None where it does not say. A control group's limit counts, too."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text("ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text("ascii"))
    except (OSError, ValueError):  # no group, or "max"
        return free
    return min(free, max(0, limit - used))


def device_memory(index: int = 0) -> tuple[int, int] | None:
    """(free, all) bytes of a CUDA device, as the driver's management library says; None where it says nothing."""

    class Info(ctypes.Structure):
        _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))

    try:
        library: Any = ctypes.CDLL("nvml.dll" if os.name == "nt" else "libnvidia-ml.so.1")
    except OSError:
        return None
    device, info = ctypes.c_void_p(), Info()
    if (
        library.nvmlInit_v2()
        or library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device))
        or library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(info))
    ):
        return None
    return info.free, info.total


def device_used(name: str) -> int | None:
    """Bytes taken on the device of that name (``cuda:0``), by whoever; None for the CPU."""
    kind, _, index = name.partition(":")
    found = device_memory(int(index or 0)) if kind == "cuda" else None
    return None if found is None else found[1] - found[0]
