"""The common format of all progress bars: task, progress, speed and time left."""

import sys
from collections.abc import Iterable

from tqdm import tqdm


def bar(items: Iterable | None = None, *, what: str, unit: str, total: int | None = None, scale: bool = False) -> tqdm:
    """Return a text progress bar on standard output (plain text looks the same in Colab, a terminal and CI).

    It wraps `items`; without them, call `.update(n)`. `scale` shows bytes as kB and MB.
    """
    return tqdm(
        items,
        desc=what,
        unit=f" {unit}",
        total=total,
        unit_scale=scale,
        file=sys.stdout,
        dynamic_ncols=False,
        ncols=96,
        mininterval=0.5,
    )
