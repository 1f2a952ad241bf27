"""What the page makes of the answers: cards, table, order, filters, files, one photo large, the field test."""

import csv
import dataclasses
import io
import json
import re

import numpy as np
import pytest
from browser import ONCE, choose, expect_data, in_words, labels, photo, say_it_is, show_only, wait_until_done
from browser import browser as browser
from browser import page as page
from browser import service as service
from browser import watched as watched
from catdog.backend.app import create_app, set_model
from catdog.backend.problems import Problem
from catdog.data.feedback import Feedback
from catdog.data.preprocessing import SQUEEZE, Preprocessing
from catdog.models.classifier import Classifier
from catdog.models.ood import OODDetector
from catdog.training.metrics import evaluate
from catdog.web.server import Server
from conftest import drawing, encoded, without_thresholds
from PIL import Image
from playwright.sync_api import expect


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
    expect_data(page.locator("#status"), done=6, all=7, failed=1)
    if not page.locator("#sort").is_visible():
        page.click("#tools summary")
    return page


def with_one_decimal(probability):
    """With two, where one would make it certain."""
    return f"{100 * probability:.1f}%" if probability < 0.9995 else f"{min(99.99, int(1e4 * probability) / 100)}%"


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
    counted = {**{label: count for label, count in counts.items() if count}, "?failed": 1}
    expect_data(full.locator("#totals"), counts=json.dumps(counted, separators=(",", ":")))
    for label, count in counts.items():
        if count:
            show_only(full, label)
            expect(full.locator(".card")).to_have_count(count)
    show_only(full, "?failed")
    expect(full.locator(".card .filename")).to_have_text(["z.jpg"])
    show_only(full, "")
    for limits in ("0-0.9", "0.9-1"):
        low, high = map(float, limits.split("-"))
        full.select_option("#confidence", limits)
        fitting = [a["filename"] for a in answered if low <= sure_of(a) and (sure_of(a) < high or high == 1)]
        expect(full.locator(".card .filename")).to_have_text(fitting)


@ONCE
def test_the_focus_stays_where_it_is_when_photos_move(full):
    full.select_option("#sort", "name")
    focused = full.locator(".card .open", has_text="red.png")
    focused.focus()
    choose(full, *plain("aqua"))
    wait_until_done(full, 8)
    expect(full.locator(".card .filename").first).to_have_text("aqua.png")
    expect(focused).to_be_focused()


def test_the_same_as_a_table(full, answers):
    full.click("#as-table")
    expect(full.locator("#as-table[aria-pressed=true]")).to_be_visible()
    expect(full.locator("#results")).to_be_hidden()
    expect(full.locator("#table tbody tr")).to_have_count(7)
    for name, answer in answers.items():
        row = full.locator("#table tbody tr", has_text=name)
        expect(row.locator(".label")).to_have_text(answer.get("label") or in_words(answer["error"]))
        code = "" if "label" in answer else answer["error"]["type"].removeprefix("/docs#")
        expect_data(row.locator(".label"), label=answer.get("label", ""), code=code)
        expect(row.locator(".percent")).to_have_text(with_one_decimal(sure_of(answer)) if "label" in answer else "")
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
            assert (row["state"], row["why"]) == ("failed", in_words(answer["error"]))


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
            assert item["why"] == in_words(answer["error"])


# One photo


def test_a_photo_opens_large_with_its_full_answer(page, backend, classifier):
    page.goto(backend.url)
    choose(page, photo("a.jpg", drawing("cat", 1)), photo("b.jpg", drawing("dog", 1)))
    wait_until_done(page, 2)
    page.locator(".card .open").first.click()
    dialog = page.locator("#detail")
    expect(dialog).to_be_visible()
    expect_data(dialog, state="done", label=labels(page)[0])
    expect(dialog.locator("#detail-label")).to_have_text(labels(page)[0])
    expect(dialog.locator(".class")).to_have_count(2)
    expect_data(dialog.locator("#detail-model"), model=classifier.bundle.id)
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


@ONCE
def test_the_focus_stays_in_the_dialog_without_a_ring_round_its_title(page, backend):
    page.goto(backend.url)
    choose(page, *plain("red green"))
    wait_until_done(page, 2)
    page.locator(".card .open").first.click()
    expect(page.locator("#detail-name")).to_be_focused()
    expect(page.locator("#detail-name")).to_have_css("outline-style", "none")
    expect(page.locator("html")).to_have_css("overflow-y", "hidden")
    page.focus("#next")
    for _ in range(2):  # the second leads nowhere
        page.keyboard.press("Enter")
        expect(page.locator("#detail-name")).to_have_text("green.png")
    expect(page.locator("#next")).to_be_focused()
    expect(page.locator("#next")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.locator("html")).to_have_css("overflow-y", "visible")
    expect(page.locator(".card .open").last).to_be_focused()
    page.keyboard.press("ArrowLeft")  # belongs to the page again
    expect(page.locator("#detail")).to_be_hidden()


