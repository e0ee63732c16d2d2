"""What this machine is, for whoever shares out work or reports what was measured: cores, and the processor's model."""

import os
import platform
import re
from pathlib import Path

__all__ = ["cores", "processor"]


def cores() -> int:
    """The cores that this process may use, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's model, from the system; where it does not say, the architecture."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text(encoding="utf-8")) if info.exists() else None
    return found[1].strip() if found else platform.machine() or "an unknown processor"
