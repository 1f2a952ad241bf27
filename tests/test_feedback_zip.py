"""Corrections that testers saved from a site come back as zips: taken in once, and nothing else of what they hold."""

import json
import random
import struct
import zipfile
import zlib

import numpy as np
import pytest
from catdog.curation import corrections as module
from catdog.curation.corrections import Corrections
from catdog.curation.decisions import OUT, Decisions
from catdog.curation.review import Review
from catdog.data import feedback_zip
from catdog.data.feedback import Feedback
from catdog.data.feedback_zip import corrections_in
from catdog.data.images import as_png, read_photo
from catdog.notebook.settings import read_settings
from conftest import ROOT, drawing, encoded, notebook_cells, refused
from PIL import Image
from test_corrections import a_dataset

SAID = {"model": "pets/2026-11-29-134152", "label": "cat", "probabilities": {"cat": 0.9, "dog": 0.1}}


@pytest.fixture(autouse=True)
def places(own_places):
    return own_places


def photo(seed):
    return read_photo(drawing("cat", seed))


def record(truth="dog", /, **said):
    more = {"confident": True, "in_distribution": True}
    return json.dumps({"label": truth, "said": {**SAID, **more, **said}, "when": "2026-12-01T10:00:00.000Z"}).encode()


def corrected(seed, truth="dog", /, **said):
    """The two files of a correction, as kept_corrections.js names them."""
    data = as_png(photo(seed))
    name = f"{zlib.crc32(data):x}-{len(data)}"
    return {f"{name}.png": data, f"{name}.json": record(truth, **said)}


def packed(path, *groups, kind=zipfile.ZIP_STORED):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", kind) as zipped:
        for name, data in (pair for group in groups for pair in group.items()):
            zipped.writestr(name, data)
    return path


@pytest.fixture
def box():
    """Corrections for the model pets, and what was said."""
    found = Corrections("pets", "pets", Decisions("pets"))
    found.said = []
    found.take = lambda path: found.take_in(str(path), found.said.append)
    return found


def labels():
    return [one.label for one in Feedback("pets").all()]


# --- taken in ---


def test_what_a_tester_saved_waits_for_a_decision(box, places):
    archive = packed(places / "corrections.zip", corrected(1), corrected(2, None), corrected(3, "cat", label="dog"))
    before = archive.read_bytes()
    box.take(f"  {archive} ")
    assert box.said == [f"{archive}: 3 corrections taken in."]
    assert sorted(map(str, labels())) == ["None", "cat", "dog"]
    by_pixels = {read_photo(one.path).tobytes(): one for one in Feedback("pets").all()}
    assert by_pixels[photo(1).tobytes()].said == SAID
    waiting = {one.photo.digest: one for one in box.suggestions()}
    assert sorted(str(one.suggested) for one in waiting.values()) == ["cat", "dog", "out"]
    assert waiting[by_pixels[photo(2).tobytes()].digest].suggested is OUT
    told = waiting[by_pixels[photo(1).tobytes()].digest].why
    assert told == "pets/2026-11-29-134152 said cat, a tester said dog"
    assert archive.read_bytes() == before


def test_a_zip_that_was_taken_in_before_adds_nothing(box, places):
    archive = packed(places / "corrections.zip", corrected(1), corrected(2))
    box.take(archive)
    box.take(archive)
    assert len(labels()) == 2
    assert box.said[-1] == f"{archive}: 2 corrections taken in."


def test_what_was_decided_does_not_come_back_and_what_was_accepted_trains(places):
    archive = packed(places / "corrections.zip", corrected(1), corrected(2, "cat"), corrected(3))
    decisions = Decisions("pets")
    corrections, said = Corrections("pets", "pets", decisions), []
    corrections.take_in(str(archive), said.append)
    sent = {read_photo(one.photo.path).tobytes(): one for one in corrections.suggestions()}
    accepted, rejected = (sent[photo(seed).tobytes()].photo.digest for seed in (1, 2))
    decisions.record(f"{accepted[:8]} dog, {rejected[:8]} out", corrections.suggestions(), ("cat", "dog"))
    corrections.process()
    corrections.take_in(str(archive), said.append)
    outcomes = said[-1].removeprefix(f"{archive}: ").removesuffix(".").split(", ")
    assert sorted(outcomes) == ["1 correction taken in", "2 corrections decided on before"]
    assert [one.photo.digest for one in corrections.suggestions()] == [sent[photo(3).tobytes()].photo.digest]
    trained = Corrections("pets", "pets", Decisions("pets")).merge_into(a_dataset()).photos[2:]
    assert [(one.digest, one.label, one.split) for one in trained] == [(accepted, "dog", "train")]
    assert (read_photo(trained[0].path) == photo(1)).all()


