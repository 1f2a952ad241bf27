"""Pruned models: arrays that are checked, a parity check that they need, and a model that is served with or without."""

import dataclasses
import functools
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from catdog import paths
from catdog.backbones.architectures import VGG16, Backbone
from catdog.backbones.vgg16_weights import LAYERS, fingerprint
from catdog.data.dataset import check
from catdog.data.folders import TEST
from catdog.data.images import read_photo
from catdog.data.sources import PhotoFolder
from catdog.engines import open_engine, selection
from catdog.engines.base import OPENVINO_FP32, OPENVINO_INT8, OPENVINO_PRUNED, TENSORFLOW, EngineUnavailable
from catdog.engines.parity import EarlierPrunedParityCheck, PrunedParityCheck, fewest_photos
from catdog.engines.pruned import PrunedNetwork, quantize_pruned
from catdog.models import bundle
from catdog.models.arrays import load_cached_arrays
from catdog.models.bundle import BundleRefused
from catdog.models.classifier import Classifier, load_classifier
from catdog.models.head import Head
from catdog.models.ood import OODDetector
from catdog.models.pruned import PrunedModel
from catdog.notebook import plots
from catdog.training import pruned_models
from catdog.training.engine_selection import EngineSelection
from catdog.training.features import FeatureCache, features_by_split
from catdog.training.pruned_models import prune
from catdog.training.pruned_parity import compare_pruned
from catdog.training.save import save_model
from catdog.training.trained_head import train_head
from conftest import drawing, refused, with_backbone


@pytest.fixture(scope="module")
def photos():
    return np.stack([read_photo(drawing("cat" if seed % 2 else "dog", seed)) for seed in range(4)])


def sliced(weights, share=2):
    """A chain of VGG16's first channels, which says little and is fast."""
    narrow, entering = {}, 3
    for layer in LAYERS:
        kernel, bias = weights[f"{layer}/kernel"], weights[f"{layer}/bias"]
        width = len(bias) if layer == LAYERS[-1] else len(bias) // share
        narrow |= {f"{layer}/kernel": kernel[:, :, :entering, :width].copy(), f"{layer}/bias": bias[:width].copy()}
        entering = width
    return narrow


@pytest.fixture(scope="module")
def narrow(slim):
    return sliced(slim.weights)


