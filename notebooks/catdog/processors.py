"""How many processors this process may use: those that it is bound to, and no more than its group's quota pays for."""

import math
import os
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def processors() -> int:
    """At least one."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(bound, *(math.floor(quota + 0.5) or 1 for quota in _quotas())))


def _quotas() -> list[float]:
    """Processors that the control groups of this process pay for, of both versions, up to the root."""
    found = [10**6]
    try:
        lines = _MEMBERSHIP.read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        _, controllers, path = line.split(":", 2)
        root = _GROUPS if not controllers else _GROUPS / "cpu" if "cpu" in controllers.split(",") else None
        if root is None:
            continue
        folder = root / path.lstrip("/")
        for group in [folder, *folder.parents]:
            found += _of_group(group)
            if group == root:
                break
    return found


def _of_group(group: Path) -> list[float]:
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return [int(quota) / int(period)] if quota not in ("max", "-1") else []
    except (OSError, ValueError, ZeroDivisionError):
        return []