def test_a_failed_photo_is_tried_again_where_it_is_open(page, watched, service):
    watched.refusals = [("500 Internal Server Error", [], b"words.jpg")]
    page.goto(service.url)
    choose(page, photo("words.jpg", b"words"))
    wait_until_done(page, 1)
    page.locator(".card .open").click()
    expect(page.locator("#answered")).to_be_hidden()
    expect(page.locator("#detail .picture img")).to_be_hidden()
    expect(page.locator("#no-picture")).to_be_hidden()  # the reason is told already
    with page.expect_response("**/predict"):
        page.click("#detail-retry")
    expect_data(page.locator("#detail"), state="failed", code="photo-format")
    expect(page.locator("#detail-retry")).to_be_hidden()  # it would be refused again
    page.complaints.clear()


@ONCE
@pytest.mark.parametrize(("slug", "helps"), [("photo-slow", True), ("photo-unreadable", False), ("internal", True)])
def test_trying_again_is_offered_where_it_can_help(page, backend, monkeypatch, slug, helps):
    monkeypatch.setattr(
        "catdog.backend.routes.decoded", lambda files, how: [Problem(slug, "Not this one.") for _ in files]
    )
    page.goto(backend.url)
    choose(page, photo("a.jpg", drawing()))
    wait_until_done(page, 1)
    expect_data(page.locator("#status"), failed=1, working=False)
    for button in (".card .retry", "#retry-all"):
        expect(page.locator(button)).to_be_visible(visible=helps)


# Why?


def heat_on(page):
    """How bright the overlay is, 14 × 14, from 0 to 1."""
    pixels = page.locator("#detail canvas").evaluate("""canvas => {
      const copy = new OffscreenCanvas(14, 14).getContext("2d", {willReadFrequently: true});
      copy.drawImage(canvas, 0, 0);
      return [...copy.getImageData(0, 0, 14, 14).data];
    }""")
    return (190 - np.array(pixels).reshape(14, 14, 4)[:, :, 3]) / 100


def lies_over_the_middle(page) -> bool:
    """Whether the heat map covers the middle square of the photo, which is what the model looks at."""
    shown, over = (page.locator(f"#detail .picture {part}").bounding_box() for part in ("img", "canvas"))
    side = min(shown["width"], shown["height"])
    wanted = {
        "width": side,
        "height": side,
        "x": shown["x"] + (shown["width"] - side) / 2,
        "y": shown["y"] + (shown["height"] - side) / 2,
    }
    return all(abs(wanted[key] - over[key]) < 1 for key in wanted)


def test_why_lays_a_heat_map_over_the_photo(page, backend, client):
    page.goto(backend.url)
    choose(page, photo("a.jpg", drawing("dog", 3)), photo("b.jpg", drawing("cat", 2)))
    wait_until_done(page, 2)
    page.locator(".card .open").first.click()
    asked = []
    page.on("request", lambda request: request.url.endswith("/explain") and asked.append(request))
    canvas = page.locator("#detail canvas")
    label = page.get_attribute("#detail", "data-label")
    page.click("#why")
    expect_data(page.locator("#why-words[role=status]"), state="shown", label=label)
    files = {"images": (io.BytesIO(drawing("dog", 3)), "a.jpg")}
    heat = client.post("/explain", data={**files, "label": label}).json["heatmap"]
    assert np.abs(heat_on(page) - heat).max() < 0.02
    assert lies_over_the_middle(page)
    expect(page.locator("#why-for")).to_be_hidden()  # of two classes, the other is the same seen from behind
    page.click("#why")
    expect(canvas).to_be_hidden()
    page.click("#why")  # remembered
    expect(canvas).to_be_visible()
    assert len(asked) == 1
    page.click("#next")  # another photo has not been asked about
    expect(canvas).to_be_hidden()
    expect(page.locator("#why[data-shown=false]")).to_be_visible()


