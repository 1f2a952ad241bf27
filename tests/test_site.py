"""A model as a website of static files: networks for a browser, pages, and a folder that others may use, too."""

import dataclasses
import gzip
import hashlib
import json
import re
import runpy
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import urljoin, urlsplit

import numpy as np
import onnx
import pytest
from catdog.backbones.architectures import ARCHITECTURES, VGG16, Backbone
from catdog.backbones.vgg16_weights import LAYERS, fingerprint
from catdog.data import synthetic
from catdog.data.images import read_photo
from catdog.engines import open_engine
from catdog.engines.base import OPENVINO_FP32, OPENVINO_INT8, OPENVINO_PRUNED
from catdog.engines.parity import ParityCheck, compare
from catdog.engines.pruned import quantize_pruned
from catdog.frontend import words
from catdog.models.card import PrunedCard, Thresholds
from catdog.models.ood import OODDetector
from catdog.notebook.colab import FOR_SOME_SETTINGS
from catdog.site import export, model_files, page_files
from catdog.site.export import export_site
from catdog.site.model_files import FLOAT16, INT8, PRUNED, choose_network, run
from catdog.site.onnx_graph import float16_graph, int8_graph
from conftest import ROOT, drawing, refused, with_backbone
from standins.network import model_on, slim_backbone
from standins.site import SlimNetwork
from test_pruned_models import sliced

PASSED, FAILED = ParityCheck(1.0, 0.001, 100), ParityCheck(0.9, 0.2, 100)
NOT_CHECKED = {"service_worker.js", ".nojekyll", "site-files.json"}  # by the service worker
NASTY = ('"><script>alert(1)</script>', "قطة", 'it\'s "quoted" & </title>')


def drawings(number=4, preprocessing=VGG16.preprocessing):
    drawn = [drawing("cat" if seed % 2 else "dog", seed) for seed in range(number)]
    return np.stack([read_photo(one, preprocessing=preprocessing) for one in drawn])


@pytest.fixture(scope="module")
def network():
    """VGG16 with a quarter of its channels, as a browser runs it."""
    return SlimNetwork()


@pytest.fixture(scope="module")
def model(network, shipped):
    """A saved model on that, which has neither int8 parameters nor a pruned model."""
    return dataclasses.replace(model_on(network, shipped), int8=None, pruned=None)


def quiet(words):
    """Nobody listens."""


# --- the networks ---


@pytest.fixture(scope="module")
def whole_int8(backbone, shipped):
    return int8_graph(backbone, shipped.int8).SerializeToString()


@pytest.mark.weights
def test_the_int8_network_answers_as_openvinos_does(real_photos, backbone, shipped, whole_int8):
    some = sorted((real_photos / "test").rglob("*.*"))[::8]
    photos = np.stack([read_photo(path, preprocessing=shipped.preprocessing) for path in some])
    assert len(photos) >= 12
    expected = open_engine(OPENVINO_INT8, backbone, shipped.int8).activations(photos)
    found = run(whole_int8, photos)
    assert found.shape == expected.shape == (len(photos), 14, 14, 512)
    assert np.abs(found - expected).mean() < 0.02 * expected.std()
    theirs, ours = (shipped.head.probabilities(VGG16.pool(values)) for values in (expected, found))
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).all()
    assert np.abs(ours - theirs).max() < 0.02


def test_weights_of_16_bits_change_hardly_anything(network):
    photos = drawings()
    exact = open_engine(OPENVINO_FP32, network.backbone).activations(photos)
    assert np.abs(network.activations(photos) - exact).max() < 0.01 * exact.max()
    kernels = [one for one in onnx.load_from_string(network.graph).graph.initializer if len(one.dims) == 4]
    assert {one.data_type for one in kernels if one.dims[2] == 3} == {onnx.TensorProto.FLOAT16}


def test_a_pruned_network_computes_what_its_engine_does(slim):
    photos = drawings()
    pruned = quantize_pruned(sliced(slim.weights), photos)
    found = run(int8_graph(slim, pruned).SerializeToString(), photos)
    expected = open_engine(OPENVINO_PRUNED, slim, pruned).activations(photos)
    assert found.shape == expected.shape == (4, 14, 14, 512)
    assert np.abs(found - expected).mean() < 0.1 * expected.std()


