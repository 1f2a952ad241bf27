"""Near duplicates by features: photos that were cropped or saved again, or shots of one burst."""

from collections.abc import Iterator

import numpy as np

from ..backbones.architectures import at_length_1
from ..progress import bar

# Cosine similarity of two photos' features. Of 200 photos cropped by up to 4 % per side, brightened by 15 %, or
# compressed to a quality of 50, all reach it with the original; scaled to half, 96 % do; cropped, scaled to 70 %,
# brightened and compressed at once, 94 %. Of the 844,350 pairs of 1,300 photos of cats and dogs, none does: the largest
# is 0.897, 0.908 at 288 pixels, 0.840 by EfficientNet-Lite0.
NEAR = 0.92
_ROWS = 2000
_ALL_COMPARED = 20_000  # vectors: 4 seconds; more are compared within neighbourhoods
_PROBES = 4  # of 900 copies among 9,270 photos: with 4, all that comparing all finds; with 2, 96 %
_FEW_COPIES = 8
_SAMPLE, _SHARE = 500, 0.15  # of the median squared distance


def near_before(vectors: np.ndarray, most: float) -> Iterator[tuple[int, int]]:
    """Yield (row of a vector that is near an earlier one, row of the nearest earlier one), for vectors float (n, size).

    Up to 20,000 vectors are all compared with one another. Of more, only those that share one of their `_PROBES`
    nearest landmarks, which are some of the vectors; so the time does not grow with the square of their number.

    Args:
        most: squared distance up to which vectors are near.
    """
    if len(vectors) <= _ALL_COMPARED:
        yield from ((row, before) for row, before, _ in _compared(vectors, most, show=len(vectors) > _ROWS))
        return
    found: dict[int, tuple[float, int]] = {}
    for rows in bar(_neighbourhoods(vectors), what="Near duplicates", unit="neighbourhoods"):
        for row, before, distance in _compared(vectors[rows], most):
            place, nearest = int(rows[row]), (distance, int(rows[before]))
            found[place] = min(found.get(place, nearest), nearest)
    yield from ((row, before) for row, (_, before) in sorted(found.items()))


def _compared(vectors: np.ndarray, most: float, show: bool = False) -> Iterator[tuple[int, int, float]]:
    """Yield (row, row of the nearest earlier vector, squared distance) of all pairs that are near."""
    squares = (vectors**2).sum(axis=1)
    starts = range(0, len(vectors), _ROWS)
    for start in bar(starts, what="Near duplicates", unit=f"× {_ROWS} photos") if show else starts:
        here, before = slice(start, start + _ROWS), slice(0, start + _ROWS)
        distances = squares[here, None] + squares[before] - 2 * vectors[here] @ vectors[before].T
        distances[:, start:][np.triu_indices(distances.shape[0])] = np.inf  # itself and later ones
        nearest = distances.argmin(axis=1)
        least = distances[np.arange(len(nearest)), nearest]
        for row in np.flatnonzero(least <= most):
            yield start + int(row), int(nearest[row]), float(least[row])


def _neighbourhoods(vectors: np.ndarray) -> list[np.ndarray]:
    """Return, for each landmark, the ascending rows of the vectors that have it among their nearest landmarks."""
    chosen = np.random.default_rng(0).choice(len(vectors), int(len(vectors) ** 0.5), replace=False)
    landmarks = vectors[chosen]
    squares = (landmarks**2).sum(axis=1)
    nearest = np.concatenate([
        np.argpartition(squares - 2 * vectors[start : start + _ROWS] @ landmarks.T, _PROBES, axis=1)[:, :_PROBES]
        for start in range(0, len(vectors), _ROWS)
    ])  # fmt: skip
    by_landmark = np.argsort(nearest, axis=None, kind="stable")
    return np.split(by_landmark // _PROBES, np.cumsum(np.bincount(nearest.ravel(), minlength=len(chosen)))[:-1])


def near_copies(features: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield pairs as `near_before` does, for features float (n, size) with a cosine similarity of at least `NEAR`."""
    return near_before(at_length_1(features), 2 * (1 - NEAR))


def groups_of(features: np.ndarray) -> np.ndarray:
    """Return the group number of each photo, int (n,): near copies, and their near copies, share one. Features float
    (n, size).

    The distance limit adapts to the photos: if all are alike, such as drawings or parts on one table, copies must be
    closer to each other. For photos of cats and dogs it is about the same as `NEAR`.
    """
    centered = (features - features.mean(axis=0)).astype(np.float32)
    some = centered[np.linspace(0, len(centered) - 1, min(len(centered), _SAMPLE)).astype(int)]
    group = np.arange(len(features))
    if len(some) < 2:
        return group
    squares = (some**2).sum(axis=1)
    pairs = np.triu_indices(len(some), 1)
    distances = (squares[:, None] + squares - 2 * some @ some.T)[pairs]
    for row, before in near_before(centered, _SHARE * float(np.median(distances))):
        group[row] = group[before]  # which is earlier, so its own group is final
    _, places, sizes = np.unique(group, return_inverse=True, return_counts=True)
    too_many = sizes[places] > max(_FEW_COPIES, len(group) // 10)  # alike, but not copies
    group[too_many] = np.flatnonzero(too_many) + len(group)
    return group