def test_a_decision_that_was_undone_is_asked_once(places):
    archive = packed(places / "corrections.zip", corrected(1))
    decisions = Decisions("pets")
    corrections = Corrections("pets", "pets", decisions)
    corrections.take_in(str(archive))
    (one,) = corrections.suggestions()
    decisions.record("as suggested", [one], ("cat", "dog"))
    corrections.process()
    decisions.record(f"{one.photo.digest[:8]} undo", [], ("cat", "dog"))
    assert [again.why for again in corrections.suggestions()] == ["you undid your decision"]
    corrections.take_in(str(archive))
    assert [again.suggested for again in corrections.suggestions()] == ["dog"]


def test_those_for_another_model_are_left_out_and_named(box, places):
    archive = packed(
        places / "c.zip", corrected(1), corrected(2, model="flowers/1"), corrected(3, model="flowers/2"),
        corrected(4, model="pets-2/1"),
    )  # fmt: skip
    box.take(archive)
    assert len(labels()) == 1
    (told,) = box.said
    for outcome in ("1 correction taken in", "2 corrections for the model flowers left out", "model pets-2 left out"):
        assert outcome in told


def test_a_folder_of_zips(box, places):
    folder = places / "from testers"
    packed(folder / "a.zip", corrected(1), corrected(2))
    packed(folder / "B.ZIP", corrected(2), corrected(3))
    (folder / "read me.txt").write_text("not a zip")
    (folder / "._a.zip").write_bytes(b"what macOS leaves beside it")
    box.take(folder)
    assert len(labels()) == 3
    assert box.said == [f"{folder}: 4 corrections taken in."]


def test_one_that_was_unpacked_and_packed_again(box, places):
    """As Safari unpacks downloads, and macOS packs folders."""
    inside = {f"corrections/{name}": data for name, data in corrected(1).items()}
    beside = {f"__MACOSX/corrections/._{name.split('/')[1]}": b"\0\5\x16\7" for name in inside}
    box.take(packed(places / "corrections.zip", inside, beside, kind=zipfile.ZIP_DEFLATED))
    assert labels() == ["dog"]
    assert len(box.said) == 1


def test_there_is_a_limit_and_it_is_told(box, places, monkeypatch):
    monkeypatch.setattr(box, "_feedback", Feedback("pets", most=2))
    archive = packed(places / "corrections.zip", *(corrected(seed) for seed in range(4)))
    box.take(archive)
    assert len(labels()) == 2
    assert "2 corrections that found no room" in box.said[-1]
    assert module.Feedback("pets")._most == 500


def test_a_disk_that_takes_nothing_is_told(box, places, monkeypatch):
    archive = packed(places / "corrections.zip", corrected(1))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("catdog.data.feedback.files.written_whole", full)
    box.take(archive)
    assert box.said == [f"{archive}: 1 correction that could not be stored (No space left on device)."]


def test_an_empty_setting_and_an_empty_zip(box, places):
    box.take("")
    box.take("  ")
    assert not box.said
    box.take(packed(places / "empty.zip"))
    assert box.said == [f"{places / 'empty.zip'}: no corrections."]


# --- damaged and hostile ---


def png(mode="RGB", size=(224, 224), **options):
    return encoded(Image.new(mode, size), "PNG", **options)