@pytest.fixture(scope="module")
def network(narrow, photos):
    return quantize_pruned(narrow, photos)


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Drawings enough to check something by."""
    from catdog.data.synthetic import draw_folder

    return check(PhotoFolder(draw_folder(tmp_path_factory.mktemp("many"), per_class=32), "pets"))


def test_it_computes_what_the_narrow_network_does(network, narrow, slim, photos):
    engine = open_engine(OPENVINO_PRUNED, slim, network)
    expected = open_engine(TENSORFLOW, slim).features(photos[:1]).shape
    assert engine.features(photos[:1]).shape == expected
    exact = open_engine(OPENVINO_FP32, Backbone(VGG16, narrow, fingerprint(narrow))).features(photos)
    assert np.abs(engine.features(photos) - exact).mean() < 0.3 * exact.std(axis=0).mean()
    assert engine.activations(photos).shape == (4, 14, 14, 512)
    assert np.abs(VGG16.pool(engine.activations(photos)) - engine.features(photos)).max() < 1e-4
    assert engine.fingerprint == slim.fingerprint
    assert engine.engine_id != open_engine(OPENVINO_PRUNED, slim, other(network)).engine_id


def test_it_sees_photos_of_the_size_of_the_whole_network(narrow, slim_288):
    architecture = slim_288.architecture
    drawn = [drawing("cat" if seed % 2 else "dog", seed) for seed in range(4)]
    photos = np.stack([read_photo(one, preprocessing=architecture.preprocessing) for one in drawn])
    engine = open_engine(OPENVINO_PRUNED, slim_288, quantize_pruned(narrow, photos, architecture))
    exact = open_engine(OPENVINO_FP32, Backbone(architecture, narrow, fingerprint(narrow))).features(photos)
    assert np.abs(engine.features(photos) - exact).mean() < 0.3 * exact.std(axis=0).mean()
    assert engine.activations(photos).shape == (4, 18, 18, 512)


def test_that_of_a_model_of_before_gives_the_features_which_that_was_saved_with(network, slim, earlier):
    engine = open_engine(OPENVINO_PRUNED, dataclasses.replace(slim, architecture=earlier.architecture), network)
    features = engine.features(earlier.golden_photos)
    assert features.shape == (6, 512)
    assert np.abs(engine.activations(earlier.golden_photos).max(axis=(1, 2)) - features).max() < 1e-3 * features.max()
    head = Head(np.random.default_rng(1).normal(size=(512, 2), scale=0.01).astype(np.float32), np.zeros(2, np.float32))
    ood_detector = OODDetector(np.full((2, 512), 0.01, np.float32), 0.5)
    int8 = PrunedModel(network, head, ood_detector, 0.9, head.probabilities(features))
    card = with_backbone(earlier.card, fingerprint=slim.fingerprint)
    served = Classifier(dataclasses.replace(earlier, card=card, pruned=int8), engine)
    assert np.abs(served.predict(earlier.golden_photos) - int8.golden_probabilities).max() < 1e-5
    assert served.explain(earlier.golden_photos[0])[1].max() == 1


def other(network):
    """Another one: a kernel differs in one step."""
    arrays = {name: array.copy() for name, array in network.arrays.items()}
    arrays["block2_conv1/kernel"][0, 0, 0, 0] ^= 1
    return PrunedNetwork(arrays)


@pytest.mark.parametrize("damage", ["missing", "floats", "does not follow", "fewer features", "nan"])
def test_arrays_of_nonsense_are_refused(network, damage):
    arrays = {name: array.copy() for name, array in network.arrays.items()}
    if damage == "missing":
        del arrays["block3_conv2/kernel"]
    elif damage == "floats":
        arrays["block3_conv2/kernel"] = arrays["block3_conv2/kernel"].astype(np.float32)
    elif damage == "does not follow":
        arrays["block3_conv2/kernel"] = arrays["block3_conv2/kernel"][:, :, 1:]
    elif damage == "fewer features":
        for part in ("kernel", "scale", "bias"):
            arrays[f"{LAYERS[-1]}/{part}"] = arrays[f"{LAYERS[-1]}/{part}"][..., :-1]
    else:
        arrays["block1_conv1/bias"][0] = np.nan
    with pytest.raises(ValueError, match="are invalid"):
        PrunedNetwork(arrays)


def answers(said, sure, classes):
    """Return probabilities (n, classes): `sure` for each predicted class, and the rest shared equally."""
    return np.where(np.eye(classes, dtype=bool)[said], sure, (1 - sure) / (classes - 1))


def judged(photos=2000, lost=0, won=0, elsewhere=0, again=40, sure=0.98, allowed=0.5, classes=3):
    """Return the parity check of a pruned model that gets `lost` photos newly wrong, `won` newly right, and `elsewhere`
    wrong in another way. The whole model is right on 98 % and gives its answers that probability; a second last layer
    changes `again` of them."""
    wrong = photos // 50
    targets = np.zeros(photos, int)
    whole = targets.copy()
    whole[photos - wrong :] = 1
    now, second = whole.copy(), whole.copy()
    now[:lost] = 1
    now[photos - won :] = 0
    now[photos - wrong : photos - wrong + elsewhere] = 2
    second[:again] = 1
    return compare_pruned(
        answers(now, sure, classes), answers(whole, 0.98, classes), np.eye(classes)[second], targets, allowed
    )


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    ("passes", "fails", "sentence"),
    [
        ({"lost": 10, "sure": 0.975}, {"lost": 11, "sure": 0.975}, "Accuracy is 0.55 points lower: at most 0.50"),
        (
            {"lost": 28, "won": 20, "again": 80}, {"lost": 40, "won": 32, "again": 80},
            "The loss may be up to 1.10 points: at most 1.00",
        ),
        ({"photos": 200, "again": 1}, {"photos": 100, "again": 1}, "The loss may be up to 1.61 points: at most 1.00"),
        ({"sure": 0.984}, {"sure": 0.986}, "The calibration error is 0.60%: at most 0.50% is allowed"),
        ({"sure": 0.976}, {"sure": 0.974}, "The calibration error is 0.60%: at most 0.50% is allowed"),
        (
            {"lost": 3, "won": 3, "again": 0}, {"lost": 4, "won": 4, "again": 0},
            "The agreement is 99.60%: at least 99.70% is required",
        ),
        (
            {"lost": 16, "won": 10, "again": 20}, {"lost": 17, "won": 10, "again": 20},
            "The agreement is 98.65%: at least 98.70% is required",
        ),
    ],
)  # fmt: skip
def test_each_condition_refuses_by_itself_and_names_what_was_missed_and_required(passes, fails, sentence, classes):
    assert judged(**passes, classes=classes).failure == ""
    check = judged(**fails, classes=classes)
    assert check.failure.startswith(f"{check} {sentence}")
    assert check.failure.count(": at ") == 1  # no other condition was missed


def test_another_wrong_answer_costs_agreement_alone():
    assert judged(elsewhere=6, again=0).failure == ""
    assert "The agreement is 99.65%" in judged(elsewhere=7, again=0).failure
    assert judged(elsewhere=7).accuracy_drop == 0


def test_the_setting_may_allow_more_than_the_bound_of_one_point():
    assert judged(lost=30, sure=0.965, allowed=2.0).failure == ""
    assert "at most 1.00 are allowed" in judged(lost=30, sure=0.965, allowed=1.0).failure
    assert "up to 2.14 points: at most 2.00" in judged(lost=34, won=1, sure=0.965, allowed=2.0).failure


def test_a_check_on_few_photos_says_too_little():
    assert "too few for a parity check" in judged(photos=29).failure
    assert "too few" in judged(photos=0).failure


@pytest.mark.parametrize("max_drop", [0.0, 0.5, 2.0, 100.0])
def test_the_fewest_photos_are_those_with_which_a_pruned_model_without_a_change_passes(max_drop):
    fewest = fewest_photos(max_drop)
    assert judged(photos=fewest, again=0, allowed=max_drop).failure == ""
    assert judged(photos=fewest - 1, again=0, allowed=max_drop).failure
    assert fewest_photos(0.5) == 163


def test_all_figures_are_said():
    said = str(judged(lost=8, won=2, again=30, sure=0.981))
    assert said == (
        "on 2,000 photos that neither was trained on, accuracy is 0.3 points lower than the whole model's (95 % "
        "interval of the loss: -0.0 to +0.6; with 95 % certainty at most +0.6). The calibration error is 0.4%, the "
        "whole model's 0.0%. It agrees with the whole model on 99.5%; two last layers of the whole model agree on "
        "98.5%."
    )
    assert "0.1 points higher than" in str(judged(won=2))


def test_the_interval_is_that_of_agresti_and_min():
    """Worked with the R code of http://users.stat.ufl.edu/~aa/cda/R/matched/R2_matched/: b = 1, c = 4, n = 200."""
    found = judged(photos=200, lost=4, won=1)
    difference, spread = 3 / 202, np.sqrt(6 - 9 / 202) / 202
    assert (found.low, found.high, found.upper_bound) == pytest.approx(
        [100 * (difference + errors * spread) for errors in (-1.96, 1.96, 1.645)]
    )
    same = judged()
    assert same.low < 0 < same.high


