"""Archives as they come: unpacked whole or not at all, nothing of a person's touched, names as they were meant."""

import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest
from catdog.curation.decisions import Decisions
from catdog.data import archives
from catdog.data.dataset import check
from catdog.data.sources import find_photos
from catdog.errors import UserError
from conftest import drawing, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture(autouse=True)
def places(own_places):
    return own_places


MEMBERS = {f"{label}/{seed}.jpg": drawing(label, seed) for label in ("cat", "dog") for seed in range(3)}


def zipped(path, members=None, **options):
    with zipfile.ZipFile(path, "w", **options) as file:
        for name, data in (members or MEMBERS).items():
            file.writestr(name, data)
    return str(path)


def there(folder):
    """What lies below a folder, but for the suite's own mark."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".unpacked.json"
    }


def test_photos_that_you_added_to_the_unpacked_folder_are_there_after_the_zip_has_changed(tmp_path, capsys):
    archive = zipped(tmp_path / "garden.zip")
    first = find_photos(archive).path
    (first / "cat" / "mine.jpg").write_bytes(b"mine")
    (first / "dog" / "0.jpg").write_bytes(b"turned by me")
    before = there(first)
    zipped(tmp_path / "garden.zip", {**MEMBERS, "cat/new.jpg": b"new"})
    second = find_photos(archive).path
    assert there(first) == before
    assert {**MEMBERS, "cat/new.jpg": b"new", "cat/mine.jpg": b"mine"}.items() <= there(second).items()
    assert there(second)["dog/0 (2).jpg"] == b"turned by me"
    assert "2 files that you added" in capsys.readouterr().out
    assert find_photos(archive).path == second


def test_photos_that_you_removed_from_the_unpacked_folder_do_not_come_back(tmp_path, capsys):
    archive = zipped(tmp_path / "garden.zip")
    (find_photos(archive).path / "cat" / "0.jpg").unlink()
    zipped(tmp_path / "garden.zip", {**MEMBERS, "cat/new.jpg": b"new"})
    second = there(find_photos(archive).path)
    assert second.keys() == {*MEMBERS, "cat/new.jpg"} - {"cat/0.jpg"}
    assert "1 file that you removed" in capsys.readouterr().out


def test_a_zip_that_came_back_is_not_unpacked_again(tmp_path, capsys):
    archive = zipped(tmp_path / "garden.zip")
    first = find_photos(archive).path
    zipped(tmp_path / "garden.zip", {**MEMBERS, "cat/new.jpg": b"new"})
    assert find_photos(archive).path != first
    zipped(tmp_path / "garden.zip")
    capsys.readouterr()
    assert find_photos(archive).path == first
    assert "Unpacking" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["notes", "feedback", "drawings", "unpacked"])
def test_no_name_of_a_zip_leads_to_what_is_yours(tmp_path, places, name):
    decisions = Decisions("pets").path
    decisions.write_text("{}")
    (places / "data_dir" / "feedback").mkdir()
    before = there(places / "data_dir")
    for members in (MEMBERS, {**MEMBERS, "cat/new.jpg": b"new"}):
        find_photos(zipped(tmp_path / f"{name}.zip", members))
    assert before.items() <= there(places / "data_dir").items()


def test_zips_of_one_name_from_two_places_are_two_sets(tmp_path):
    for place, extra in (("a", b"1"), ("b", b"2")):
        (tmp_path / place).mkdir()
        zipped(tmp_path / place / "archive.zip", {**MEMBERS, "cat/one.jpg": extra})
    one = find_photos(str(tmp_path / "a" / "archive.zip")).path
    (one / "cat" / "mine.jpg").write_bytes(b"mine")
    assert "cat/mine.jpg" not in there(find_photos(str(tmp_path / "b" / "archive.zip")).path)


# --- kinds ---


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_a_tar_is_unpacked(tmp_path, ending):
    path = tmp_path / f"pets.{ending}"
    with tarfile.open(path, "w:" + {"tgz": "gz"}.get(ending, ending.rpartition(".")[2].replace("tar", ""))) as file:
        for name, data in MEMBERS.items():
            info = tarfile.TarInfo(f"pets/{name}")
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    folder = find_photos(str(path))
    assert folder.name == "pets"
    assert check(folder).classes == ("cat", "dog")


def test_archives_in_an_archive_and_parts_in_a_folder_are_one_set(tmp_path):
    inner = {}
    for label in ("cat", "dog"):
        file = io.BytesIO()
        zipped(file, {name: data for name, data in MEMBERS.items() if label in name})
        inner[f"{label}.zip"] = file.getvalue()
    assert check(find_photos(zipped(tmp_path / "outer.zip", inner))).classes == ("cat", "dog")
    (tmp_path / "parts").mkdir()
    for name, data in inner.items():
        (tmp_path / "parts" / name).write_bytes(data)
    assert check(find_photos(str(tmp_path / "parts"))).classes == ("cat", "dog")
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["cat.zip", "dog.zip"]


def test_an_archive_for_another_program_is_told_with_what_to_do(tmp_path, monkeypatch, places):
    monkeypatch.setattr(archives.shutil, "which", lambda program: None)
    for data, kind in ((b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07\x01\x00", "RAR")):
        (tmp_path / "pets.x").write_bytes(data + bytes(300))
        with refused("photos-archive-kind", kind, "7-Zip"):
            find_photos(str(tmp_path / "pets.x"))
    path = tmp_path / "deflate64.zip"
    data = bytearray(Path(zipped(path)).read_bytes())
    for start in (data.find(b"PK\x01\x02"), data.find(b"PK\x03\x04")):
        data[start + (10 if start else 8)] = 9
    path.write_bytes(data)
    with refused("photos-archive-kind", "Deflate64"):
        find_photos(str(path))
    assert not list((places / "data_dir" / "unpacked").iterdir())


def test_links_in_a_tar_are_the_files_that_they_lead_to(tmp_path):
    with tarfile.open(tmp_path / "pets.tar", "w") as file:
        for name, data in MEMBERS.items():
            info = tarfile.TarInfo(f"store/{name}" if "dog" in name else name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
        for kind, target in ((tarfile.SYMTYPE, "../store/dog/{}"), (tarfile.LNKTYPE, "store/dog/{}")):
            for number in range(3):
                link = tarfile.TarInfo(f"dog/{kind!r}{number}.jpg")
                link.type, link.linkname = kind, target.format(f"{number}.jpg")
                file.addfile(link)
        link = tarfile.TarInfo("dog/outside.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    found = there(find_photos(str(tmp_path / "pets.tar")).path)
    assert sum(name.startswith("dog/") for name in found) == 6
    assert set(found.values()) == set(MEMBERS.values())


def test_a_link_to_a_folder_in_a_tar_costs_nothing_else(tmp_path, capsys):
    with tarfile.open(tmp_path / "pets.tar", "w") as file:
        for folder in ("cat", "dog"):
            info = tarfile.TarInfo(folder)
            info.type = tarfile.DIRTYPE
            file.addfile(info)
        for name, data in MEMBERS.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("kittens")
        link.type, link.linkname = tarfile.SYMTYPE, "cat"
        file.addfile(link)
    found = find_photos(str(tmp_path / "pets.tar"))
    assert set(there(found.path).values()) == set(MEMBERS.values())
    assert "1 file of pets.tar could not be written, for example kittens" in capsys.readouterr().out


def test_a_damaged_archive_within_another_costs_no_other(tmp_path, capsys):
    inner = io.BytesIO()
    zipped(inner)
    data = bytearray(inner.getvalue())
    data[200:260] = bytes(60)
    folder = find_photos(zipped(tmp_path / "pets.zip", {**MEMBERS, "old/backup.zip": bytes(data)}))
    assert check(folder).classes == ("cat", "dog")
    assert "backup.zip" in capsys.readouterr().out


# --- damage ---


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_STORED])
def test_damage_inside_a_member_is_told_and_nothing_is_left_behind(tmp_path, places, place, method):
    path = tmp_path / "pets.zip"
    zipped(path, {"cat/1.bmp": bytes(range(256)) * 300}, compression=method)
    data = bytearray(path.read_bytes())
    middle = int(place * data.rfind(b"PK\x01\x02"))
    data[middle : middle + 40] = bytes(byte ^ 0xA5 for byte in data[middle : middle + 40])
    path.write_bytes(data)
    with refused("photos-zip-damaged"):
        find_photos(str(path))
    assert not list((places / "data_dir" / "unpacked").iterdir())


# --- names ---


@pytest.mark.parametrize("form", ["pets\\{}", "C:\\pets\\{}", "/pets/{}", "../../pets/{}", "./pets/./{}", "pets//{}"])
def test_members_lie_inside_whatever_their_names_say(tmp_path, places, form):
    members = {form.format(name.replace("/", "\\") if "\\" in form else name): data for name, data in MEMBERS.items()}
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as file:
        for name, data in members.items():
            info = zipfile.ZipInfo("x")
            info.filename = name
            file.writestr(info, data)
    folder = find_photos(str(tmp_path / "pets.zip"))
    assert check(folder).classes == ("cat", "dog")
    assert all(path.is_relative_to(folder.path) for path in places.rglob("*.jpg"))


@pytest.mark.parametrize(
    ("code_page", "labels"), [("cp932", ("猫", "犬")), ("cp936", ("猫", "狗")), ("cp949", ("고양이", "개"))]
)
def test_names_in_an_undeclared_code_page_are_read_and_shown(tmp_path, capsys, code_page, labels):
    class Raw(zipfile.ZipInfo):
        def _encodeFilenameFlags(self):
            return self.filename.encode(code_page), 0

    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as file:
        for name, data in MEMBERS.items():
            label, _, photo = name.partition("/")
            file.writestr(Raw(f"{labels[label == 'dog']}/{photo}"), data)
    assert set(check(find_photos(str(tmp_path / "pets.zip"))).classes) == set(labels)
    said = capsys.readouterr().out
    assert all(label in said for label in labels)


def test_names_that_are_declared_are_taken_as_they_are_whatever_the_others_are(tmp_path):
    class Raw(zipfile.ZipInfo):
        def _encodeFilenameFlags(self):
            return self.filename.encode("cp850"), 0

    path = "Żubr".encode("cp852")
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as file:
        for number, data in enumerate(MEMBERS.values()):
            file.writestr(f"猫/{number}.jpg" if number % 2 else Raw(f"Kühe/{number}.jpg"), data)
        field = "Żubr/1.jpg".encode()
        info = zipfile.ZipInfo("Zubr/1.jpg")
        info.extra = struct.pack("<HHBI", 0x7075, 5 + len(field), 1, zlib.crc32(path)) + field
        file.writestr(info, drawing("cat", 40))
    folder = find_photos(str(tmp_path / "pets.zip")).path
    assert {one.name for one in folder.iterdir() if one.is_dir()} == {"猫", "Kühe", "Żubr"}


def test_a_file_where_a_folder_must_be_costs_no_other(tmp_path):
    members = {**MEMBERS, "cat/0.jpg/x.jpg": b"x", "owl\\": b""}
    assert there(find_photos(zipped(tmp_path / "pets.zip", members)).path) == MEMBERS


def test_a_name_that_is_too_long_costs_its_member_and_no_other(tmp_path, capsys):
    folder = find_photos(zipped(tmp_path / "pets.zip", {**MEMBERS, f"cat/{'x' * 300}.jpg": b"x"}))
    assert there(folder.path) == MEMBERS
    assert "1 file of pets.zip could not be written" in capsys.readouterr().out


MEMBER_NAMES = st.lists(
    st.one_of(st.sampled_from(["cat", "dog", "..", "", ".", "C:", "x" * 300, "__MACOSX"]), st.text(max_size=6)),
    min_size=1,
    max_size=4,
).map("/".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(MEMBER_NAMES, st.binary(max_size=20), max_size=8), st.integers(0, 400), st.booleans())
def test_any_archive_is_unpacked_or_refused_and_no_other_file_is_touched(tmp_path, places, members, place, damaged):
    (tmp_path / "mine").mkdir(exist_ok=True)
    (tmp_path / "mine" / "precious.jpg").write_bytes(b"precious")
    path = tmp_path / "any.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            info = zipfile.ZipInfo("x")
            info.filename = name or "x"
            file.writestr(info, data)
    if damaged:
        data = bytearray(path.read_bytes())
        data[place % len(data)] ^= 0x5A
        path.write_bytes(data)
    before = {name: data for name, data in there(tmp_path).items() if "unpacked" not in name}
    try:
        find_photos(str(path))
    except UserError as refusal:
        str(refusal).encode()
    assert {name: data for name, data in there(tmp_path).items() if "unpacked" not in name} == before
