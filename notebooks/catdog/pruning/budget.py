"""Allocate channels to layers: minimize the total loss within a compute budget."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

STEP = 16  # processors handle channels in groups of sixteen


def arithmetic(widths: Sequence[int], sides: Sequence[int], entering: int = 3) -> float:
    """Return the multiply-accumulate operations of a chain of 3×3 convolutions for one photo, in billions (GMACs).

    Args:
        widths: output channels of each layer; `sides`: of its images, pixels; `entering`: channels of the photo.
    """
    return sum(9 * a * b * side**2 for (a, b), side in zip(pairwise([entering, *widths]), sides)) / 1e9


def widths_within(gmacs: float, losses: Sequence[dict[int, float]], sides: Sequence[int], last: int) -> tuple[int, ...]:
    """Return the widths with the smallest total loss that take at most `gmacs`.

    The cost of a layer depends on its own width and that of the layer before. So for a given price per GMAC, dynamic
    programming finds the best chain exactly, layer by layer (Viterbi 1967). Bisection finds the price.

    Args:
        losses: for each layer but the last, width → loss.
        sides: of each layer's images, pixels; `last`: the width of the last layer, which is fixed.
    """
    low, high = 1e-9, 1e9
    cheapest = _cheapest(high, losses, sides, last)
    for _ in range(40):
        price = (low * high) ** 0.5
        found = _cheapest(price, losses, sides, last)
        if arithmetic(found, sides) > gmacs:
            low = price
        else:
            high, cheapest = price, found
    return cheapest


def _cheapest(price: float, losses: Sequence[dict[int, float]], sides: Sequence[int], last: int) -> tuple[int, ...]:
    widths, costs, ways = np.array([3]), np.zeros(1), []
    for allowed, side in zip([*losses, {last: 0.0}], sides):
        wide = np.array(list(allowed))
        through = costs[:, None] + price * 9 * np.outer(widths, wide) * side**2 / 1e9
        ways.append((wide, through.argmin(axis=0)))
        widths, costs = wide, through.min(axis=0) + np.array(list(allowed.values()))
    place, found = int(costs.argmin()), []
    for wide, came_from in reversed(ways):
        found.append(int(wide[place]))
        place = int(came_from[place])
    return tuple(reversed(found))