@pytest.fixture(scope="module")
def trained(pets, slim, network):
    """As notebook 1 does it, with a narrow network that is there already: (arguments of `save_model`, candidate)."""
    store = FeatureCache(slim)
    engines = EngineSelection(pets, slim, store, OPENVINO_INT8)
    data = features_by_split(pets, engines.chosen, store)
    head = train_head(data, pets.classes)
    made = {"macs_reduction": 3.0, "photos": 99, "gmacs": 3.8}
    trade_off = prune("3", pets, engines, head, max_drop=50.0, make=lambda times: (network, made))
    return ("pets", pets, head, engines), trade_off


def passing(candidate, **changes):
    parity = PrunedParityCheck(
        accuracy_drop=0.0, low=-0.5, high=0.5, upper_bound=0.4, calibration_error=0.012,
        reference_calibration_error=0.01, agreement=0.99, reference_agreement=0.985, max_drop=0.5, photos=400,
    )  # fmt: skip
    return dataclasses.replace(candidate, parity=dataclasses.replace(parity, **changes))


@pytest.fixture(scope="module")
def _saved(trained, tmp_path_factory):
    arguments, trade_off = trained
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELS_DIR", str(tmp_path_factory.mktemp("models")))
        yield save_model(*arguments, passing(trade_off.candidates[0]))


@pytest.fixture(scope="module")
def load(slim):
    """As `load_classifier`, for models on the slim backbone."""
    return functools.partial(load_classifier, public=slim)


