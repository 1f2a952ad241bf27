"""The one look of all progress bars: what, how far, how fast, how long still."""

import sys
from collections.abc import Iterable

from tqdm import tqdm


def bar(items: Iterable | None = None, *, what: str, unit: str, total: int | None = None, scale: bool = False) -> tqdm:
    """A text bar on standard output (plain text reads the same in Colab, in a terminal and in CI).

    Wraps `items`, or without them is moved on by `.update(n)`; `scale` writes bytes as kB and MB.
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