def header_of(width, height):
    """A PNG that claims to be that large."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    about = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", about) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


def shaped(**changes):
    return json.dumps({**json.loads(record()), **changes}).encode()


HOSTILE = {
    "no photo": {"x.json": record()},
    "a photo of nothing": {"x.json": record(), "x.png": b""},
    "not a photo": {"x.json": record(), "x.png": b"words"},
    "half a photo": {"x.json": record(), "x.png": as_png(photo(9))[:900]},
    "not square": {"x.json": record(), "x.png": png(size=(224, 200))},
    "a bomb of pixels": {"x.json": record(), "x.png": header_of(40_000, 40_000)},
    "a bomb of bytes": {"x.json": record(), "x.png": png() + b"\0" * (9 << 20)},
    "a huge record": {"x.json": record() + b" " * (9 << 20), "x.png": png()},
    "deep": {"x.json": b"[" * 100_000, "x.png": png()},
    "not JSON": {"x.json": b"{", "x.png": png()},
    "not UTF-8": {"x.json": b'{"label": "\xff"}', "x.png": png()},
    "a long number": {"x.json": b'{"label": ' + b"9" * 9000 + b"}", "x.png": png()},
    "a list": {"x.json": b"[]", "x.png": png()},
    "nothing said": {"x.json": shaped(said=None), "x.png": png()},
    "no label": {"x.json": json.dumps({"said": SAID}).encode(), "x.png": png()},
    "a number for a label": {"x.json": shaped(label=3), "x.png": png()},
    "an empty label": {"x.json": shaped(label="\u200b "), "x.png": png()},
    "a list for a model": {"x.json": record(model=["pets"]), "x.png": png()},
    "no model": {"x.json": shaped(said={"label": "cat"}), "x.png": png()},
    "words for probabilities": {"x.json": record(probabilities={"cat": "much"}), "x.png": png()},
    "a list of probabilities": {"x.json": record(probabilities=[1]), "x.png": png()},
}  # fmt: skip


@pytest.mark.parametrize("why", HOSTILE)
def test_what_is_damaged_is_named_and_nothing_else_is_lost(box, places, why):
    archive = packed(places / "corrections.zip", HOSTILE[why], corrected(1), kind=zipfile.ZIP_DEFLATED)
    box.take(archive)
    assert labels() == ["dog"]
    assert [line for line in box.said if line.startswith("x.json in corrections.zip was skipped: ")]
    assert box.said[-1] == f"{archive}: 1 correction taken in."
    assert len(list(Feedback("pets").folder.iterdir())) == 2


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/../../../x", "C:\\x", "\u202ex"])
def test_names_in_a_zip_lead_nowhere(box, places, name):
    before = {path for path in places.rglob("*") if path.is_file()}
    files = {f"{name}.json": record(), f"{name}.png": as_png(photo(1))}
    archive = packed(places / "corrections.zip", files)
    box.take(archive)
    there = {path for path in places.rglob("*") if path.is_file()} - before - {archive}
    assert {path.parent for path in there} <= {Feedback("pets").folder}


def test_texts_of_a_stranger_are_made_printable(box, places):
    strange = corrected(1, "dog\ud800\x1b[31m", label="cat\n\n", model="pets/\x1b]0;x\a1")
    more = corrected(2, "x" * 100_000, more={"private": "y" * 100_000})
    box.take(packed(places / "corrections.zip", strange, more))
    assert len(labels()) == 2
    assert all(label.isprintable() and len(label) <= 1000 for label in labels())
    stored = Feedback("pets").all()
    assert all(one.said.keys() == SAID.keys() for one in stored)
    assert all(one.why.isprintable() for one in box.suggestions())
    assert all(path.stat().st_size < 10_000 for path in Feedback("pets").folder.glob("*.json"))


def test_encrypted_and_packed_in_unusual_ways(box, places):
    archive = packed(places / "locked.zip", corrected(1))
    data = bytearray(archive.read_bytes())
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + place] |= 1
            at = data.find(signature, at + 1)
    archive.write_bytes(data)
    packed(places / "zips" / "other.zip", corrected(2), kind=zipfile.ZIP_LZMA)
    archive.rename(places / "zips" / "locked.zip")
    packed(places / "zips" / "right.zip", corrected(3))
    box.take(places / "zips")
    assert labels() == ["dog"]
    assert any("locked.zip was skipped" in line and "encrypted" in line for line in box.said)
    assert any("other.zip was skipped" in line for line in box.said)


def test_a_zip_whose_list_is_damaged_keeps_no_other_out(box, places):
    """It ends as a zip does, so it is taken for one."""
    folder = places / "zips"
    data = packed(folder / "a.zip", corrected(1)).read_bytes()
    (folder / "a.zip").write_bytes(data.replace(b"PK\1\2", b"PK\1\3"))
    packed(folder / "b.zip", corrected(2))
    box.take(folder)
    assert len(labels()) == 1
    assert box.said[0].startswith("a.zip was skipped: ")


def test_so_many_records_and_no_more(box, places, monkeypatch):
    monkeypatch.setattr(feedback_zip, "_MOST_RECORDS", 2)
    box.take(packed(places / "corrections.zip", *(corrected(seed) for seed in range(3))))
    assert len(labels()) == 2
    assert box.said[0] == "corrections.zip holds more than 2 corrections: the rest was skipped."


def test_no_bytes_raise_anything(places):
    chance, archive = random.Random(1), places / "corrections.zip"
    small = {"a.png": as_png(np.zeros((8, 8, 3), np.uint8)), "a.json": record()}
    whole = packed(archive, small, kind=zipfile.ZIP_DEFLATED).read_bytes()
    found = set()
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 2, 8])):
            at = chance.randrange(len(data))
            data[at : at + chance.choice([0, 1, 1, 9])] = chance.randbytes(chance.choice([0, 1, 1, 4]))
        archive.write_bytes(data)
        found |= {type(one).__name__ for one in corrections_in(archive)}
    assert found == {"str", "SavedCorrection"}


# --- the setting ---


@pytest.mark.parametrize(
    "place", ["/nowhere.zip", "empty", "photo.jpg", "rubbish", "\0", "~nobody-of-this-name/x", "x" * 5000]
)
def test_a_place_without_zips_is_refused_in_the_cell_of_settings(places, monkeypatch, place):
    (places / "empty").mkdir()
    (places / "photo.jpg").write_bytes(drawing())
    (places / "rubbish").mkdir()
    (places / "rubbish" / "corrections.zip").write_bytes(b"<html>Please log in")
    path = str(places / place) if (places / place[:99].replace("\0", "x")).exists() else place
    cell = {"CORRECTIONS_FROM": path}
    with refused("setting-corrections", "CORRECTIONS_FROM"):
        read_settings("fine-tune", cell)
    with refused("setting-corrections"):
        Review("pets").take_in(path)


def test_it_is_a_setting_of_notebook_1_alone(places, monkeypatch):
    """`make run` gives both notebooks one environment, and notebook 2 has a CORRECTIONS that says yes or no."""
    archive = packed(places / "corrections.zip", corrected(1))
    monkeypatch.setenv("CORRECTIONS", "1")
    monkeypatch.setenv("CORRECTIONS_FROM", str(archive))
    fine_tune, backend = {}, {}
    read_settings("fine-tune", fine_tune)
    read_settings("backend", backend)
    assert fine_tune["CORRECTIONS_FROM"] == str(archive)
    assert backend["CORRECTIONS"] is True
    monkeypatch.delenv("CORRECTIONS_FROM")
    read_settings("fine-tune", fine_tune := {})
    assert fine_tune["CORRECTIONS_FROM"] == ""


def test_a_zip_on_drive_is_looked_at_once_drive_is_mounted(places, monkeypatch):
    archive = places / "drive" / "corrections.zip"
    monkeypatch.setattr("catdog.notebook.settings.open_folders", lambda use_drive: packed(archive, corrected(1)))
    read_settings("fine-tune", {"USE_DRIVE": True, "CORRECTIONS_FROM": str(archive)})
    assert archive.exists()


def test_notebook_1_takes_them_in_before_it_lists_suggestions():
    cells = [cell.source for cell in notebook_cells(ROOT / "notebooks" / "1_fine_tune.ipynb")]
    (cell,) = (source for source in cells if "take_in" in source)
    assert cell.index("review.take_in(CORRECTIONS_FROM)") < cell.index("review.suggestions(")


def test_the_review_takes_in_what_is_for_its_model(places, capsys):
    archive = packed(places / "corrections.zip", corrected(1), corrected(2, model="flowers/1"))
    Review("garden", "flowers").take_in(str(archive))
    assert "1 correction for the model pets left out" in capsys.readouterr().out
    assert [one.said["model"] for one in Feedback("flowers").all()] == ["flowers/1"]