@pytest.fixture
def model(_saved, own_places, own_cache):
    """Saved with a pruned model that passes its check."""
    return _saved


def test_the_trade_off_tells_and_shows(trained):
    _, trade_off = trained
    (candidate,) = trade_off.candidates
    assert f"3 times less arithmetic: {candidate.parity}" in str(trade_off)
    missed = passing(candidate, agreement=0.98)
    refused_one = str(dataclasses.replace(trade_off, candidates=(missed,)))
    assert "agree on 98.5%. The agreement is 98.00%: at least 98.20% is required.\nNo pruned model" in refused_one
    assert [point.macs_reduction for point in trade_off.points] == ["1", "3"]
    assert all(point.rate > 0 for point in trade_off.points)
    drawn = plots.trade_off(trade_off).axes[0]
    assert {text.get_text() for text in drawn.texts} >= {"whole network"}
    assert plots.trade_off(pruned_models.TradeOff()) is None
    assert str(pruned_models.TradeOff()) == "No pruned model was made."


def test_it_is_saved_with_the_model_and_served_where_it_is_faster(load, model, trained, photos, monkeypatch, capsys):
    _, trade_off = trained
    candidate = trade_off.candidates[0]
    read = bundle.read(model.folder)
    assert read.pruned.network.digest == candidate.network.digest == read.card.pruned.about["digest"]
    assert "Its pruned model: on 400 photos that neither" in read.describe()
    monkeypatch.setattr(selection, "seconds_per_photo", lambda engine: 0.01 if engine.name == OPENVINO_PRUNED else 0.02)
    served = load(read)
    assert served.engine.name == OPENVINO_PRUNED
    expected = candidate.trained.calibrated.head.probabilities(candidate.engine.features(photos))
    assert np.abs(served.predict(photos) - expected).max() < 1e-5
    assert np.abs(load(read, OPENVINO_INT8).predict(photos) - expected).max() > 1e-5
    answer, heat = served.explain(photos[0])
    assert heat.shape == (14, 14)
    assert np.abs(answer.probabilities - expected[0]).max() < 1e-3
    assert load(read, OPENVINO_PRUNED, reuse_engine_of=served).engine is served.engine
    changed = dataclasses.replace(read, pruned=dataclasses.replace(read.pruned, network=other(read.pruned.network)))
    assert load(changed, OPENVINO_PRUNED, reuse_engine_of=served).engine is not served.engine
    assert "openvino-pruned" in capsys.readouterr().out


def test_the_faster_of_two_pruned_models_is_not_taken_for_the_slower(load, model, slim, monkeypatch):
    """Times are remembered by machine and name; each pruned model has its own."""
    seconds = iter((0.5, 0.001))
    monkeypatch.setattr(
        selection, "seconds_per_photo", lambda engine: next(seconds) if engine.name == OPENVINO_PRUNED else 0.02
    )
    assert load(model).engine.name != OPENVINO_PRUNED
    slimmer = {**model.pruned.network.arrays}
    for name in ("kernel", "scale", "bias"):
        slimmer[f"block5_conv1/{name}"] = slimmer[f"block5_conv1/{name}"][..., :-1]
    slimmer["block5_conv2/kernel"] = slimmer["block5_conv2/kernel"][:, :, :-1]
    network = PrunedNetwork(slimmer)
    engine = open_engine(OPENVINO_PRUNED, slim, network)
    golden = model.pruned.head.probabilities(engine.features(model.golden_photos))
    int8 = dataclasses.replace(model.pruned, network=network, golden_probabilities=golden)
    assert load(dataclasses.replace(model, pruned=int8)).engine.name == OPENVINO_PRUNED


def test_the_fastest_that_passes_is_taken(trained):
    _, trade_off = trained
    slow, fast = (dataclasses.replace(passing(trade_off.candidates[0]), macs_reduction=times) for times in ("2", "3"))
    assert dataclasses.replace(trade_off, candidates=(slow, fast)).chosen is fast
    assert dataclasses.replace(trade_off, candidates=(slow, passing(fast, agreement=0.98))).chosen is slow


def test_where_there_is_a_gpu_it_is_no_candidate(load, model, monkeypatch):
    monkeypatch.setattr("catdog.models.classifier.has_gpu", lambda: True)
    monkeypatch.setattr(selection, "seconds_per_photo", lambda engine: 0.01 if engine.name == OPENVINO_PRUNED else 0.02)
    assert load(model).engine.name != OPENVINO_PRUNED


