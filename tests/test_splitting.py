"""Every class gets its share of every split, and what was dealt once stays."""

import hashlib
from collections import Counter

from catdog.splitting import Given, deal, split_of
from hypothesis import given
from hypothesis import strategies as st


def photos(number, label="cat", split=None, first=0):
    return [
        Given(hashlib.sha256(f"{label} {one}".encode()).hexdigest(), label, split)
        for one in range(first, first + number)
    ]


def counts(splits):
    found = Counter(splits)
    return tuple(found[split] for split in ("train", "valid", "test"))


@given(st.integers(0, 10**6))
def test_few_photos_have_a_share_of_each(first):
    assert counts(deal(photos(1, first=first), {})) == (1, 0, 0)
    assert counts(deal(photos(2, first=first), {})) == (1, 0, 1)
    for number in (3, 5, 10):
        assert min(counts(deal(photos(number, first=first), {}))) >= 1
    train, valid, test = counts(deal(photos(40, first=first), {}))
    assert valid >= 6
    assert test >= 6
    assert train >= 15


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(0, 10**6))
def test_photos_that_are_added_move_none_and_get_what_is_missing(added, first):
    dealt, number = {}, 0
    for more in added:
        number += more
        some = photos(number, first=first)
        found = dict(zip((one.digest for one in some), deal(some, dealt)))
        assert {digest: found[digest] for digest in dealt} == dealt
        if number > 2:
            assert min(counts(found.values())) >= 1
        dealt = found


def test_a_class_that_has_lost_its_training_photos_trains_again():
    some = photos(2)
    assert "train" in deal(some, {one.digest: "test" for one in some})


def test_many_photos_are_dealt_by_content_alone():
    some = photos(400)
    assert deal(some, {}) == [split_of(one.digest, None, ()) for one in some]


def test_what_folders_say_comes_first_and_what_is_missing_is_taken_from_them():
    given = [*photos(6, split="train"), *photos(6, split="test", first=6)]
    found = deal(given, {})
    assert found[6:] == ["test"] * 6
    assert counts(found[:6]) == (5, 1, 0)
    halved = deal([*photos(6, split="train"), *photos(6, split="valid", first=6)], {})
    assert halved[:6] == ["train"] * 6
    assert min(counts(halved[6:])[1:]) >= 2
    whole = [Given(one.digest, one.label, split) for one, split in zip(photos(3), ("train", "valid", "test"))]
    assert deal(whole, dict.fromkeys((one.digest for one in whole), "train")) == ["train", "valid", "test"]
