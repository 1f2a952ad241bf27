"""The processors and memory that this process may use, within the limits of its CPU affinity and control groups."""

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
Limit = TypeVar("Limit")


def processors() -> int:
    """Return the number of processors, at least 1."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([bound, *(math.floor(quota + 0.5) or 1 for quota in _limits("cpu", _quota))]))


@contextmanager
def thread_pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a thread pool; when the block is left, also by an interrupt, tasks that have not started are cancelled."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def memory() -> int:
    """Return the memory in bytes; 2**60 if it is unknown."""
    return min([_of_the_machine(), *_limits("memory", _memory_limit)])


def _of_the_machine() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        return 1 << 60


def _limits(controller: str, of_group: Callable[[Path], Limit | None]) -> Iterator[Limit]:
    """Yield the limits of this process's control groups (v1 and v2), up to the root."""
    try:
        lines = _MEMBERSHIP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        root = _GROUPS if not controllers else _GROUPS / controller if controller in controllers.split(",") else None
        if root is None:
            continue
        folder = root / path.lstrip("/")
        for group in [folder, *folder.parents]:
            try:
                limit = of_group(group)
            except (OSError, ValueError, ZeroDivisionError):
                limit = None
            if limit is not None:
                yield limit
            if group == root:
                break


def _quota(group: Path) -> float | None:
    if (group / "cpu.max").exists():
        quota, period = (group / "cpu.max").read_text().split()
    else:
        quota, period = ((group / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
    return int(quota) / int(period) if quota not in ("max", "-1") else None


def _memory_limit(group: Path) -> int | None:
    newer = group / "memory.max"
    limit = (newer if newer.exists() else group / "memory.limit_in_bytes").read_text().strip()
    return int(limit) if limit != "max" else None


def has_nvidia_driver() -> bool:
    """Tell whether NVIDIA's driver shows a GPU."""
    return any(Path("/dev").glob("nvidia[0-9]*"))
