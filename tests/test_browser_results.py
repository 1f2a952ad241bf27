"""What the page makes of the answers: cards, table, order, filters, files, one photo large, the field test."""

import csv
import dataclasses
import io
import json

import pytest
from browser import DESK, choose, labels, photo, wait_until_done
from browser import browser as browser
from browser import page as page
from catdog.backend.app import create_app, use
from catdog.classifier import Classifier
from catdog.evaluation import evaluate
from catdog.serving import Server
from conftest import drawing, encoded
from PIL import Image
from playwright.sync_api import expect

ONCE = pytest.mark.parametrize("page", [DESK], indirect=True, ids=["desk"])


def plain(colours):
    """One-coloured photos: what the model says of them is not to the point, but it differs."""
    return [
        photo(f"{name}.png", encoded(Image.new("RGB", (32, 32), name), "PNG"), "image/png") for name in colours.split()
    ]


def mixed():
    return [*plain("red green blue black white orange"), photo("z.jpg", b"words")]


@pytest.fixture
def answers(client):
    """What the service says of `mixed()`, by name."""
    files = [(io.BytesIO(item["buffer"]), item["name"]) for item in mixed()]
    return {found["filename"]: found for found in client.post("/predict", data={"images": files}).json["predictions"]}


@pytest.fixture
def full(page, backend):
    page.goto(backend.url)
    choose(page, *mixed())
    wait_until_done(page, len(mixed()))
    expect(page.locator("#status")).to_contain_text("6 of 7 photos done, 1 without an answer.")
    return page


def sure_of(answer):
    return max(answer["probabilities"].values())


def saved(page, button):
    with page.expect_download() as download:
        page.click(button)
    return download.value


# Looking at many


@ONCE
def test_sorted_by_name_class_and_confidence(full, answers):
    answered = [answer for answer in answers.values() if "label" in answer]
    for order, key in {
        "name": lambda answer: answer["filename"],
        "doubt": sure_of,
        "confidence": lambda answer: -sure_of(answer),
        "label": lambda answer: answer["label"],
    }.items():
        full.select_option("#sort", order)
        wanted = [answer["filename"] for answer in sorted(answered, key=key)]
        wanted = ["z.jpg", *wanted] if order == "label" else [*wanted, "z.jpg"]
        expect(full.locator(".card .filename")).to_have_text(wanted)
    full.select_option("#sort", "number")
    expect(full.locator(".card .filename")).to_have_text([item["name"] for item in mixed()])


@ONCE
def test_filtered_by_class_and_confidence_and_counted(full, answers):
    answered = [answer for answer in answers.values() if "label" in answer]
    counts = {label: sum(answer["label"] == label for answer in answered) for label in ("cat", "dog")}
    words = " · ".join(f"{label}: {count}" for label, count in counts.items() if count)
    expect(full.locator("#totals")).to_have_text(f"{words} · failed: 1")
    for label, count in counts.items():
        if count:
            full.select_option("#show", label)
            expect(full.locator(".card")).to_have_count(count)
    full.select_option("#show", label="failed")
    expect(full.locator(".card .filename")).to_have_text(["z.jpg"])
    full.select_option("#show", "")
    for limits in ("0-0.9", "0.9-1"):
        low, high = map(float, limits.split("-"))
        full.select_option("#confidence", limits)
        fitting = [a["filename"] for a in answered if low <= sure_of(a) and (sure_of(a) < high or high == 1)]
        expect(full.locator(".card .filename")).to_have_text(fitting)


def test_the_same_as_a_table(full, answers):
    full.click("#as-table")
    expect(full.locator("#as-table[aria-pressed=true]")).to_be_visible()
    expect(full.locator("#results")).to_be_hidden()
    expect(full.locator("#table tbody tr")).to_have_count(7)
    for name, answer in answers.items():
        row = full.locator("#table tbody tr", has_text=name)
        expect(row.locator(".label")).to_have_text(answer.get("label") or answer["error"]["detail"])
        expect(row.locator(".percent")).to_have_text(f"{100 * sure_of(answer):.1f} %" if "label" in answer else "")
    full.locator("#table .open", has_text="blue.png").click()
    expect(full.locator("#detail-name")).to_have_text("blue.png")
    full.click("#close")
    expect(full.locator("#table .open", has_text="blue.png")).to_be_focused()
    assert full.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