def test_few_photos_are_looked_at_mirrored_too(pets, slim):
    pixels = pruned_models._Networks(pets, SimpleNamespace(backbone=slim), seed=0)._pixels
    half = len(pets.of("train")) // 2
    assert pixels.shape == (2 * half, 224, 224, 3)
    assert (pixels[half:] == pixels[:half, :, ::-1]).all()


def test_it_must_pass_its_check(load, trained, model, monkeypatch, capsys):
    arguments, trade_off = trained
    model = save_model(*arguments, passing(trade_off.candidates[0], agreement=0.98))
    monkeypatch.setattr(selection, "seconds_per_photo", lambda engine: 0.01 if engine.name == OPENVINO_PRUNED else 0.02)
    assert load(model).engine.name == OPENVINO_INT8
    assert (
        "openvino-pruned is skipped: on 400 photos that neither was trained on, accuracy is 0.0 points lower than"
        in (capsys.readouterr().out)
    )
    with refused("engine-unusable", "openvino-pruned", "The agreement is 98.00%: at least 98.20% is required"):
        load(model, OPENVINO_PRUNED)


def test_one_of_an_earlier_release_is_served_by_the_verdict_of_that_release(
    load, trained, own_cache, tmp_path, monkeypatch
):
    """Its card lacks today's figures: it is neither refused for that nor judged by today's rule."""
    arguments, trade_off = trained
    monkeypatch.setenv("MODELS_DIR", str(tmp_path))
    monkeypatch.setattr(selection, "seconds_per_photo", lambda engine: 0.01 if engine.name == OPENVINO_PRUNED else 0.02)
    earlier = EarlierPrunedParityCheck(agreement=0.99, accuracy_drop=0.5, low=-1.0, high=2.0, max_drop=0.5, photos=100)
    model = save_model(*arguments, dataclasses.replace(trade_off.candidates[0], parity=earlier))
    assert set(json.loads((model.folder / "card.json").read_text())["pruned"]["parity"]) == {
        "agreement", "accuracy_drop", "low", "high", "max_drop", "photos",
    }  # fmt: skip
    read = bundle.read(model.folder)
    assert read.card.pruned.parity == earlier
    assert load(read).engine.name == OPENVINO_PRUNED
    assert "agrees with the whole model on 99.0%, and accuracy is 0.5 points lower" in read.describe()
    missed = dataclasses.replace(earlier, agreement=0.98)
    model = save_model("missed", *arguments[1:], dataclasses.replace(trade_off.candidates[0], parity=missed))
    assert load(bundle.read(model.folder)).engine.name == OPENVINO_INT8


def test_a_wrong_one_fails_its_golden_photos(model, slim):
    arrays = {name: array.copy() for name, array in model.pruned.network.arrays.items()}
    arrays["block4_conv1/range"] /= 50
    with refused("model-answers-changed", kind=BundleRefused):
        Classifier(model, open_engine(OPENVINO_PRUNED, slim, PrunedNetwork(arrays)))


@pytest.mark.parametrize("damage", ["gone", "cut", "another model's"])
def test_a_model_serves_without_it(load, model, damage, tmp_path, monkeypatch):
    folder = shutil.copytree(model.folder, tmp_path / "copy")
    path = folder / bundle.PRUNED
    data = path.read_bytes()
    path.write_bytes(data[:-100] if damage == "cut" else data[:-1] + b"x")
    if damage == "gone":
        path.unlink()
    read = bundle.read(folder)
    assert read.pruned is None
    assert load(read, OPENVINO_FP32).predict(model.golden_photos).shape[1] == 2
    with refused("engine-unusable", "PRUNE"):
        load(read, OPENVINO_PRUNED)


def test_one_that_does_not_fit_its_model_is_none(model):
    arrays, card = model.pruned.arrays, model.card
    assert PrunedModel.of(arrays, card).network.digest == model.pruned.network.digest
    for changed in (
        {"head/kernel": arrays["head/kernel"][:-1]},
        {"head/kernel": arrays["head/kernel"][:-1], "model/centers": arrays["model/centers"][:, :-1]},
        {"head/bias": arrays["head/bias"].astype(np.float64)},
        {"model/centers": arrays["model/centers"][:1]},
        {"model/golden": arrays["model/golden"] * np.nan},
    ):
        with pytest.raises(ValueError, match="fit together"):
            PrunedModel.of({**arrays, **changed}, card)
    for senseless in (
        {"confidence_threshold": 1.5},
        {"ood_detector": OODDetector(model.pruned.ood_detector.centers, 0.0)},
    ):
        with pytest.raises(ValueError, match="fit together"):
            dataclasses.replace(model.pruned, **senseless)
    with pytest.raises(ValueError, match="other classes"):
        PrunedModel.of(arrays, dataclasses.replace(card, classes=("cat", "dog", "owl")))


