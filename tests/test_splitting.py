"""Every class gets its share of every split, and what was dealt once stays."""

import hashlib
from collections import Counter

import pytest
from catdog.data.splitting import Given, copy_that_counts, deal, split_of
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


@pytest.mark.parametrize("number", [6, 200])
def test_what_was_dealt_to_the_test_and_lies_in_train_now_is_not_tested_with(number):
    some = [*photos(number, split="train"), *photos(6, split="test", first=number)]
    remembered = deal(some, dict.fromkeys((one.digest for one in some), "test"))
    assert counts(remembered)[2] == 6
    assert remembered == deal(some, {})  # what a folder contradicts is dealt as if it were new
    with_all = [*some, *photos(6, split="valid", first=number + 6)]
    assert deal(with_all, dict.fromkeys((one.digest for one in some), "test"))[:number] == ["train"] * number


def test_what_was_dealt_stays_where_its_folder_allows_it():
    some = [*photos(6, split="train"), *photos(6, split="test", first=6)]
    two = {one.digest: "valid" for one in some[1:3]}
    assert [split for one, split in zip(some, deal(some, two)) if one.digest in two] == ["valid"] * 2
    only_train = photos(6, split="train")  # beside no other folder: then all three are taken from it
    dealt = dict(zip((one.digest for one in only_train), ["test", "test", "valid", "train", "train", "train"]))
    assert deal(only_train, dealt) == list(dealt.values())
    halved = [*photos(6, split="train"), *photos(6, split="valid", first=6)]
    found = deal(halved, dict.fromkeys((one.digest for one in halved), "train"))
    assert found[:6] == ["train"] * 6
    assert set(found[6:]) == {"valid", "test"}


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


@pytest.mark.parametrize(
    ("copies", "counts"),
    [
        ([("cat", None)], 0),
        ([("cat", None), ("cat", None)], 0),
        ([("cat", "train"), ("cat", "test"), ("cat", "valid"), ("cat", "test")], 1),
        ([("cat", None), ("cat", "train"), ("cat", "valid")], 2),
        ([("cat", None), ("cat", "train")], 0),  # without a folder's word, a photo is taken for one that trains
        ([("cat", "test"), ("dog", "train")], None),
    ],
)
def test_of_copies_one_counts_and_of_those_in_two_classes_none(copies, counts):
    assert copy_that_counts([Given("", label, split) for label, split in copies]) == counts
