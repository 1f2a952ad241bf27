"""Testers' words come back: kept few and small, looked at by the author, for training alone."""

import io
import json

import numpy as np
import pytest
from catdog import files
from catdog.backend.app import create_app
from catdog.backend.limits import Limits
from catdog.curation.corrections import Corrections
from catdog.curation.decisions import OUT, Decisions
from catdog.data.dataset import Dataset, Photo
from catdog.data.feedback import Feedback, FeedbackFull
from catdog.data.images import as_png, read_photo
from catdog.data.inspection import read_training_photo
from catdog.data.preprocessing import FITS, Preprocessing
from conftest import drawing, encoded, refused
from PIL import Image
from test_backend import is_problem, parts


@pytest.fixture(autouse=True)
def places(own_places):
    return own_places


@pytest.fixture
def client(classifier):
    return create_app(classifier, feedback=Feedback("pets", most=3)).test_client()


def send(client, photo, label=""):
    data = {"images": [(io.BytesIO(photo), "../../etc/passwd.jpg")], **({"label": label} if label else {})}
    return client.post("/corrections", data=data)


WIDE = Image.new("RGB", (640, 320), "red")
WIDE.paste(Image.open(io.BytesIO(drawing("dog", 3, "PNG"))), (160, 0))


def test_what_is_kept_is_what_the_network_saw_and_what_the_tester_said(client, classifier, places):
    photo = encoded(WIDE, quality=90)
    assert client.post("/predict", data=parts(("a", photo))).json["corrections"] is True
    taken = send(client, photo, "dog")
    assert (taken.status_code, taken.json["label"]) == (201, "dog")
    assert send(client, drawing("cat", 4)).json["label"] == "none of these"
    (first, second) = Feedback("pets").all()
    assert (first.label, second.label) == ("dog", None)
    assert (read_photo(first.path) == read_photo(photo)).all()
    assert first.said["model"] == classifier.bundle.id
    assert first.said["label"] in ("cat", "dog")
    assert sum(first.said["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    kept = sorted((places / "data_dir").rglob("*.*"))
    assert [path.parent.name for path in kept] == ["pets"] * 4
    assert "passwd" not in "".join(path.read_text() for path in kept if path.suffix == ".json")


@pytest.mark.parametrize("fixture", ["classifier", "earlier_classifier"])
def test_what_was_kept_is_prepared_for_training_without_a_change(request, fixture):
    """Also where the model that serves was trained on photos that were squeezed, and the next one is not."""
    serving = request.getfixturevalue(fixture)
    photo, feedback = encoded(WIDE, quality=90), Feedback("pets")
    send(create_app(serving, feedback=feedback).test_client(), photo, "dog")
    (kept,) = feedback.all()
    seen = read_photo(photo, preprocessing=serving.bundle.preprocessing)
    for read in (read_photo, read_training_photo):
        assert (read(kept.path.read_bytes()) == seen).all()
    for fit in FITS:
        assert (read_photo(kept.path, preprocessing=Preprocessing(224, fit)) == seen).all()


def test_where_and_when_a_photo_was_taken_is_not_kept(client):
    exif = Image.Exif()
    exif[0x010F] = "Secret Phones"
    photo = encoded(Image.new("RGB", (300, 200), "red"), exif=exif)
    assert b"Secret Phones" in photo
    send(client, photo, "cat")
    assert b"Secret" not in Feedback("pets").all()[0].path.read_bytes()


def test_the_same_photo_once_more_replaces_what_was_said_of_it(client):
    for label in ("dog", "cat"):
        assert send(client, drawing(), label).status_code == 201
    assert [one.label for one in Feedback("pets").all()] == ["cat"]


def test_so_many_and_no_more(client):
    for seed in range(3):
        assert send(client, drawing("cat", seed), "cat").status_code == 201
    assert is_problem(send(client, drawing("cat", 3), "cat"), "corrections-full")
    assert send(client, drawing("cat", 2), "dog").status_code == 201  # one that is there already
    assert len(Feedback("pets").all()) == 3


def test_one_client_does_not_take_all_places(classifier):
    client = create_app(classifier, limits=Limits(corrections=2), feedback=Feedback("pets")).test_client()

    def sent_by(address, seed):
        data = {"images": [(io.BytesIO(drawing("cat", seed)), "x")], "label": "cat"}
        return client.post("/corrections", data=data, headers={"X-Forwarded-For": address})

    assert [sent_by("203.0.113.7", seed).status_code for seed in (1, 1, 1, 2)] == [201] * 4  # two photos
    assert is_problem(refusal := sent_by("203.0.113.7", 3), "too-many-requests")
    assert "tomorrow" in refusal.json["detail"]
    assert sent_by("203.0.113.8", 3).status_code == 201
    assert [sent_by("", seed).status_code for seed in (4, 5, 6)] == [201] * 3  # the author, at this machine
    assert len(Feedback("pets").all()) == 6


@pytest.mark.parametrize(
    ("photo", "label", "slug"),
    [(drawing(), "giraffe", "label-unknown"), (b"words", "cat", "photo-format"), (b"", "cat", "photo-empty")],
)
def test_what_cannot_be_is_refused_and_not_kept(client, photo, label, slug):
    assert is_problem(send(client, photo, label), slug)
    assert not Feedback("pets").all()


def test_nothing_is_kept_unless_the_author_asks(classifier, places):
    client = create_app(classifier).test_client()
    assert is_problem(send(client, drawing(), "cat"), "corrections-off")
    assert "corrections" not in client.post("/predict", data=parts(("a", drawing()))).json
    assert not (places / "data_dir" / "feedback").exists()


def test_corrections_are_for_those_with_the_code(classifier):
    client = create_app(classifier, feedback=Feedback("pets"), ACCESS_CODE="for-testers").test_client()
    assert is_problem(send(client, drawing(), "cat"), "code-missing")


def test_a_disk_that_takes_nothing_is_told(client, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("catdog.paths.tempfile.NamedTemporaryFile", full)
    assert is_problem(refusal := send(client, drawing(), "cat"), "corrections-full")
    assert "could not be kept" in refusal.json["detail"]


def test_a_photo_without_what_was_said_of_it_is_not_kept(monkeypatch):
    """The disk has room for the photo, and none for the record."""

    def full(path):
        if path.suffix == ".json":
            raise OSError(28, "No space left on device")
        return written_whole(path)

    written_whole, box = files.written_whole, Feedback("pets")
    monkeypatch.setattr(files, "written_whole", full)
    with pytest.raises(OSError, match="No space"):
        box.add(read_photo(drawing()), "cat", {})
    assert not list(box.folder.iterdir())
    monkeypatch.undo()


def test_a_folder_that_was_tidied_away_is_made_anew(client):
    Feedback("pets").folder.rmdir()
    assert send(client, drawing(), "cat").status_code == 201


def test_a_damaged_record_is_passed_over(client):
    send(client, drawing("cat", 1), "cat")
    send(client, drawing("cat", 2), "cat")
    one, other = Feedback("pets").all()
    for record in ("{", "[]", json.dumps({"label": 3, "said": {}}), json.dumps({"label": "cat"})):
        one.path.with_suffix(".json").write_text(record)
        assert [found.digest for found in Feedback("pets").all()] == [other.digest]


# --- in notebook 1 ---


def a_dataset():
    return Dataset(
        "pets", ("cat", "dog"), (Photo(None, "cat", "train", "a" * 64), Photo(None, "dog", "test", "b" * 64)), ()
    )


def keep(seed, label):
    photo = read_photo(drawing("cat", seed))
    Feedback("pets").add(photo, label, {"model": "pets/1", "label": "cat", "probabilities": {}})
    return photo


def names_of(suggestions):
    return [one.photo.digest[:6] for one in suggestions]


def test_accepted_ones_join_training_and_rejected_ones_are_removed(places):
    photos = [keep(seed, label) for seed, label in enumerate(("dog", "dog", None, "cat"))]
    decisions = Decisions("pets")
    corrections = Corrections("pets", "pets", decisions)
    sent = corrections.suggestions()
    assert [one.suggested for one in sent] == ["dog", "dog", OUT, "cat"]
    assert sent[0].why == "pets/1 said cat, a tester said dog"
    accept, relabel, _, _ = names_of(sent)
    decisions.record(f"{accept} dog, {relabel} cat, {names_of(sent)[2]} out", sent, ("cat", "dog"))
    corrections.process()
    joined = Corrections("pets", "pets", Decisions("pets")).merge_into(a_dataset())
    added = joined.photos[2:]
    assert {(photo.digest[:6], photo.label, photo.split) for photo in added} == {
        (accept, "dog", "train"),
        (relabel, "cat", "train"),
    }
    assert sorted(np.abs(read_photo(photo.path).astype(int) - photos[0]).max() for photo in added)[0] == 0
    assert [one.suggested for one in corrections.suggestions()] == ["cat"]  # undecided, it waits
    assert [path.suffix for path in sorted(Feedback("pets").folder.iterdir())] == [".json", ".png"]
    assert Corrections("pets", "pets", decisions).merge_into(joined) == joined


def test_what_was_decided_before_is_not_asked_again(places):
    keep(1, "dog")
    decisions = Decisions("pets")
    corrections = Corrections("pets", "pets", decisions)
    decisions.record("as suggested", corrections.suggestions(), ("cat", "dog"))
    corrections.process()
    keep(1, "cat")
    corrections.process()
    assert not corrections.suggestions()
    assert [photo.label for photo in corrections.merge_into(a_dataset()).photos[2:]] == ["dog"]


def test_as_png_gives_the_same_pixels_again():
    photo = read_photo(drawing("dog", 9))
    assert (read_photo(as_png(photo)) == photo).all()


@pytest.mark.parametrize("name", ["../../x", "", "Meine Tiere!"])
def test_a_name_that_leads_elsewhere_makes_no_folder(places, name):
    with refused("model-name"):
        Feedback(name)
    assert not list(places.parent.glob("x"))
    assert not (places / "data_dir" / "feedback").exists()


def test_full_is_full():
    box = Feedback("pets", most=0)
    with pytest.raises(FeedbackFull):
        box.add(read_photo(drawing()), "cat", {})