def test_it_takes_photos_of_other_sizes(network):
    architecture = VGG16.at(288)
    graph = float16_graph(Backbone(architecture, network.backbone.weights, network.fingerprint)).SerializeToString()
    assert run(graph, drawings(1, architecture.preprocessing)).shape == (1, 18, 18, 512)


@pytest.fixture
def with_all(model, network, monkeypatch):
    """The model with int8 parameters and a pruned model, whose graphs stand ready as `made` says: float16 ones."""
    pruned = SimpleNamespace(
        network="pruned", head=model.head, golden_probabilities=model.golden_probabilities, confidence_threshold=0.7,
        ood_detector=OODDetector(np.ones((2, 1024), np.float32), 0.5),
    )  # fmt: skip
    made = {"pruned": network.graph, "whole": network.graph}
    monkeypatch.setattr(
        model_files, "int8_graph", lambda backbone, params: SimpleNamespace(SerializeToString=lambda: made[params])
    )
    card = dataclasses.replace(
        model.card, parity={OPENVINO_INT8: PASSED}, pruned=PrunedCard(Thresholds(0.7, 0.5), PASSED)
    )
    found = dataclasses.replace(model, card=card, int8="whole", pruned=pruned)
    return SimpleNamespace(model=found, made=made, backbone=network.backbone)


@pytest.fixture(scope="module")
def another_graph():
    """Of a network with other weights."""
    chance, public = np.random.default_rng(7), slim_backbone()
    weights = {name: chance.permuted(array.reshape(-1)).reshape(array.shape) for name, array in public.weights.items()}
    return float16_graph(Backbone(VGG16, weights, fingerprint(weights))).SerializeToString()


def test_the_smallest_network_comes_first(with_all):
    found = choose_network(with_all.model, with_all.backbone, pytest.fail)
    assert (found.precision, found.model, found.failure) == (PRUNED, with_all.model.pruned, "")


def test_a_network_with_other_answers_is_skipped_and_named(with_all, another_graph):
    said = []
    with_all.made["pruned"] = another_graph
    found = choose_network(with_all.model, with_all.backbone, said.append)
    assert (found.precision, found.model) == (INT8, with_all.model)
    with_all.made["whole"] = another_graph
    assert choose_network(with_all.model, with_all.backbone, said.append).precision == FLOAT16
    assert [line.split(" was skipped: ")[0] for line in said] == [
        f"The network as {precision}" for precision in (PRUNED, PRUNED, INT8)
    ]
    assert all("on 6 photos" in line for line in said)


@pytest.mark.parametrize("int8", [FAILED, None])
def test_what_did_not_pass_when_it_was_saved_is_not_tried(with_all, int8):
    card = with_all.model.card
    checked = dataclasses.replace(
        card, parity={OPENVINO_INT8: int8} if int8 else {}, pruned=dataclasses.replace(card.pruned, parity=FAILED)
    )
    model = dataclasses.replace(with_all.model, card=checked)
    assert choose_network(model, with_all.backbone, pytest.fail).precision == FLOAT16


def test_a_site_without_right_answers_is_not_written(model, network, tmp_path):
    changed = 1 - model.golden_probabilities
    with refused("site-answers-differ", model.id):
        export_site(
            dataclasses.replace(model, golden_probabilities=changed), tmp_path / "x", "", network.backbone, quiet
        )
    assert not list(tmp_path.iterdir())


def test_a_model_on_another_backbone_is_refused(model, tmp_path):
    other = ARCHITECTURES["MobileNetV3Large"]
    card = with_backbone(model.card, name=other.name, features=other.features)
    with refused("site-needs-vgg16", "MobileNetV3Large", "BACKBONE"):
        export_site(dataclasses.replace(model, card=card), tmp_path / "x")
    assert not list(tmp_path.iterdir())


# --- the files ---


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """Small files in the place of the runtime's."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in export._RUNTIME:
        (folder / name).write_bytes(f"// {name}".encode() * 40)
    return lambda say: {name: folder / name for name in export._RUNTIME}


@pytest.fixture
def small_runtime(runtime, monkeypatch):
    monkeypatch.setattr(export, "runtime_files", runtime)


@pytest.fixture(scope="module")
def site(model, network, runtime, tmp_path_factory):
    """A site in all languages, and what was said meanwhile."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(export, "runtime_files", runtime)
        return export_site(model, tmp_path_factory.mktemp("sites") / "pets", "", network.backbone, pytest.fail)


