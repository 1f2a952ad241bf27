"""The notebooks as people use them: run all, run all again, change a setting and go on. nbval runs each once more."""

import ast
import itertools
import json
import re
import sys
from contextlib import contextmanager

import pytest
from catdog.data.synthetic import draw_folder
from catdog.notebook.cell_errors import explain_errors, missing_cell
from catdog.notebook.settings import SETTINGS, read_settings
from conftest import ROOT, notebook_cells, refused

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FINE_TUNE, BACKEND, FRONTEND = NOTEBOOKS
EARLIER_NOTEBOOKS = sorted((ROOT / "tests" / "earlier_notebooks").iterdir())
# The network with the least arithmetic that notebook 1 offers and TensorFlow need not convert. nbval takes VGG16.
FEW_OPERATIONS = {"BACKBONE": "EfficientNet-Lite0", "ENGINE": "openvino-fp32"}


@contextmanager
def kernel(path, cwd=None, change=lambda source: source):
    """run(start, until, **replaced): executes cells of a notebook in one kernel; value(code): what a cell prints.

    `cwd` is where it starts, if not beside the notebook; `change` is done to every cell's source first.
    """
    import nbformat  # takes three seconds, which only tests that start a kernel shall wait
    from nbclient import NotebookClient

    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        cell.source = change(cell.source)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(cwd or path.parent)}}
    )

    def run(start="", until="", **settings):
        begun = not start
        for index, cell in enumerate(notebook.cells):
            begun = begun or (bool(start) and start in cell.source)
            if begun and until and until in cell.source:
                break
            if begun:
                client.clear_display_id_mapping(index)  # a thread may still update what an earlier run showed
                client.execute_cell(replaced(cell, settings), index)
        assert begun
        return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))

    def value(code):
        return client.execute_cell(nbformat.v4.new_code_cell(f"print({code})"), 0).outputs[0].text.strip()

    with client.setup_kernel():
        yield run, value


def replaced(cell, settings):
    for name, literal in settings.items():
        cell.source = re.sub(rf"^{name} = .*?(  #@param)", rf"{name} = {literal!r}\1", cell.source, flags=re.M)
    return cell


