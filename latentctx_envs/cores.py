"""How many processor cores this process may use."""

import os


def available_cores() -> int:
    """Cores that the scheduler gives this process; all of the machine's where that cannot be asked."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