def content(folder):
    """Path → bytes of all files below."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_zip_holds_what_the_folder_does_and_all_may_read_it(site):
    with zipfile.ZipFile(site.archive) as zipped:
        assert {name: zipped.read(name) for name in zipped.namelist()} == content(site.folder)
        assert {entry.external_attr >> 16 & 0o777 for entry in zipped.infolist()} == {0o644}
        assert {entry.date_time[0] for entry in zipped.infolist()} == {1980}  # the same whenever it is made
    paths = [site.archive, *(path for path in site.folder.rglob("*") if path.is_file())]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o644}
    assert set(json.loads(content(site.folder)["site-files.json"])["files"]) == content(site.folder).keys() - {
        "site-files.json"
    }


def test_exporting_again_changes_no_byte(site, model, network, small_runtime, tmp_path):
    before, zipped = content(site.folder), site.archive.read_bytes()
    again = export_site(model, site.folder, "", network.backbone, quiet)
    assert content(again.folder) == before
    assert again.archive.read_bytes() == zipped


class Links(HTMLParser):
    """`found`: every address that a page loads or leads to; `attributes` of each element by its name."""

    def __init__(self, page):
        super().__init__()
        self.found, self.elements = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.found += [value for name, value in attrs if name in ("src", "href", "action", "poster", "data")]


def pages_of(files):
    return {path: text.decode() for path, text in files.items() if path.endswith(".html")}


def addresses_in(script):
    """What a script of ours loads: imports, workers, files of the model and of the runtime."""
    (runtime,) = re.findall(r'^const RUNTIME = "(.*)";$', script, flags=re.M) or [""]
    script = script.replace("${RUNTIME}", runtime)
    for group, names in re.findall(r'\[((?:"\w+", )+"\w+")\]\.map\(\(name\) => fetched\(`(.*?)`\)', script):
        script += "".join(f'import("{names.replace("${name}", name)}");' for name in re.findall(r'"(\w+)"', group))
    imported = re.findall(r'(?:\bfrom|^import) "(\S+)";|\bimport\("(\S+?)"\)', script, flags=re.M)
    named = re.findall(r"new URL\([\"`]([^\"`$]+)[\"`], import\.meta\.url\)", script)
    fetched = re.findall(r"[\"`](\.\./(?:model|runtime)/[^\"`$]+)[\"`]", script)
    return {*filter(None, sum(imported, ())), *named, *fetched}


def test_every_address_is_relative_and_every_file_is_there(site):
    files = content(site.folder)
    wanted = {("index.html", link) for page in ("index.html", "de.html") for link in Links(files[page].decode()).found}
    for path in files:
        if re.fullmatch(r"page/\w+\.js", path):
            wanted |= {(path, address) for address in addresses_in(files[path].decode())}
    manifest = json.loads(files["manifest.json"])
    wanted |= {("manifest.json", icon["src"]) for icon in manifest["icons"]}
    assert not [pair for pair in wanted if urlsplit(pair[1]).scheme or pair[1].startswith("/")]
    reached = {urljoin(f"https://a.example/b/{source}", address) for source, address in wanted}
    assert {
        "page/browser_model.js",
        "model/network.bin",
        "runtime/ort.js",
        "page/network_worker.js",
        "licenses.txt",
    } <= {address.removeprefix("https://a.example/b/") for address in reached}
    folders = {f"https://a.example/b/{folder}" for folder in ("", "model/", "runtime/")}
    missing = {address for address in reached - folders if address.removeprefix("https://a.example/b/") not in files}
    assert missing == {"https://a.example/b/page/examples.js"}  # of a service that has some
    assert json.loads(files["model/card.json"])["examples"] == 0
    assert (manifest["start_url"], manifest["scope"]) == ("./", "./")


def test_nothing_comes_from_elsewhere(site):
    files = content(site.folder)
    for page in pages_of(files).values():
        (policy,) = (about["content"] for _, about in Links(page).elements if "http-equiv" in about)
        assert policy.startswith("default-src 'none';")
        sources = set(policy.replace(";", " ").split())
        assert not [source for source in sources if "*" in source or "//" in source or "unsafe-inline" in source]
        inline = [about for tag, about in Links(page).elements if tag == "script" and "src" not in about]
        assert [about["type"] for about in inline] == ["application/json"]
        assert not [about for _, about in Links(page).elements if any(name.startswith("on") for name in about)]
    for path, text in files.items():
        if path.startswith("page/") and path.endswith((".js", ".css")):
            code = re.sub(r"^\s*(//|\*|/\*).*$| // .*$", "", text.decode(), flags=re.M)
            assert not re.search(r"https?://(?!www\.w3\.org/)[\w.]", code), path


def test_scripts_of_page_and_site_have_different_names():
    ours, pages = (
        {path.name for path in folder.iterdir()} for folder in (page_files._STATIC, page_files.PAGE / "static")
    )
    assert ours
    assert not ours & pages


def test_what_programs_leave_in_folders_is_not_taken_along(tmp_path, monkeypatch):
    for name in ("more.js", ".DS_Store", "more.js~", ".more.js.swp", "notes.txt"):
        (tmp_path / name).write_text("private")
    monkeypatch.setattr(page_files, "_STATIC", tmp_path)
    static = {path.name for path in page_files._static_files()}
    assert static & {path.name for path in tmp_path.iterdir()} == {"more.js"}
    assert {"page.js", "page.css", "icon.svg", "touch-icon.png"} <= static


def worker_of(files):
    """(its version, path → digest)."""
    head = re.match(r'const VERSION = "(\w+)";\nconst FILES = (\{.*?\});\n', files["service_worker.js"].decode(), re.S)
    return head[1], json.loads(head[2])


def test_the_service_worker_knows_every_file_by_its_digest(site):
    files = content(site.folder)
    version, digests = worker_of(files)
    assert digests == {
        path: hashlib.sha256(text).hexdigest() for path, text in files.items() if path not in NOT_CHECKED
    }
    others = {path: files[path] for path in digests}
    assert page_files.service_worker(others) == files["service_worker.js"]
    changed = {**others, "page/page.css": others["page/page.css"] + b"\n"}
    assert worker_of({"service_worker.js": page_files.service_worker(changed)})[0] != version


def test_the_model_has_what_a_browser_needs(site, model, network):
    files = content(site.folder)
    about = json.loads(files["model/model.json"])
    assert gzip.decompress(files["model/network.bin"]) == network.graph
    assert about["digest"] == hashlib.sha256(network.graph + files["model/arrays.bin"]).hexdigest()
    assert about["bytes"] == len(files["model/network.bin"]) + len(files["runtime/ort-wasm.bin"])
    assert (about["classes"], about["pixels"], about["fit"]) == (list(model.classes), 224, "crop")
    for name in ("kernel", "bias"):
        place = about["arrays"][name]
        stored = np.frombuffer(files["model/arrays.bin"], "<f4", place["length"], place["start"])
        assert (stored == getattr(model.head, name).reshape(-1)).all()
    photos = np.frombuffer(files["model/golden.bin"], np.uint8).reshape(-1, 224, 224, 3)
    saved = np.array([one["probabilities"] for one in about["golden"]])
    assert np.abs(model.head.probabilities(network.features(photos)) - saved).max() < 1e-5
    for photo, one in zip(photos, about["golden"], strict=True):
        assert (read_photo(files[f"model/{one['file']}"], preprocessing=model.preprocessing) == photo).all()


def test_the_arrays_of_a_model_that_tells_photos_of_something_else(model, network):
    detector = OODDetector(np.arange(2048, dtype=np.float32).reshape(2, 1024), 0.5, np.ones(1024, np.float32), -3.0)
    known = dataclasses.replace(model, ood_detector=detector)
    files = model_files.model_files(known, model_files.SiteNetwork(FLOAT16, network.graph, known, ""), 5)
    about = json.loads(files["model.json"])
    place = about["arrays"]["centers"]
    stored = np.frombuffer(files["arrays.bin"], "<f4", place["length"], place["start"])
    assert (stored == detector.centers.reshape(-1)).all()
    assert (about["ood_limit"], about["ood_bias"], about["arrays"]["ood_kernel"]["length"]) == (0.5, -3.0, 1024)
    assert sum(place["length"] for place in about["arrays"].values()) * 4 == len(files["arrays.bin"])


def test_no_photo_of_the_author_and_nothing_about_them_is_in_a_site(site, model, network):
    files = content(site.folder)
    card = dataclasses.replace(model.card, judged={"answers": ["cat"]}, trained_on=("a" * 64,))
    known = dataclasses.replace(model, card=card)
    shown = model_files.model_files(known, model_files.SiteNetwork(FLOAT16, network.graph, known, ""), 5)["card.json"]
    assert json.loads(shown)["classes"] == ["cat", "dog"]
    assert not {"judged", "trained_on"} & json.loads(shown).keys()
    shown = b"".join(files.values())
    assert not any(photo.tobytes() in shown for photo in model.golden_photos)
    assert synthetic.sample_files() == synthetic.sample_files()


def test_names_of_classes_stay_in_their_files(model, network, small_runtime):
    head = dataclasses.replace(model.head, kernel=model.head.kernel[:, [0, 1, 1]], bias=model.head.bias[[0, 1, 1]])
    renamed = dataclasses.replace(model, head=head, card=dataclasses.replace(model.card, classes=NASTY))
    network = model_files.SiteNetwork(FLOAT16, network.graph, renamed, "")
    files = export.files(renamed, network, "", quiet)
    assert json.loads(files["model/model.json"])["classes"] == list(NASTY)
    assert json.loads(files["model/card.json"])["classes"] == list(NASTY)
    plain = page_files.page_files(model.card.name)
    assert all(files[path] == text for path, text in plain.items())


def test_words_cannot_break_out_of_a_page(monkeypatch):
    def nasty(language):
        found = words.read_site_words(language)
        return {
            part: {**entries, "title": NASTY[0], "no-service": f"</script>{NASTY[0]}"}
            for part, entries in found.items()
        }

    monkeypatch.setattr(page_files, "read_site_words", nasty)
    page = page_files.page_files("pets", "en")["index.html"].decode()
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert '"no-service"' in page
    manifest = json.loads(page_files.page_files(NASTY[0], "en")["manifest.json"])
    assert manifest["name"] == NASTY[0]


# --- languages ---


def test_each_browser_gets_its_language(site):
    pages = pages_of(content(site.folder))
    others = [language for language in words.languages() if language != "en"]
    assert pages.keys() == {"index.html", *(f"{language}.html" for language in others)}
    for path, page in pages.items():
        (root,) = (about for tag, about in Links(page).elements if tag == "html")
        language = "en" if path == "index.html" else path.removesuffix(".html")
        assert (root["lang"], root["dir"]) == (language, words.direction(language))
        assert root["data-languages"] == (" ".join(others) if path == "index.html" else "")
        assert "page/language_redirect.js" in Links(page).found


def test_one_language_is_the_only_one(model, network, small_runtime, tmp_path):
    files = content(export_site(model, tmp_path / "de", "de", network.backbone, quiet).folder)
    (page,) = pages_of(files).values()
    assert '<html lang="de"' in page
    assert 'data-languages=""' in page
    assert words.read_site_words("de")["page"]["save_corrections"] in page
    assert json.loads(files["manifest.json"])["lang"] == "de"
    with refused("language-unknown"):
        export_site(model, tmp_path / "x", "klingon", network.backbone, quiet)
    assert not (tmp_path / "x").exists()


@pytest.fixture
def own_words(tmp_path):
    (tmp_path / "words").mkdir()

    def write(language, **parts):
        (tmp_path / "words" / f"{language}.json").write_text(json.dumps(parts), encoding="utf-8")

    write(
        "en", page={"a": "A", "b": "B"}, script={"c": "C", "problems": {"x": "X", "y": "Y"}},
        site_page={"b": "here B", "d": "D"}, site_script={"problems": {"y": "here Y", "z": "Z"}},
    )  # fmt: skip
    write("de", page={"a": "Ä", "b": "Bé"}, script={"problems": {"x": "Ix"}}, site_script={"problems": {"z": "Zett"}})
    return tmp_path


def test_words_of_a_site_take_the_place_of_others_or_are_added(own_words):
    found = words.read_site_words("en", own_words)
    assert found["page"] == {"a": "A", "b": "here B", "d": "D"}
    assert found["script"] == {"c": "C", "problems": {"x": "X", "y": "here Y", "z": "Z"}}
    assert words.read_words("en", own_words)["page"] == {"a": "A", "b": "B"}


def test_what_a_language_lacks_is_english_also_for_a_site(own_words):
    found = words.read_site_words("de", own_words)
    assert found["page"] == {"a": "Ä", "b": "here B", "d": "D"}
    assert found["script"]["problems"].items() >= {"x": "Ix", "y": "here Y", "z": "Zett"}.items()


# --- a folder that others may use, too ---


def files(**changes):
    others = {"index.html": b"page", "page/page.js": b"script", **changes, "service_worker.js": b"worker"}
    return {"site-files.json": export._list(others), **others}


def exported(folder, files):
    """As `export_site` does it."""
    export._require_meant(folder, folder.with_suffix(".zip"))
    export._require_unused(folder, files)
    export._write(folder, files)


def test_files_of_others_stay_and_old_ones_of_ours_go(tmp_path):
    (tmp_path / ".git").mkdir()
    theirs = {".git/HEAD": b"ref", "README.md": b"words", "CNAME": b"pets.example"}
    for path, text in theirs.items():
        (tmp_path / path).write_bytes(text)
    exported(tmp_path, files(**{"de.html": b"Seite", "page/old.js": b"script"}))
    (tmp_path / "page" / "own.js").write_bytes(b"own")
    exported(tmp_path, files())
    assert content(tmp_path) == {**files(), **theirs, "page/own.js": b"own"}


def test_no_file_of_others_is_replaced(tmp_path):
    exported(tmp_path, files())
    (tmp_path / "page" / "own.js").write_bytes(b"own")
    before = content(tmp_path)
    with refused("site-folder-not-ours", str(tmp_path / "page" / "own.js")):
        exported(tmp_path, files(**{"page/own.js": b"ours"}))
    assert content(tmp_path) == before


def test_a_list_that_somebody_else_wrote_removes_nothing_elsewhere(tmp_path):
    folder, outside = tmp_path / "site", tmp_path / "thesis.txt"
    outside.write_text("years of work")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(drawing())
    exported(folder, files())
    (folder / "linked").symlink_to(tmp_path / "photos")
    (folder / "link.txt").symlink_to(outside)
    before = content(tmp_path)
    elsewhere = ["../thesis.txt", str(outside), "page/../../thesis.txt", "linked/cat.jpg", "link.txt"]
    named = [*elsewhere, "page", "\0", 3, None, "x" * 5000, [], "", "."]
    (folder / "site-files.json").write_text(json.dumps({"files": named}))
    export._write(folder, files())
    assert content(tmp_path) == before
    for nonsense in ('{"files": 3}', "[]", "{", '{"files": {"a": 1}}'):
        (folder / "site-files.json").write_text(nonsense)
        export._write(folder, files())
        assert content(tmp_path) == before


def test_an_export_that_was_interrupted_is_repeated(tmp_path, monkeypatch):
    """Until then, the old service worker takes nothing of the new version: the digests are not its own."""
    old = files(**{"de.html": b"Seite"})
    new = files(**{"index.html": b"new page", "page/new.js": b"script"}) | {"service_worker.js": b"new worker"}
    put, written = export._put, []
    for most in range(5):  # the list, four files, and the list once more
        folder = tmp_path / str(most)
        export._write(folder, old)
        written.clear()

        def interrupted(path, content, most=most):
            if len(written) == most:
                raise KeyboardInterrupt
            written.append(path)
            put(path, content)

        monkeypatch.setattr(export, "_put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            export._write(folder, new)
        monkeypatch.setattr(export, "_put", put)
        halfway = content(folder)
        assert halfway.keys() >= old.keys()
        assert halfway["service_worker.js"] == old["service_worker.js"]
        assert {"site-files.json", *json.loads(halfway["site-files.json"])["files"]} >= halfway.keys()
        exported(folder, new)
        assert content(folder) == new


def test_a_file_is_never_half_there(tmp_path, monkeypatch):
    export._write(tmp_path, files())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("catdog.site.export.os.chmod", full)
    before = content(tmp_path)
    with pytest.raises(OSError, match="No space"):
        export._write(tmp_path, files(**{"index.html": b"new"}))
    assert content(tmp_path) == before


@pytest.mark.parametrize("kind", ["photos", "a file", "their zip"])
def test_a_folder_with_other_files_is_refused(model, tmp_path, kind):
    out = tmp_path / "pets"
    if kind == "photos":
        out.mkdir()
        (out / "cat.jpg").write_bytes(drawing())
    elif kind == "a file":
        out.write_text("mine")
    else:
        with zipfile.ZipFile(tmp_path / "pets.zip", "w") as theirs:
            theirs.writestr("cat.jpg", drawing())
    before = content(tmp_path)
    with refused("site-folder-not-ours", str(tmp_path / ("pets.zip" if kind == "their zip" else "pets"))):
        export_site(model, out)
    assert content(tmp_path) == before


def test_the_folder_may_be_the_one_that_is_open(model, network, small_runtime, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    site = export_site(model, type(tmp_path)("."), "en", network.backbone, quiet)
    assert (site.folder, site.archive) == (tmp_path / "here", tmp_path / "here.zip")
    assert (tmp_path / "here" / "index.html").is_file()


def test_the_model_keeps_its_site(model, network, small_runtime, tmp_path):
    site = export_site(dataclasses.replace(model, folder=tmp_path), None, "en", network.backbone, quiet)
    assert (site.folder, site.archive) == (tmp_path / "site", tmp_path / "site.zip")
    assert str(tmp_path / "site") in str(site)
    assert f"{site.megabytes['first visit']:.1f} MB" in str(site)


def test_packages_that_colab_lacks_are_installed_before_they_are_imported():
    """Its set-up cell leaves out what only some settings need."""
    code = """
