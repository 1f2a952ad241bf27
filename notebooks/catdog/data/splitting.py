"""Which photos train, which validate, which test: by content, the same for ever, every class gets its share, and of
copies one counts."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from .folders import SPLITS, TEST, TRAIN, VALID

VALID_SHARE = TEST_SHARE = 0.15
CHANCE_SUFFICES = 100  # photos of a class: of so many, chance gives test 8 to 22 (95 %)


class Given(NamedTuple):
    """A photo before it is dealt: its digest, its class, and the split that its folder gives, if any."""

    digest: str
    label: str
    split: str | None


def copy_that_counts(copies: Sequence[Given]) -> int | None:
    """Which of these files that show the same photo counts: the first of those in test, else in valid, else in train.
    None where they lie in several classes: nobody knows which is right."""
    if len({copy.label for copy in copies}) > 1:
        return None
    return max(range(len(copies)), key=lambda index: SPLITS.index(copies[index].split or TRAIN))


def split_of(digest: str, given: str | None, splits_given: Collection[str]) -> str:
    """The split of a photo: the one that its folder says, `given`, or what its content says where there is none, or
    where among `splits_given`, those of all folders, one is missing."""
    shares, rest = _shares(given, splits_given)
    return _by_content(digest, shares, rest)


def deal(photos: Sequence[Given], dealt: Mapping[str, str], splits_given: Collection[str] | None = None) -> list[str]:
    """The splits of `photos`. What was dealt stays; each class gets its share of every split, from two photos on.

    A folder comes before what was dealt: a photo that its owner has since put into `train`, beside a `test` of their
    own, is not used for the test, whatever it was dealt to.

    Args:
        dealt: digest → split, of photos that were dealt before.
        splits_given: those of all folders, where `photos` are not all.
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
    """(split → the share that it takes of photos whose folder says `given`, the split of the rest)."""
    if given is None or set(splits_given) == {TRAIN}:
        return {TEST: TEST_SHARE, VALID: VALID_SHARE}, TRAIN
    if given == VALID and TEST not in splits_given:
        return {TEST: 0.5}, VALID
    if given == TRAIN and VALID not in splits_given:
        return {VALID: VALID_SHARE}, TRAIN
    return {}, given


def _place(digest: str) -> float:
    """Uniform in [0, 1), for ever the same for the same photo."""
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
    for keep in (least, {}):  # a class must train, even where that takes a photo back from what was dealt
        _fill(found, rest, 1, sorted(found, key=_place), keep)
    return found


def _least(photos: int, share: float) -> int:
    return min(photos - 1, max(1, round(share * photos)))


def _fill(found: dict[str, str], split: str, wanted: int, movable: Sequence[str], keep: Mapping[str, int]) -> None:
    """Move photos to `split` until it has so many, from splits that have more than they keep."""
    counts = Counter(found.values())
    for digest in movable:
        if counts[split] >= wanted:
            return
        current = found[digest]
        if current != split and counts[current] > keep.get(current, 0):
            found[digest] = split
            counts[current] -= 1
            counts[split] += 1