@ONCE
@pytest.mark.parametrize(
    ("size", "unseen"), [((640, 240), "left-and-right"), ((240, 640), "top-and-bottom"), ((300, 300), "")]
)
def test_why_says_which_ends_of_a_long_photo_are_not_looked_at(page, backend, size, unseen):
    page.goto(backend.url)
    choose(page, photo("a.jpg", encoded(Image.open(io.BytesIO(drawing("dog", 3))).resize(size))))
    wait_until_done(page, 1)
    page.locator(".card .open").click()
    page.click("#why")
    expect_data(page.locator("#why-words"), state=re.compile("shown|nothing"), unseen=unseen)
    assert lies_over_the_middle(page)


@ONCE
def test_why_of_a_model_that_sees_squeezed_photos_covers_all_of_it(page, classifier, monkeypatch):
    """As those that were trained before photos kept their aspect ratio."""
    app = create_app(classifier)
    monkeypatch.setattr("catdog.backend.routes.Model.preprocessing", Preprocessing(fit=SQUEEZE))
    server = Server(app, "127.0.0.1", 0)
    page.goto(server.url)
    choose(page, photo("a.jpg", encoded(Image.open(io.BytesIO(drawing("dog", 3))).resize((640, 240)))))
    wait_until_done(page, 1)
    page.locator(".card .open").click()
    page.click("#why")
    expect_data(page.locator("#why-words"), state=re.compile("shown|nothing"), unseen="")
    shown, over = (page.locator(f"#detail .picture {part}").bounding_box() for part in ("img", "canvas"))
    assert all(abs(shown[key] - over[key]) < 1 for key in shown)
    server.stop()


@ONCE
def test_why_says_where_in_words(page, backend, client, real_photos):
    """For those who do not see it: the ninth of the photo with most of the heat."""
    data = next(iter(sorted((real_photos / "test/cat").iterdir()))).read_bytes()
    page.goto(backend.url)
    choose(page, photo("a.jpg", data))
    wait_until_done(page, 1)
    page.locator(".card .open").click()
    label = page.get_attribute("#detail", "data-label")
    page.click("#why")
    expect_data(page.locator("#why-words"), state="shown", label=label)
    told = client.post("/explain", data={"images": (io.BytesIO(data), "a.jpg"), "label": label})
    heat = np.array(told.json["heatmap"])
    thirds = np.arange(14) * 3 // 14
    shares = np.array([[heat[np.ix_(thirds == y, thirds == x)].sum() for x in range(3)] for y in range(3)])
    where = ["upper-left", "top", "upper-right", "left", "middle", "right", "lower-left", "bottom", "lower-right"]
    most, share = where[shares.argmax()], 100 * shares.max() / shares.sum()
    expect_data(page.locator("#why-words"), region=most, share=f"{share:.1f}%")
    expect(page.locator("#why-words")).to_contain_text(re.compile(rf"{label}.*{most.replace('-', ' ')}.*{share:.1f}%"))


@ONCE
def test_why_not_is_told_where_the_service_is_gone(page, app):
    server = Server(app, "127.0.0.1", 0)
    page.goto(server.url)
    choose(page, photo("a.jpg", drawing()))
    wait_until_done(page, 1)
    server.stop()
    page.locator(".card .open").click()
    page.click("#why")
    expect_data(page.locator("#why-words"), state="failed", code="unreachable")
    expect(page.locator("#why[data-shown=false]")).to_be_visible()
    page.complaints.clear()


# Not sure


@ONCE
def test_the_page_says_not_sure_when_the_model_does(page, classifier, answers):
    answered = {name: answer for name, answer in answers.items() if "label" in answer}
    limit = float(np.median([sure_of(answer) for answer in answered.values()]))
    app = create_app(Classifier(without_thresholds(classifier.bundle, confidence=limit), classifier.engine))
    server = Server(app, "127.0.0.1", 0)
    page.goto(server.url)
    choose(page, *mixed())
    wait_until_done(page, 7)
    assert labels(page)[:6] == [answer["label"] for answer in answered.values()]
    sure = page.locator(".card").evaluate_all("cards => cards.map(({dataset}) => dataset.sure)")
    assert sure[:6] == [str(sure_of(answer) >= limit).lower() for answer in answered.values()]
    expect_data(page.locator("#totals"), counts=re.compile(r'"\?not sure":3'))
    show_only(page, "?not sure")
    expect(page.locator('.card[data-sure="false"]')).to_have_count(3)
    expect(page.locator(".card")).to_have_count(3)
    page.locator(".card .open").first.click()
    expect_data(page.locator("#detail"), sure=False, familiar=True)
    expect(page.locator("#detail-label")).to_contain_text("Not sure")  # the one word for it on the page
    page.click("#close")
    with open(saved(page, "#csv").path(), encoding="utf-8-sig", newline="") as file:
        assert [row["sure"] for row in csv.DictReader(file)].count("false") == 3
    said = "".join(f"{name},{answer['label']}\n" for name, answer in answered.items())
    page.set_input_files("#archive", photo("labels.csv", f"name,label\n{said}".encode(), "text/csv"))
    expect_data(page.locator("#accuracy"), known=6, unsure=3, sure=3, right=3)
    server.stop()


