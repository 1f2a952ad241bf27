"""What the data doctor and testers suggest is one list with one field; what was decided is listed and taken back."""

import pytest
from catdog.curation.decisions import OUT, Suggestion, names
from catdog.curation.review import Review
from catdog.data.dataset import check
from catdog.data.feedback import Feedback
from catdog.data.images import read_photo
from catdog.data.sources import PhotoFolder
from catdog.data.synthetic import draw_folder
from conftest import drawing, refused


@pytest.fixture
def folder(tmp_path, own_places):
    return PhotoFolder(draw_folder(tmp_path / "pets", per_class=8), "pets", synthetic=True)


@pytest.fixture
def review():
    return Review("pets")


def reviewed(folder):
    """A review and the dataset, as the next run of the notebook has them."""
    review = Review("pets")
    return review, review.apply(check(folder))


def out(photo):
    return Suggestion(photo, "odd", OUT)


def sent(seed, label="dog"):
    Feedback("pets").add(read_photo(drawing("cat", seed)), label, {"model": "pets/1", "label": "cat"})


def suggested(review, dataset, monkeypatch, doctors=()):
    monkeypatch.setattr("catdog.curation.review.find_issues", lambda *others: list(doctors))
    return review.suggestions(dataset, {})


def test_testers_and_the_doctor_speak_in_one_list_and_are_answered_in_one_field(folder, monkeypatch):
    sent(90)
    review, dataset = reviewed(folder)
    odd = dataset.of("train")[0]
    found = suggested(review, dataset, monkeypatch, [out(odd)])
    assert [one.suggested for one in found] == ["dog", OUT]
    told = review.decide("as suggested", found, dataset)
    assert "decided on 2 photos" in told
    assert f"{odd.digest[:4]:8} {'out':12} {odd.path.parent.name}/{odd.path.name}" in told
    again, after = reviewed(folder)
    assert odd.path not in {photo.path for photo in after.photos}
    (accepted,) = (photo for photo in after.photos if photo.path.parent.name == "corrections")
    assert (accepted.label, accepted.split) == ("dog", "train")
    assert not suggested(again, after, monkeypatch)
    assert not Feedback("pets").all()


def test_what_was_decided_is_taken_back(folder, monkeypatch):
    sent(90)
    review, dataset = reviewed(folder)
    odd = dataset.of("train")[0]
    correction = suggested(review, dataset, monkeypatch)[0].photo
    review.decide("as suggested", [*suggested(review, dataset, monkeypatch), out(odd)], dataset)
    review, dataset = reviewed(folder)
    told = review.decide(f"{odd.digest[:6]} undo, {correction.digest[:6]} undo", [], dataset)
    assert told == "No decisions yet."
    review, dataset = reviewed(folder)
    assert odd.path in {photo.path for photo in dataset.photos}
    (back,) = suggested(review, dataset, monkeypatch)
    assert back.photo.path.is_file()
    assert "undid" in back.why
    review.decide(f"{back.photo.digest[:6]} cat", [back], dataset)
    assert back.photo.path in {photo.path for photo in reviewed(folder)[1].photos}


def test_words_that_stayed_in_their_field_accept_nothing_that_is_new(folder, monkeypatch):
    review, dataset = reviewed(folder)
    first, second, third = dataset.of("train")[:3]
    review.decide("as suggested", [out(first)], dataset)
    review, dataset = reviewed(folder)
    told = review.decide("as suggested", [out(second)], dataset)
    assert "1 suggestion made after" in told
    assert second in reviewed(folder)[1].photos
    assert "made after" not in review.decide("as suggested", [out(second)], dataset)
    assert second not in reviewed(folder)[1].photos
    review, dataset = reviewed(folder)
    review.decide("", [out(third)], dataset)
    assert "made after" not in review.decide("as suggested", [out(third)], dataset)
    assert third not in reviewed(folder)[1].photos


def test_no_decision_may_leave_nothing_of_a_class(folder, review):
    dataset = review.apply(check(folder))
    every = [out(photo) for photo in dataset.of("train") if photo.label == "cat"]
    with refused("photos-class-empty", "cat"):
        review.decide("as suggested", every, dataset)
    assert len(reviewed(folder)[1].photos) == len(dataset.photos)
    assert str(review) == "No decisions yet."


def test_a_photo_of_none_of_the_classes_stays_as_an_example_of_something_else(folder, review):
    dataset = review.apply(check(folder))
    wolf = dataset.of("test")[0]
    review.decide(f"{wolf.digest[:6]} none-of-these", [out(wolf)], dataset)
    after = reviewed(folder)[1]
    assert [(photo.path, photo.split) for photo in after.negatives] == [(wolf.path, "train")]
    assert wolf.path not in {photo.path for photo in after.photos}


def test_letters_name_a_suggestion_before_an_earlier_decision(folder, review):
    dataset = review.apply(check(folder))
    first, second = dataset.of("train")[:2]
    review.decide(f"{first.digest[:6]} out", [out(first)], dataset)
    assert names([out(second)])[second.digest] == second.digest[:4]
    with refused("decision-photo-unknown"):
        review.decide(f"{second.digest[:6]} undo", [out(second)], dataset)


def test_a_damaged_note_of_the_last_words_hinders_nothing(folder, review, own_places):
    dataset = review.apply(check(folder))
    (own_places / "data_dir" / "notes" / "pets" / "last.json").write_text("[")
    odd = dataset.of("train")[0]
    assert "on 1 photo:" in review.decide("as suggested", [out(odd)], dataset)