def code_cells(path):
    return [cell for cell in notebook_cells(path) if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_stored(path):
    assert all(not cell.outputs and cell.execution_count is None for cell in code_cells(path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_short_and_each_follows_a_word_of_why(path):
    cells = notebook_cells(path)
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    for before, cell in itertools.pairwise(cells):
        if cell.cell_type == "code" and not cell.source.startswith("#@title Set-up"):  # which Colab shows folded
            assert len([line for line in cell.source.splitlines() if "#@" not in line]) <= 16
            assert before.cell_type == "markdown" or len(cell.source.splitlines()) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_setting_stands_in_a_form_and_is_explained(path):
    cells, names = notebook_cells(path), []
    for place, cell in enumerate(cells):
        fields = re.findall(r"^(\w+) = .*#@param", cell.source, flags=re.M)
        if not is_form_of_settings(cell):
            assert set(fields) <= {"REPOSITORY", "STOP", "ROLL_BACK", "TAKE_OVER", "DECIDE"}
            continue
        (notebook,) = re.findall(r'read_settings\("([a-z-]+)", globals\(\)\)$', cell.source)
        assert all(f"`{field}`" in cells[place - 1].source for field in fields)
        names += fields
    assert form(path) == {name: default for name, (default, _) in SETTINGS[notebook].items()}
    assert names == list(SETTINGS[notebook])
    assert len(re.findall("#@param", next(filter(is_form_of_settings, cells)).source)) <= 12


def is_form_of_settings(cell):
    return re.match("#@title (Advanced s|S)ettings", cell.source) is not None


def forms(path):
    return "\n".join(cell.source for cell in code_cells(path) if is_form_of_settings(cell))


def form(path):
    """The settings of a notebook with the values of its forms."""
    fields = re.findall(r"^(\w+) = (.*?)  #@param", forms(path), flags=re.M)
    return {name: ast.literal_eval(value) for name, value in fields}


FORMS = {"fine-tune": FINE_TUNE, "backend": BACKEND, "frontend": FRONTEND}


@pytest.mark.parametrize("notebook", FORMS)
def test_every_choice_of_a_form_is_one_that_can_be(own_places, monkeypatch, notebook):
    for name in SETTINGS[notebook]:
        monkeypatch.delenv(name, raising=False)
    defaults = form(FORMS[notebook])
    choices = re.findall(r"^(\w+) = .*?#@param (\[.*?\])", forms(FORMS[notebook]), flags=re.M)
    for name, values in choices or [("USE_DRIVE", "[False]")]:
        for value in ast.literal_eval(values):
            cell = {**defaults, name: value}
            read_settings(notebook, cell)
            assert cell[name] == value


def test_a_setting_whose_form_has_not_run_has_its_default(own_places, monkeypatch):
    for name in SETTINGS["fine-tune"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FIT", "squeeze")
    cell = {"DATA": "drawings", "PIXELS": 256}
    read_settings("fine-tune", cell)
    assert (cell["DATA"], cell["PIXELS"], cell["FIT"], cell["PRUNE"]) == ("drawings", 256, "squeeze", "no")


@pytest.mark.parametrize(
    ("notebook", "name", "value", "code"),
    [
        ("fine-tune", "MODEL_NAME", "a/b", "model-name"), ("fine-tune", "BACKBONE", "ResNet", "backbone-unknown"),
        ("fine-tune", "PIXELS", 300, "setting-preprocessing"), ("fine-tune", "FIT", "pad", "setting-preprocessing"),
        ("fine-tune", "UNFREEZE", "all", "setting-unfreeze"), ("fine-tune", "ENGINE", "fast", "engine-unknown"),
        ("fine-tune", "EPOCHS", 0, "setting-training"),
        ("fine-tune", "TARGET_ACCURACY", 99.0, "setting-target-accuracy"),
        ("fine-tune", "PRUNE", "5", "setting-prune"), ("fine-tune", "PRUNE_MAX_DROP", -1.0, "setting-prune"),
        ("fine-tune", "SEED", -1, "setting-training"), ("fine-tune", "SAVE_WHEN", "never", "setting-save-when"),
        ("fine-tune", "CORRECTIONS_FROM", "/nowhere.zip", "setting-corrections"),
        ("backend", "ENGINE", "fast", "engine-unknown"), ("backend", "PORT", 70_000, "setting-port"),
        ("backend", "TUNNEL", "wire", "setting-tunnel"), ("backend", "ACCESS_CODE", "abc", "setting-access-code"),
        ("backend", "CORS_ORIGINS", "here", "setting-origins"), ("backend", "LIMITS", "photos=many", "setting-limits"),
        ("backend", "EXAMPLES", "/nowhere", "setting-examples"),
        ("backend", "TEST_PHOTO", "/nowhere.jpg", "test-photo-unreadable"),
        ("frontend", "BACKEND_URL", "my link", "setting-backend-url"), ("frontend", "PORT", -1, "setting-port"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_refused_in_its_cell(own_places, monkeypatch, notebook, name, value, code):
    for other in SETTINGS[notebook]:
        monkeypatch.delenv(other, raising=False)
    cell = {**form(FORMS[notebook]), name: value}
    with refused(code):
        read_settings(notebook, cell)
    monkeypatch.setenv(name, str(value))
    with refused(code):
        read_settings(notebook, form(FORMS[notebook]))


@pytest.mark.parametrize(("name", "value"), [("PRUNE", "auto"), ("UNFREEZE", "block5"), ("EXPORT_SITE", True)])
def test_what_needs_vgg16_is_refused_for_other_backbones(own_places, monkeypatch, name, value):
    monkeypatch.delenv("DATA", raising=False)
    cell = {**form(FINE_TUNE), "BACKBONE": "ConvNeXtTiny", name: value}
    with refused("setting-needs-vgg16", name, "BACKBONE to VGG16"):
        read_settings("fine-tune", cell)


@pytest.mark.slow
@pytest.mark.weights
def test_fine_tune_twice_and_with_another_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("DATA", str(draw_folder(tmp_path / "Pets", per_class=10)))
    for name, setting in FEW_OPERATIONS.items():
        monkeypatch.setenv(name, setting)
    with kernel(FINE_TUNE) as (run, value):
        run()
        first = value("model.id")
        assert first.startswith("pets/")
        run()
        assert value("model.id") == first
        run(start="from catdog.notebook import EngineSelection, compute_features")
        assert value("model.id") == first
        assert [path.name for path in (tmp_path / "models" / "pets").iterdir()] == [first.partition("/")[2]]
        run(start="#@title Advanced settings", FIT="squeeze")
        assert value("model.id") != first
        assert value("model.preprocessing.fit") == "squeeze"
        assert value("len(model.card.classes)") == "2"


@pytest.mark.slow
def test_a_cell_that_is_run_too_early_says_which_one_to_run_first():
    with kernel(FINE_TUNE) as (run, value):
        assert value("__import__('catdog.notebook')")
        with pytest.raises(Exception, match="dataset") as caught:
            run(start="worst = worst_mistakes")
        assert "⚠ This cell needs judgement, which the cell under “4 · Judge” defines: run that one first" in str(
            caught.value
        )
        assert "Traceback" not in caught.value.traceback
        with pytest.raises(Exception, match="NameError") as caught:
            value("nothing_of_ours")
        assert "⚠" not in caught.value.traceback


@pytest.mark.parametrize(
    ("name", "notebook", "cell", "heading"),
    [
        ("dataset", FINE_TUNE, "from catdog.notebook import EngineSelection", "2 · Check them"),
        ("plots", FINE_TUNE, "curve = learning_curve", "1 · Get the photos"),
        ("engines", FINE_TUNE, "from catdog.notebook import compare, save_model", "3 · Train"),
        ("plots", BACKEND, "from catdog.notebook import photo_or_drawing", "Try it"),
        ("model", BACKEND, "from catdog.notebook import serve_model", "Choose the model"),
        ("service", BACKEND, "STOP = False", "Start the service"),
        ("page", FRONTEND, "page.show()", "Serve the page"),
    ],
)
def test_the_cell_that_makes_a_name_is_that_of_the_same_notebook(name, notebook, cell, heading):
    source = next(one.source for one in code_cells(notebook) if one.source.startswith(cell))
    assert f"which the cell under “{heading}” defines" in missing_cell(name, source)


def test_a_name_that_no_notebook_makes_is_not_explained():
    assert missing_cell("nothing_of_ours", "print(nothing_of_ours)") == ""


def test_cells_that_are_not_python_and_a_notebook_that_somebody_edits_are_no_reason_to_fail(monkeypatch, tmp_path):
    cells = [{"cell_type": "code", "source": [source]} for source in ("%pip install x", "mine = (", "dataset = 1")]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "b.ipynb").write_text("{")
    monkeypatch.setattr("catdog.notebook.cell_errors._NOTEBOOKS", tmp_path)
    assert "needs dataset" in missing_cell("dataset", "print(dataset)")
    assert missing_cell("mine", "print(mine)") == ""


def test_what_had_ipythons_handler_of_errors_before_keeps_it(capsys):
    from IPython.core.interactiveshell import InteractiveShell

    shell, seen = InteractiveShell(), []
    shell.set_custom_exc((ZeroDivisionError,), lambda shell, kind, *others, **options: seen.append(kind))
    explain_errors(shell)
    shell.run_cell("1 / 0")
    shell.run_cell("dataset")
    assert seen == [ZeroDivisionError]
    assert "⚠ This cell needs dataset" in capsys.readouterr().out
    assert isinstance(sys.last_value, NameError)  # for %debug


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize("saved", EARLIER_NOTEBOOKS, ids=lambda folder: folder.name)
def test_notebooks_that_were_saved_before_run_as_they_did(tmp_path, monkeypatch, saved):
    """They import modules by the names of that time, and call functions with the arguments of that time."""
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("DATA", str(draw_folder(tmp_path / "Pets", per_class=10)))
    for name, setting in FEW_OPERATIONS.items():
        monkeypatch.setenv(name, setting)
    with kernel(saved / FINE_TUNE.name, cwd=FINE_TUNE.parent) as (run, value):
        run()
        trained = value("model.id")
        run()
        assert value("model.id") == trained
    monkeypatch.setenv("MODEL", trained)
    with kernel(saved / BACKEND.name, cwd=FINE_TUNE.parent) as (run, value):
        assert "POST /predict" in run()
        assert "The service is stopped." in run(start="STOP = False", STOP=True)


@pytest.mark.slow
@pytest.mark.weights
def test_without_photos_of_ones_own_there_are_drawings(monkeypatch):
    monkeypatch.setenv("DATA", "drawings")
    with kernel(FINE_TUNE) as (run, value):
        run(until="## 3 · Train")
        assert value("folder.synthetic, dataset.synthetic, len(dataset.photos)") == "True True 80"


@pytest.mark.slow
@pytest.mark.weights
def test_backend_twice_and_on_another_port(shipped, monkeypatch):
    monkeypatch.setenv("MODEL", shipped.id)
    monkeypatch.setenv("ENGINE", "openvino-int8")  # nbval has every engine timed
    with kernel(BACKEND) as (run, value):
        said = run()
        assert shipped.id in said
        assert "POST /predict" in said
        first = int(value("service.port"))
        run()
        assert value("len(__import__('catdog.web.server').web.server._running)") == "1"
        assert value("service.running") == "True"
        run(start="#@title Settings", PORT=first)
        assert value("service.tunnel.url") == value("service.url") == f"http://127.0.0.1:{value('service.port')}"
        run(start="STOP = False", STOP=True)
        assert value("service.running, service.tunnel, service") == "False None The service is stopped."
        run(start="service.stop()")
        assert value("service.running") == "False"
        with pytest.raises(Exception, match=r"\[service-unreachable\]") as caught:
            run(start="service.open_link")
        assert "Traceback" not in caught.value.traceback
        assert "POST /predict" in run(start="from catdog.notebook import serve_model", STOP=False)
        with pytest.raises(Exception, match=r"\[version-no-earlier\]") as caught:
            run(start="ROLL_BACK = False", ROLL_BACK=True)
        assert "Traceback" not in caught.value.traceback


@pytest.mark.slow
def test_frontend_twice_with_and_without_a_backend(backend, own_places, classifier):
    with kernel(FRONTEND) as (run, value):
        run()
        assert value("backend_state(BACKEND_URL, ACCESS_CODE).code") == "unknown"
        said = run(start="#@title Settings", BACKEND_URL=backend.url)
        assert classifier.bundle.id in said
        assert value("page.running") == "True"
        run(start="STOP = False", STOP=True)
        assert value("page.running, page") == "False The page is stopped."
        assert "Page: http://127.0.0.1:" in run(start="from catdog.notebook import serve_page", STOP=False)


@pytest.mark.slow
def test_what_a_user_can_cause_is_told_in_a_sentence(own_places, monkeypatch):
    monkeypatch.setenv("DATA", str(own_places / "nothing"))
    with kernel(FINE_TUNE) as (run, _), pytest.raises(Exception, match=r"\[photos-missing\]") as caught:
        run()
    assert "Traceback" not in caught.value.traceback