import sys
sys.modules["onnx"] = sys.modules["onnxruntime"] = None
from catdog import packages
from catdog.models import bundle
from catdog.notebook import export_site
from catdog.paths import SHIPPED_MODEL

def install(*names):
    sys.exit(" ".join(names))

packages.install_packages = install
export_site(bundle.read(SHIPPED_MODEL))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT / "notebooks")
    assert done.stderr.strip() == "onnx onnxruntime"
    assert {"onnx", "onnxruntime"} <= {*FOR_SOME_SETTINGS}


def test_the_command_line(monkeypatch, capsys, shipped, tmp_path):
    asked = []
    monkeypatch.setattr(export, "export_site", lambda *given: asked.append(given) or "done")
    for name, value in {"MODEL": str(shipped.folder), "OUT": str(tmp_path / "x"), "LANGUAGE": "fr"}.items():
        monkeypatch.setenv(name, value)
    runpy.run_module("catdog.site", run_name="__main__")
    ((model, out, language),) = asked
    assert (model.id, out, language) == (shipped.id, tmp_path / "x", "fr")
    assert capsys.readouterr().out == "done\n"
    monkeypatch.setenv("MODEL", "there-is-none")
    with pytest.raises(SystemExit, match="model-missing"):
        runpy.run_module("catdog.site", run_name="__main__")


# --- all of it ---


@pytest.mark.weights
def test_the_shipped_model_is_loaded_within_20_megabytes(backbone, shipped, site_runtime, tmp_path):
    site = export_site(shipped, tmp_path / "site", "", backbone, pytest.fail)
    assert site.precision == INT8
    assert site.megabytes["first visit"] <= 20
    assert (
        sum(path.stat().st_size for path in site.folder.rglob("*") if path.is_file()) >= 1e6 * site.megabytes["network"]
    )
    found = content(site.folder)
    assert gzip.decompress(found["runtime/ort-wasm.bin"])[:4] == b"\0asm"
    graph = gzip.decompress(found["model/network.bin"])
    probabilities = shipped.head.probabilities(VGG16.pool(run(graph, shipped.golden_photos)))
    assert not compare(probabilities, shipped.golden_probabilities).failure
    assert len(LAYERS) == sum(
        node.op_type in ("QLinearConv", "ConvInteger") for node in onnx.load_from_string(graph).graph.node
    )
