"""Split photos into train, valid and test: by content, permanently, stratified by class, and without duplicates."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from .folders import SPLITS, TEST, TRAIN, VALID

VALID_SHARE = TEST_SHARE = 0.15
CHANCE_SUFFICES = 100  # photos of a class: 8 to 22 of them go to test by chance (95 %)


class Given(NamedTuple):
    """A photo to be assigned to a split: its digest, its class, and the split that its folder gives, if any."""

    digest: str
    label: str
    split: str | None


def copy_that_counts(copies: Sequence[Given]) -> int | None:
    """Return which of several copies of a photo to use: the first in test, else in valid, else in train. None if they
    are in several classes, since the right one is unknown."""
    if len({copy.label for copy in copies}) > 1:
        return None
    return max(range(len(copies)), key=lambda index: SPLITS.index(copies[index].split or TRAIN))


def split_of(digest: str, given: str | None, splits_given: Collection[str]) -> str:
    """Return the split of a photo: `given`, that of its folder; by its content if there is none, or if one is missing
    in `splits_given`, those of all folders."""
    shares, rest = _shares(given, splits_given)
    return _by_content(digest, shares, rest)


def deal(photos: Sequence[Given], dealt: Mapping[str, str], splits_given: Collection[str] | None = None) -> list[str]:
    """Return the splits of `photos`. Earlier splits stay; each class with at least two photos gets its share of every
    split.

    A folder overrides an earlier split: a photo that its owner has since moved into `train`, beside a `test` of their
    own, is not used for the test.

    Args:
        dealt: digest → split, of photos that were split before.
        splits_given: those of all folders, if `photos` are not all photos.
    """
    if splits_given is None:
        splits_given = {photo.split for photo in photos if photo.split is not None}
    groups = defaultdict(list)
    for photo in photos:
        groups[photo.label, photo.split].append(photo.digest)
    found: dict[str, str] = {}
    for (_, split), digests in groups.items():
        shares, rest = _shares(split, splits_given)
        possible = {*shares, rest}
        stays = {digest: dealt[digest] for digest in digests if dealt.get(digest) in possible}
        found |= _dealt(digests, shares, rest, stays)
    return [found[photo.digest] for photo in photos]


def _shares(given: str | None, splits_given: Collection[str]) -> tuple[dict[str, float], str]:
    """Return (split → its share of the photos whose folder gives `given`, the split of the rest)."""
    if given is None or set(splits_given) == {TRAIN}:
        return {TEST: TEST_SHARE, VALID: VALID_SHARE}, TRAIN
    if given == VALID and TEST not in splits_given:
        return {TEST: 0.5}, VALID
    if given == TRAIN and VALID not in splits_given:
        return {VALID: VALID_SHARE}, TRAIN
    return {}, given


def _place(digest: str) -> float:
    """Map a digest to a number that is uniform in [0, 1), and always the same for the same photo."""
    return int(digest[:8], 16) / 2**32


def _by_content(digest: str, shares: Mapping[str, float], rest: str) -> str:
    end = 0.0
    for split, share in shares.items():
        end += share
        if _place(digest) < end:
            return split
    return rest


def _dealt(digests: Sequence[str], shares: Mapping[str, float], rest: str, dealt: Mapping[str, str]) -> dict[str, str]:
    found = {digest: dealt.get(digest) or _by_content(digest, shares, rest) for digest in digests}
    if len(found) >= CHANCE_SUFFICES:
        return found
    least = {split: _least(len(found), share) for split, share in shares.items()}
    if len(found) == 2:
        least[VALID] = min(least.get(VALID, 0), 2 - len(shares))
    new = sorted((digest for digest in found if digest not in dealt), key=_place)
    for split in shares:
        _fill(found, split, least[split], new, least | {rest: 1})
    for keep in (least, {}):  # a class needs training photos, even if that moves a photo that was split before
        _fill(found, rest, 1, sorted(found, key=_place), keep)
    return found


def _least(photos: int, share: float) -> int:
    return min(photos - 1, max(1, round(share * photos)))


def _fill(found: dict[str, str], split: str, wanted: int, movable: Sequence[str], keep: Mapping[str, int]) -> None:
    """Move `movable` photos to `split` until it has `wanted`, from splits that have more than they `keep`."""
    counts = Counter(found.values())
    for digest in movable:
        if counts[split] >= wanted:
            return
        current = found[digest]
        if current != split and counts[current] > keep.get(current, 0):
            found[digest] = split
            counts[current] -= 1
            counts[split] += 1