# Files to keep


@ONCE
def test_saved_as_csv(full, answers, classifier):
    download = saved(full, "#csv")
    assert download.suggested_filename == "answers.csv"
    with open(download.path(), encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == list(answers)
    for row, answer in zip(rows, answers.values()):
        assert row["answer"] == answer.get("label", "")
        if "label" in answer:
            assert [float(row[f"p({label})"]) for label in ("cat", "dog")] == list(answer["probabilities"].values())
            assert float(row["confidence"]) == sure_of(answer)
            assert (row["state"], row["model"], row["why"]) == ("done", classifier.bundle.id, "")
        else:
            assert (row["state"], row["why"]) == ("failed", answer["error"]["detail"])


@ONCE
def test_no_file_name_becomes_a_formula(page, backend):
    page.goto(backend.url)
    choose(page, photo('=1+1,"x".jpg', drawing()), photo("-2.jpg", drawing()))
    wait_until_done(page, 2)
    with open(saved(page, "#csv").path(), encoding="utf-8-sig", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == ['\'=1+1,"x".jpg', "'-2.jpg"]


@ONCE
def test_saved_as_json(full, answers, classifier):
    found = json.loads(saved(full, "#json").path().read_text(encoding="utf-8"))
    assert [item["file"] for item in found] == list(answers)
    for item, answer in zip(found, answers.values()):
        if "label" in answer:
            assert item["probabilities"] == answer["probabilities"]
            assert (item["label"], item["model"]) == (answer["label"], classifier.bundle.id)
        else:
            assert item["why"] == answer["error"]["detail"]


# One photo


def test_a_photo_opens_large_with_its_full_answer(page, backend, classifier):
    page.goto(backend.url)
    choose(page, photo("a.jpg", drawing("cat", 1)), photo("b.jpg", drawing("dog", 1)))
    wait_until_done(page, 2)
    page.locator(".card .open").first.click()
    dialog = page.locator("#detail")
    expect(dialog).to_be_visible()
    expect(dialog.locator("#detail-label")).to_have_text(labels(page)[0])
    expect(dialog.locator(".class")).to_have_count(2)
    expect(dialog.locator("#detail-model")).to_contain_text(classifier.bundle.id)
    expect(dialog.locator("img[alt='Photo a.jpg']")).to_be_visible()
    assert dialog.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 320
    expect(page.locator("#previous")).to_be_disabled()
    page.click("#next")
    expect(page.locator("#detail-name")).to_have_text("b.jpg")
    expect(page.locator("#next")).to_be_disabled()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.click("#detail-remove")
    expect(page.locator("#detail-name")).to_have_text("a.jpg")
    page.click("#detail-remove")
    expect(dialog).to_be_hidden()
    expect(page.locator(".card")).to_have_count(0)


def test_a_failed_photo_is_tried_again_where_it_is_open(page, backend):
    page.goto(backend.url)
    choose(page, photo("words.jpg", b"words"))
    wait_until_done(page, 1)
    page.locator(".card .open").click()
    expect(page.locator("#answered")).to_be_hidden()
    expect(page.locator("#detail .picture img")).to_be_hidden()
    with page.expect_response("**/predict"):
        page.click("#detail-retry")
    expect(page.locator("#detail-label")).to_contain_text("not a photo in a known format")


# Which model


@ONCE
def test_the_page_says_which_model_answers_and_when_it_changes(page, classifier, shipped):
    app = create_app(classifier)
    server = Server(app, "127.0.0.1", 0, 1 << 30)
    page.goto(server.url)
    for words in (shipped.card["name"], shipped.card["version"], "2026", "97.0 % of 100 test photos right"):
        expect(page.locator("#model")).to_contain_text(words)
    choose(page, photo("a.jpg", drawing()))
    wait_until_done(page, 1)
    expect(page.locator("#notice")).to_be_empty()
    use(app, Classifier(dataclasses.replace(shipped, card={**shipped.card, "version": "later"}), classifier.engine))
    choose(page, photo("b.jpg", drawing()))
    wait_until_done(page, 2)
    expect(page.locator("#notice[role=status]")).to_contain_text(
        f"The model has changed: from now on {shipped.card['name']}/later"
    )
    expect(page.locator("#model")).to_contain_text("later")
    page.locator(".card .open").first.click()
    expect(page.locator("#detail-model")).to_contain_text(classifier.bundle.id)
    page.click("#next")
    expect(page.locator("#detail-model")).to_contain_text("/later")
    server.stop()


# The field test


def wrong(label):
    return "dog" if label == "cat" else "cat"


@ONCE
def test_folders_named_like_classes_give_accuracy_confusion_and_misses(page, backend, tmp_path, answers):
    said = {name: answer["label"] for name, answer in answers.items() if "label" in answer}
    missed = sorted(said)[:2]
    for item in mixed()[:-1]:
        really = wrong(said[item["name"]]) if item["name"] in missed else said[item["name"]]
        folder = tmp_path / "set" / {"cat": "Cats", "dog": "dog"}[really]  # as people call them
        folder.mkdir(parents=True, exist_ok=True)
        (folder / item["name"]).write_bytes(item["buffer"])
    page.goto(backend.url)
    page.set_input_files("#folder", tmp_path / "set")
    wait_until_done(page, 6)
    expect(page.locator("#field-test")).to_be_visible()
    truth = [wrong(label) if name in missed else label for name, label in said.items()]
    report = evaluate_labels(truth, list(said.values()))
    interval = f"{100 * report.low:.1f} % to {100 * report.high:.1f} %"
    expect(page.locator("#accuracy")).to_have_text(f"4 of 6 right: 66.7 % (95 % interval {interval}).")
    cells = page.locator("#confusion tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].slice(1).map(cell => +cell.textContent))"
    )
    assert cells == report.confusion.tolist()
    expect(page.locator("#misses summary")).to_have_text("2 misses")
    page.click("#misses summary")
    for name in missed:
        expect(page.locator("#misses button", has_text=name)).to_contain_text(
            f"really {wrong(said[name])}, answered {said[name]}"
        )
    page.locator("#misses button").first.click()
    expect(page.locator("#detail-label")).to_contain_text("(really ")
    page.keyboard.press("Escape")
    page.select_option("#show", label="wrong answers")
    expect(page.locator(".card")).to_have_count(2)


def evaluate_labels(truth, said):
    import numpy as np

    classes = ("cat", "dog")
    probabilities = np.eye(2, dtype=np.float32)[[classes.index(label) for label in said]]
    return evaluate(probabilities, np.array([classes.index(label) for label in truth]), classes)


@ONCE
@pytest.mark.parametrize(
    "text",
    [
        'file,label\r\nred.png,{red}\r\n"green.png",{green}\r\nblue.png,giraffe\r\n',
        "red.png;{red}\ngreen.png;{green}\nblue.png;giraffe",
        "id\tclass\tfilename\n1\t{red}\tred.png\n2\t {green} \tgreen.png\n3\tgiraffe\tblue.png\n",
        "\ufeffname,label\nred.png,{red}\n\ngreen.png,{green}s\nblue.png,giraffe\n",
    ],
)
def test_a_csv_of_names_and_labels_does_so_too(full, answers, text):
    red, green = answers["red.png"]["label"], wrong(answers["green.png"]["label"])
    choose(full, photo("labels.csv", text.format(red=red, green=green).encode(), "text/csv"))
    expect(full.locator("#notice")).to_have_text(
        "3 labels were read from labels.csv. Not a class of this model: giraffe."
    )
    expect(full.locator("#accuracy")).to_contain_text("1 of 2 right: 50.0 %")
    expect(full.locator('.card[data-wrong="true"] .filename')).to_have_text(["green.png"])


def test_a_tester_says_what_a_photo_really_is(full, answers):
    full.locator(".card .open").first.click()
    said = answers["red.png"]["label"]
    full.select_option("#truth", wrong(said))
    expect(full.locator("#detail-label")).to_have_text(f"{said} (really {wrong(said)})")
    full.click("#close")
    expect(full.locator("#accuracy")).to_contain_text("0 of 1 right: 0.0 % (95 % interval 0.0 % to 79.3 %)")
    full.locator(".card .open").first.click()
    full.select_option("#truth", "")
    full.click("#close")
    expect(full.locator("#field-test")).to_be_hidden()