@ONCE
def test_the_page_says_why_it_is_not_sure_of_what_it_does_not_know(page, classifier):
    nothing = OODDetector(np.zeros((2, 1024), np.float32), limit=0.0)  # is like what this model learned from
    strange = dataclasses.replace(classifier.bundle, ood_detector=nothing)
    server = Server(create_app(Classifier(strange, classifier.engine)), "127.0.0.1", 0)
    page.goto(server.url)
    choose(page, *plain("red"))
    wait_until_done(page, 1)
    expect_data(page.locator(".card"), sure=False, familiar=False)
    expect(page.locator(".card .label")).to_contain_text("Not sure")
    server.stop()


def with_the_names_of_before(response):
    """As a service of the version before answers."""
    body = response.get_json() if response.is_json else {}
    for item in (body, *body.get("predictions", ())):
        for name in ("confident", "in_distribution", "heatmap", "target"):
            item.pop(name, None)
        if "kept" in item:
            del item["label"]
    if body:
        response.set_data(json.dumps(body))
    return response


@ONCE
def test_a_service_of_the_version_before_is_understood(page, classifier, own_places):
    nothing = OODDetector(np.zeros((2, 1024), np.float32), limit=0.0)
    strange = dataclasses.replace(classifier.bundle, ood_detector=nothing)
    app = create_app(Classifier(strange, classifier.engine), feedback=Feedback("pets"))
    app.after_request(with_the_names_of_before)
    server = Server(app, "127.0.0.1", 0)
    page.goto(server.url)
    choose(page, *plain("red"))
    wait_until_done(page, 1)
    expect_data(page.locator(".card"), sure=False, familiar=False)
    page.locator(".card .open").click()
    page.click("#why")
    expect_data(page.locator("#why-words"), state=re.compile("shown|nothing"))
    other = wrong(page.get_attribute("#detail", "data-label"))
    say_it_is(page, other)
    expect_data(page.locator("#correction-words"), code="sent", label=other)
    expect(page.locator("#correction-words")).to_contain_text(f"Sent: {other}.")
    server.stop()


# Which model


@ONCE
def test_the_page_says_which_model_answers_and_when_it_changes(page, classifier):
    model = classifier.bundle
    app = create_app(classifier)
    server = Server(app, "127.0.0.1", 0)
    page.goto(server.url)
    page.click("#about summary")
    for words in (model.card.name, model.card.version, "2026", "98.0% of 100 test photos"):
        expect(page.locator("#about p").first).to_contain_text(words)
    choose(page, photo("a.jpg", drawing()))
    wait_until_done(page, 1)
    expect(page.locator("#notice")).to_be_empty()
    later = dataclasses.replace(model, card=dataclasses.replace(model.card, version="later"))
    set_model(app, Classifier(later, classifier.engine))
    choose(page, photo("b.jpg", drawing()))
    wait_until_done(page, 2)
    expect_data(page.locator("#notice[role=status]"), code="model-changed", model=f"{model.card.name}/later")
    expect_data(page.locator("#model"), model=f"{model.card.name}/later")
    page.locator(".card .open").first.click()
    expect_data(page.locator("#detail-model"), model=classifier.bundle.id)
    page.click("#next")
    expect_data(page.locator("#detail-model"), model=f"{model.card.name}/later")
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
        folder = tmp_path / "dog" / {"cat": "Cats", "dog": "dog"}[really]  # the nearest counts, as people call it
        folder.mkdir(parents=True, exist_ok=True)
        (folder / item["name"]).write_bytes(item["buffer"])
    page.goto(backend.url)
    page.set_input_files("#folder", tmp_path / "dog")
    wait_until_done(page, 6)
    expect(page.locator("#field-test")).to_be_visible()
    truth = [wrong(label) if name in missed else label for name, label in said.items()]
    report = evaluate_labels(truth, list(said.values()))
    low, high = (f"{100 * share:.1f}%" for share in (report.low, report.high))
    expect_data(page.locator("#accuracy"), right=4, known=6, share="66.7%", low=low, high=high)
    expect(page.locator("#accuracy")).to_contain_text(re.compile(rf"4.*6.*66\.7%.*{low}.*{high}"))
    cells = page.locator("#confusion tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].slice(1).map(cell => +cell.textContent))"
    )
    assert cells == report.confusion.tolist()
    expect_data(page.locator("#misses summary"), misses=2)
    page.click("#misses summary")
    for name in missed:
        miss = page.locator("#misses button", has_text=name)
        expect(miss).to_contain_text(re.compile(rf"{wrong(said[name])}.*{said[name]}"))
    page.locator("#misses button").first.click()
    expect_data(page.locator("#detail"), wrong=True, truth=re.compile("cat|dog"))
    page.keyboard.press("Escape")
    show_only(page, "?wrong")
    expect(page.locator(".card")).to_have_count(2)


