"""The field test: what counts, for which model, and what is told of mistakes."""

import re

import pytest
from browser import ONCE, choose, expect_data, photo, say_it_is, show_only, wait_until_done
from browser import browser as browser
from browser import page as page
from catdog.backend.app import create_app, set_model
from catdog.web.server import Server
from playwright.sync_api import expect
from standins.painted import PaintedClassifier, painted

CAT, DOG = 0, 1
UNSURE = 40  # percent


@pytest.fixture
def served(request):
    """The app of a painted classifier at a real port: (app, url)."""
    app = create_app(PaintedClassifier(getattr(request, "param", ("cat", "dog", "owl"))))
    server = Server(app, "127.0.0.1", 0)
    yield app, server.url
    server.stop()


def folder_of(place, **photos):
    """`cat=[painted(CAT)]`: a folder of folders named like classes."""
    for label, images in photos.items():
        (place / label).mkdir(parents=True)
        for number, data in enumerate(images):
            (place / label / f"{label}{number}.png").write_bytes(data)
    return place


def cells(page):
    return page.locator("#confusion tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].slice(1).map(cell => +cell.textContent))"
    )


def table(name, text):
    return photo(name, text.encode(), "text/csv")


# What it says


@ONCE
def test_what_it_is_not_sure_of_is_counted_apart_in_sentence_and_table(page, served, tmp_path):
    photos = folder_of(
        tmp_path / "sorted",
        cat=[painted(CAT), painted(CAT), painted(DOG), painted(CAT, UNSURE)],
        dog=[painted(DOG), painted(CAT, UNSURE)],
    )
    page.goto(served[1])
    page.set_input_files("#folder", photos)
    wait_until_done(page, 6)
    expect_data(page.locator("#accuracy"), right=3, sure=4, unsure=2, known=6, share="75.0%")
    expect(page.locator("#accuracy")).to_contain_text(re.compile(r"3 of 4 it was sure of.*; 2 not sure\."))
    expect(page.locator("#confusion thead th")).to_have_text(["cat", "dog", "Not sure"])
    assert cells(page) == [[2, 1, 1], [0, 1, 1]]
    expect_data(page.locator("#misses summary"), misses=1)
    show_only(page, "?wrong")
    expect(page.locator(".card")).to_have_count(1)


@ONCE
@pytest.mark.parametrize("served", [tuple(f"class {number}" for number in range(40))], indirect=True)
def test_of_many_classes_the_worst_mistakes_come_first_and_no_table_is_too_large(page, served, tmp_path):
    answers = {f"class {number}": [painted(number)] for number in range(30)}
    answers |= {"class 7": [painted(9), painted(9), painted(8)], "class 3": [painted(9)]}
    page.goto(served[1])
    page.set_input_files("#folder", folder_of(tmp_path / "sorted", **answers))
    wait_until_done(page, 32)
    expect(page.locator("#pairs li")).to_have_text(
        ["class 7 taken for class 9: 2", re.compile("class [37] taken for .*: 1"), re.compile(": 1")]
    )
    expect_data(page.locator("#confusion-title"), classes=30)
    expect(page.locator("#confusion")).to_be_hidden()
    assert page.locator("#confusion td").count() <= 1
    expect_data(page.locator("#misses summary"), misses=4)


@ONCE
@pytest.mark.parametrize("served", [tuple(f"class {number}" for number in range(40))], indirect=True)
def test_the_table_holds_the_classes_that_occur(page, served, tmp_path):
    photos = folder_of(tmp_path / "sorted", **{"class 30": [painted(30), painted(2)], "class 11": [painted(11)]})
    page.goto(served[1])
    page.set_input_files("#folder", photos)
    wait_until_done(page, 3)
    expect(page.locator("#confusion thead th")).to_have_text(["class 2", "class 11", "class 30"])
    assert cells(page) == [[0, 0, 0], [0, 1, 0], [1, 0, 1]]


# What counts