def test_nothing_is_written_twice_and_a_change_of_the_pruned_model_is_a_change(model, trained, monkeypatch):
    arguments, trade_off = trained
    candidate = passing(trade_off.candidates[0])
    monkeypatch.setenv("MODELS_DIR", str(model.folder.parents[1]))
    assert save_model(*arguments, candidate).id == model.id
    assert save_model(*arguments, dataclasses.replace(candidate, network=other(candidate.network))).id != model.id
    without = save_model(*arguments)
    assert without.pruned is None
    assert without.card.pruned is None


def test_knobs_that_make_no_sense_are_told(trained, pets, slim):
    arguments, _ = trained
    engines, head = arguments[3], arguments[2]
    with refused("setting-prune", "no, auto, all, 1.5", '"5"'):
        prune("5", pets, engines, head)
    with refused("setting-prune", "PRUNE_MAX_DROP"):
        prune("2", pets, engines, head, max_drop=-1)
    with refused("engine-no-params", "PRUNE", kind=EngineUnavailable):
        open_engine(OPENVINO_PRUNED, slim)
    assert prune("no", pets, engines, head).chosen is None


def test_where_nothing_can_be_checked_nothing_is_made(trained, drawings, capsys):
    arguments, _ = trained
    few = check(PhotoFolder(drawings, "few"))
    assert prune("auto", few, arguments[3], arguments[2]).candidates == ()
    assert "163 are needed" in capsys.readouterr().out


def test_another_backbone_has_none(pets):
    from catdog.backbones.architectures import ARCHITECTURES

    engines = SimpleNamespace(backbone=SimpleNamespace(architecture=ARCHITECTURES["ConvNeXtTiny"]))
    with refused("setting-prune", "ConvNeXtTiny", "BACKBONE"):
        prune("2", pets, engines, None)


@pytest.fixture
def slender(slim, own_cache, pets):
    """Notebook 1 on a chain like VGG16 that is small enough to be made smaller in seconds."""
    engines = EngineSelection.__new__(EngineSelection)
    engines.backbone, engines.store = slim, FeatureCache(slim)
    engines.chosen = engines.reference = open_engine(OPENVINO_FP32, slim)
    return pets, engines, train_head(features_by_split(pets, engines.chosen, engines.store), pets.classes)


def test_auto_goes_on_from_how_the_first_did_and_what_was_made_is_kept(slender, capsys):
    options = {"max_drop": 100.0, "photos_at_most": 16, "pruning": {"patches": 1600}}
    trade_off = prune("auto", *slender, **options)
    assert "Pruning to 50%" in capsys.readouterr().out
    halves = {one.macs_reduction: one for one in trade_off.candidates}
    assert set(halves) == ({"1.75", "2"} if halves["2"].parity.failure else {"2", "2.25"})
    half = halves["2"]
    assert half.made["gmacs"] <= half.made["gmacs_of_whole"] / 2
    assert json.loads(json.dumps(half.as_card().about))["channels"] == list(half.network.widths)
    again = prune("2", *slender, **options)
    assert "Pruning to" not in capsys.readouterr().out
    assert again.candidates[0].network.digest == half.network.digest
    assert again.candidates[0].trained.fit.head.kernel.tolist() == half.trained.fit.head.kernel.tolist()
    (kept, *_) = paths.cache_dir().glob("compact-*.npz")
    for damage in (kept.read_bytes()[:20_000], b"PK\x03\x04", b""):
        kept.write_bytes(damage)
        assert load_cached_arrays(kept) == {}
    assert half.parity.photos == len([photo for photo in slender[0].photos if photo.split != TEST]) - 16
    strict = dataclasses.replace(half, parity=dataclasses.replace(half.parity, agreement=0.5))
    assert "No pruned model was accepted" in str(dataclasses.replace(trade_off, candidates=(strict,)))