def evaluate_labels(truth, said):
    classes = ("cat", "dog")
    probabilities = np.eye(2, dtype=np.float32)[[classes.index(label) for label in said]]
    return evaluate(probabilities, np.array([classes.index(label) for label in truth]), classes)


@ONCE
@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("a.csv", 'file,label\r\nred.png,{red}\r\n"green.png",{green}\r\nblue.png,giraffe\r\n', "utf-8"),
        ("a.csv", "red.png;{red}\ngreen.png;{green}\nblue.png;giraffe", "utf-8"),
        ("a.csv", "id\tclass\tfilename\n1\t{red}\tred.png\n2\t {green} \tgreen.png\n3\tgiraffe\tblue.png\n", "utf-8"),
        ("a.csv", "name,label\nred.png,{red}\n\ngreen.png,{green}s\nblue.png,giraffe\n", "utf-8-sig"),
        ("a.csv", "id,breed\nred,{red}\ngreen,{green}\nblue,giraffe\n", "utf-8"),
        ("a.csv", "sep=;\r\nid;kind of it\r\nred;{red}\r\ngreen;{green}\r\nblue;giraffe\r\n", "utf-8"),
        ("a.csv", "id,label\rred,{red}\rgreen,{green}\rblue,giraffe\r", "utf-8"),
        ("a.tsv", "id\tlabel\nRED.PNG\t{red}\n.\\green.png\t{green}\nblue.png\tgiraffe\n", "utf-16"),
        ("a.csv", "id,cat,giraffe,dog\nred,{is_cat},0,{is_dog}\ngreen,{is_dog},0,{is_cat}\nblue,0,1,0\n", "utf-8"),
        ("a.jsonl", '{{"file": "red.png", "label": "{red}"}}\n{{"file": "green.png", "label": "{green}"}}\n'
         '{{"file": "blue.png", "label": "giraffe"}}\n', "utf-8"),
        ("a.json", '{{"red.png": "{red}", "green.png": "{green}", "blue.png": "giraffe"}}', "utf-8"),
    ],
    ids=["names", "semicolons", "columns", "mark", "stems", "sep=", "Mac", "UTF-16", "one-hot", "JSONL", "JSON"],
)  # fmt: skip
def test_a_table_of_names_and_labels_does_so_too(full, answers, name, text, encoding):
    red, green = answers["red.png"]["label"], wrong(answers["green.png"]["label"])
    is_cat = int(red == "cat")
    filled = text.format(red=red, green=green, is_cat=is_cat, is_dog=1 - is_cat)
    full.set_input_files("#archive", photo(name, filled.encode(encoding), "text/plain"))
    expect_data(full.locator("#notice"), code="labels-read", labels=3, unknown="giraffe")
    expect_data(full.locator("#accuracy"), right=1, known=2, share="50.0%")
    expect(full.locator('.card[data-wrong="true"] .filename')).to_have_text(["green.png"])


def test_a_tester_says_what_a_photo_really_is(full, answers):
    full.locator(".card .open").first.click()
    said = answers["red.png"]["label"]
    say_it_is(full, wrong(said))
    expect_data(full.locator("#detail"), label=said, truth=wrong(said), wrong=True)
    expect(full.locator("#detail-label")).to_contain_text(wrong(said))
    full.click("#close")
    expect_data(full.locator("#marked"), right=0, wrong=1)
    expect(full.locator("#field-test")).to_be_hidden()  # of what testers pick out no accuracy can be made
    full.locator(".card .open").first.click()
    say_it_is(full, wrong(said))  # once more takes it back
    full.click("#close")
    expect_data(full.locator("#marked"), right=0, wrong=0)
    expect(full.locator("#marked")).to_be_empty()