@ONCE
def test_corrections_beside_a_field_test_are_not_counted_in_it(page, served, tmp_path):
    page.goto(served[1])
    page.set_input_files("#folder", folder_of(tmp_path / "sorted", cat=[painted(CAT)]))
    choose(page, photo("loose.png", painted(CAT), "image/png"))
    wait_until_done(page, 2)
    page.locator(".card .open", has_text="loose.png").click()
    say_it_is(page, "dog")
    page.click("#close")
    expect_data(page.locator("#marked"), wrong=1)
    expect_data(page.locator("#accuracy"), right=1, known=1)


@ONCE
def test_a_tester_may_correct_the_class_that_a_folder_gives(page, served, tmp_path):
    page.goto(served[1])
    page.set_input_files("#folder", folder_of(tmp_path / "sorted", cat=[painted(DOG), painted(CAT)]))
    wait_until_done(page, 2)
    expect_data(page.locator("#accuracy"), right=1, known=2)
    page.locator(".card .open").first.click()
    expect(page.locator('#truths [data-label="cat"]')).to_have_attribute("aria-pressed", "true")  # as its folder says
    page.click("#yes")
    page.click("#close")
    expect_data(page.locator("#accuracy"), right=2, known=2)
    expect_data(page.locator("#marked"), right=0, wrong=0)


@ONCE
def test_names_that_a_table_or_the_page_has_twice_are_told(page, served, tmp_path):
    page.goto(served[1])
    page.set_input_files("#folder", folder_of(tmp_path / "loose", one=[painted(CAT)], two=[painted(DOG)]))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "one0.png").write_bytes(painted(CAT))
    page.set_input_files("#folder", tmp_path / "more")
    wait_until_done(page, 3)
    rows = "name,label\none0.png,cat\ntwo0.png,cat\ntwo0.png,dog\n"
    page.set_input_files("#archive", table("labels.csv", rows))
    expect_data(page.locator("#notice"), code="labels-read", labels=3, twice="two0.png", shared="one0.png")
    expect(page.locator("#notice")).to_contain_text("two0.png")
    expect_data(page.locator("#accuracy"), right=2, known=2)  # nobody can tell which of two labels is meant


# Which model


@ONCE
def test_a_field_test_belongs_to_one_model(page, served, tmp_path):
    app, url = served
    photos = folder_of(tmp_path / "sorted", cat=[painted(CAT), painted(CAT)], dog=[painted(DOG), painted(CAT)])
    page.goto(url)
    page.set_input_files("#folder", photos)
    wait_until_done(page, 4)
    expect_data(page.locator("#accuracy"), right=3, known=4)
    set_model(app, PaintedClassifier(("owl", "cat", "hen"), "2"))
    choose(page, photo("new.png", painted(0), "image/png"))
    wait_until_done(page, 5)
    expect_data(page.locator("#outdated p"), outdated=4, model="painted/2")
    expect(page.locator("#outdated p")).to_contain_text("owl, cat, hen")
    expect(page.locator("#accuracy")).to_be_empty()
    expect(page.locator("#mistakes")).to_be_hidden()
    page.click("#ask-again")
    expect(page.locator("#outdated")).to_be_hidden()
    wait_until_done(page, 5)
    expect_data(page.locator("#accuracy"), right=0, known=2)
    expect_data(page.locator("#class-gone"), gone=2)  # it has no class for dogs
    assert cells(page) == [[0, 0], [2, 0]]
    assert sum(map(sum, cells(page))) == 2


@ONCE
def test_with_another_version_of_the_same_classes_it_starts_anew_too(page, served, tmp_path):
    app, url = served
    page.goto(url)
    page.set_input_files("#folder", folder_of(tmp_path / "sorted", cat=[painted(CAT)] * 3))
    wait_until_done(page, 3)
    set_model(app, PaintedClassifier(("cat", "dog", "owl"), "2"))
    page.set_input_files("#folder", folder_of(tmp_path / "more", cat=[painted(DOG)]))
    wait_until_done(page, 4)
    expect_data(page.locator("#accuracy"), right=0, known=1)
    expect_data(page.locator("#outdated p"), outdated=3)
    assert cells(page) == [[0, 1], [0, 0]]
