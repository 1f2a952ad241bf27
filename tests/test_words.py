"""The words of the page: complete in each language, and in the one that a tester reads."""

import json
import re

import pytest
from catdog.backend.app import create_app
from catdog.frontend import words
from catdog.frontend.page import FILES, create_page_app
from catdog.notebook import read_settings, serve_model, serve_page
from conftest import copy_of_the_page, refused
from jinja2 import Environment, FileSystemLoader, StrictUndefined

SITE = FILES.parent / "site" / "static"
# The plurals of cardinal numbers, as Unicode CLDR has them.
PLURALS = {
    "ar": {"zero", "one", "two", "few", "many", "other"},
    "de": {"one", "other"},
    "en": {"one", "other"},
    "es": {"one", "many", "other"},
    "fr": {"one", "many", "other"},
    "ja": {"other"},
    "pt": {"one", "many", "other"},
    "zh": {"other"},
}
OTHERS = sorted(PLURALS.keys() - {"en"})
COUNTED = {"zero", "one", "two"}  # forms that may say the number in a word, or leave it out
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def read(language):
    return json.loads((FILES / "words" / f"{language}.json").read_text(encoding="utf-8"))


def flat(entries, path=()):
    """{path: text or plural forms} of every word."""
    found = {}
    for key, value in entries.items():
        nested = isinstance(value, dict) and not value.keys() <= PLURALS["ar"]
        found |= flat(value, (*path, key)) if nested else {(*path, key): value}
    return found


ENGLISH = flat(read("en"))


def test_there_are_words_in_each_language():
    assert words.languages() == sorted(PLURALS)


@pytest.mark.parametrize("language", OTHERS)
def test_no_language_lacks_a_word_or_has_one_too_many(language):
    assert flat(read(language)).keys() == ENGLISH.keys()


@pytest.mark.parametrize("language", sorted(PLURALS))
def test_each_number_has_its_plural_and_each_value_its_place(language):
    for path, told in flat(read(language)).items():
        english = ENGLISH[path]
        assert isinstance(told, dict) == isinstance(english, dict), path
        forms = told if isinstance(told, dict) else {"other": told}
        assert not isinstance(told, dict) or told.keys() == PLURALS[language], path
        wanted = set(PLACEHOLDER.findall(english["other"] if isinstance(english, dict) else english))
        for form, text in forms.items():
            assert text.strip() == text != "", path
            missing = wanted - set(PLACEHOLDER.findall(text))
            assert missing <= ({"count"} if form in COUNTED else set()), (path, form)
            assert set(PLACEHOLDER.findall(text)) <= wanted, (path, form)


def both(part):
    """The words of a page with a service, and of one without."""
    return read("en")[part].keys() | read("en")[f"site_{part}"].keys()


def scripts_in(*folders):
    return "\n".join(path.read_text() for folder in folders for path in folder.glob("*.js"))


def called_in(scripts):
    return {key for call in re.findall(r"\bt\(([^)]*)\)", scripts) for key in re.findall(r'"([a-z-]+)"', call)}


def test_every_word_is_used_and_every_word_that_is_used_exists():
    html = (FILES / "templates" / "page.html").read_text()
    assert set(re.findall(r"words\.(\w+)", html)) == both("page")
    scripts = scripts_in(FILES / "static", SITE)
    known = both("script") - {"problems"}
    computed = {key for key in known if re.match(r"most-|unseen-|accuracy-", key)}  # t(`most-${region}`) and the like
    named = {key for key in known if f'"{key}"' in scripts}
    assert named | computed == known
    assert called_in(scripts) - {"sending"} <= known


def test_a_page_with_a_service_needs_no_word_of_one_without():
    assert called_in(scripts_in(FILES / "static")) - {"sending"} <= read("en")["script"].keys()
    template = Environment(loader=FileSystemLoader(FILES / "templates"), undefined=StrictUndefined).get_template(
        "page.html"
    )
    shown = template.render(
        backend="/", live="", site=None, scripts=[], language="en", direction="ltr", words=read("en")["page"],
        script_words={}, url_for=lambda endpoint, filename: filename,
    )  # fmt: skip
    assert read("en")["site_page"]["no_service"] not in shown


def test_every_problem_of_a_site_has_words():
    thrown = r'(?:coded|PhotoRefused)\(\s*"([a-z-]+)"|code(?: =|:| \?\?) "([a-z-]+)"'
    codes = {code for pair in re.findall(thrown, scripts_in(SITE)) for code in pair if code}
    assert {"photo-pixels", "canvas-changed", "answers-differ", "model-missing", "corrections-full"} <= codes
    assert codes <= words.read_site_words("en")["script"]["problems"].keys()
    assert read("en")["site_script"]["problems"].keys() <= codes


@pytest.mark.parametrize(
    ("accepted", "language", "writing"),
    [
        ("de-AT,de;q=0.9,en;q=0.5", "de", "ltr"),
        ("ar-EG", "ar", "rtl"),
        ("pt-BR,en;q=0.3", "pt", "ltr"),
        ("zh-CN", "zh", "ltr"),
        ("nl,fr;q=0.4", "fr", "ltr"),
        ("nl", "en", "ltr"),
        ("*", "en", "ltr"),
        (";;q=,", "en", "ltr"),
        ("", "en", "ltr"),
    ],
)
def test_the_page_speaks_the_language_of_the_browser(own_places, app, accepted, language, writing):
    for served in (app, create_page_app("/")):
        page = served.test_client().get("/", headers={"Accept-Language": accepted} if accepted else {})
        assert f'<html lang="{language}" dir="{writing}"' in page.text
        assert read(language)["page"]["choose"] in page.text


def test_a_language_can_be_fixed(own_places, classifier):
    asks_for_german = {"Accept-Language": "de"}
    for served in (create_app(classifier, LANGUAGE="fr"), create_page_app("/", language="fr")):
        assert '<html lang="fr"' in served.test_client().get("/", headers=asks_for_german).text


def test_a_language_without_words_is_refused_before_anything_is_served(own_places, shipped):
    for notebook in ("backend", "frontend"):
        with refused("language-unknown", "ar, de, en"):
            read_settings(notebook, {"LANGUAGE": "klingon"})
    with refused("language-unknown"):
        serve_page(port=0, language="klingon")
    with refused("language-unknown"):
        serve_model(shipped, port=0, language="klingon")


@pytest.fixture
def files_of_ours(tmp_path):
    return copy_of_the_page(tmp_path)


def test_an_authors_own_language_may_be_unfinished(files_of_ours):
    (files_of_ours / "words" / "nl.json").write_text('{"page": {"choose": "Kies foto’s"}}')
    page = create_page_app("/", files_of_ours).test_client().get("/", headers={"Accept-Language": "nl"})
    assert "Kies foto’s" in page.text
    assert read("en")["page"]["camera"] in page.text
    assert '"checking": "Checking' in page.text


@pytest.mark.parametrize(
    "text", ['{"page": {"choose": }', "[]", "null", '{"page": null}', '{"script": []}', '{"site_page": 1}']
)
def test_words_that_are_none_say_which_file_it_is(files_of_ours, text):
    (files_of_ours / "words" / "de.json").write_text(text)
    client = create_page_app("/", files_of_ours).test_client()
    broken = client.get("/", headers={"Accept-Language": "de"})
    assert broken.status_code == 500
    assert "de.json" in broken.text
    assert client.get("/").status_code == 200  # other languages are not touched by it
