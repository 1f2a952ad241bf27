"""Which backbone at which size: tried on a network that costs nothing, by an engine that says how fast it is."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
from catdog.backbones.architectures import VGG16
from catdog.data.dataset import check
from catdog.data.preprocessing import CROP, SQUEEZE
from catdog.data.sources import PhotoFolder
from catdog.errors import UserError
from catdog.training import backbone_comparison
from catdog.training.backbone_comparison import Tried, compare_networks, table
from catdog.training.features import FeatureCache
from catdog.training.linear_head import FitResult
from conftest import drawing
from standins.network import NAME, StandInNetwork

CANDIDATES = ((VGG16.name, 224, CROP), ("no such network", 224, CROP), (VGG16.name, 224, SQUEEZE))
PHOTOS = 24  # of each class


@pytest.fixture
def dataset(own_places, own_cache):
    """A set of drawings of so many of each class, by the classes' names."""

    def made(**numbers):
        for place, (label, number) in enumerate(numbers.items()):
            (own_places / "pets" / label).mkdir(parents=True)
            for seed in range(number):
                path = own_places / "pets" / label / f"{seed}.jpg"
                path.write_bytes(drawing("dog" if label == "dog" else "cat", 300 * place + seed))
        return check(PhotoFolder(own_places / "pets", "pets"))

    return made


@pytest.fixture
def asked(stand_in, monkeypatch):
    """What was asked for the time it takes, in order. The stand-in runs everything; what is squeezed takes twice as
    long, and three times as long again whenever something else keeps the machine busy."""
    asked, busy = [], [1, 3, 1]

    def loaded(name, pixels, fit):
        if name != VGG16.name:
            raise UserError("weights-missing", "They are not here.")
        return dataclasses.replace(stand_in.backbone, architecture=VGG16.at(pixels, fit))

    def engines(dataset, backbone, store, wanted):
        network = StandInNetwork()
        network.architecture = backbone.architecture
        return SimpleNamespace(chosen=network, store=store)

    def seconds(engine):
        asked.append(engine.architecture.preprocessing.fit)
        slower = 2 if asked[-1] == SQUEEZE else 1
        return 0.01 * slower * busy[(len(asked) - 1) // 2 % 3]

    monkeypatch.setattr(backbone_comparison, "load_backbone", loaded)
    monkeypatch.setattr(backbone_comparison, "EngineSelection", engines)
    monkeypatch.setattr(backbone_comparison, "seconds_per_photo", seconds)
    return asked


def test_each_is_judged_by_photos_that_it_was_not_trained_on(dataset, asked, capsys):
    photos = dataset(cat=PHOTOS, dog=PHOTOS)
    tried = compare_networks(photos, "auto", candidates=CANDIDATES)
    assert [(one.backbone, one.pixels, one.fit) for one in tried] == [CANDIDATES[0], CANDIDATES[2]]
    assert "weights-missing" in capsys.readouterr().out
    for one in tried:
        assert one.engine == NAME
        assert len(one.judged) == len(photos.of("train")) + len(photos.of("valid"))
        assert one.report.total == one.judged.sum() >= 10
        assert one.report.correct == one.right.sum()
        assert not (one.right & ~one.judged).any()
        assert math.isfinite(one.log_loss)
    assert FeatureCache(dataclasses.replace(StandInNetwork().backbone, architecture=VGG16)).digests()


def test_all_are_timed_in_turn_at_the_end(dataset, asked):
    tried = compare_networks(dataset(cat=PHOTOS, dog=PHOTOS), "auto", candidates=CANDIDATES)
    assert asked == [CROP, SQUEEZE] * 3
    assert [one.rate for one in tried] == pytest.approx([100, 50])  # but for the round in which the machine was busy


def test_the_table_says_which_engine_ran_each(dataset, asked):
    tried = compare_networks(dataset(cat=PHOTOS, dog=PHOTOS), "auto", candidates=CANDIDATES)
    other = dataclasses.replace(tried[1], engine="a-longer-name", rate=1234.5)
    header, *rows = table([tried[0], other]).splitlines()
    where = header.index("engine")
    assert [row[where:].split()[0] for row in rows[:2]] == [NAME, "a-longer-name"]
    assert "1,234.5" in rows[1]
    assert "nan" not in "\n".join(rows)
    assert table([]) == ""


@pytest.mark.parametrize("numbers", [{"cat": 1, "dog": 1, "owl": 1, "newt": 1}, {"cat": 4, "dog": 4}])
def test_too_few_photos_are_told_in_one_sentence_before_anything_is_computed(dataset, asked, numbers, capsys):
    photos = dataset(**numbers)
    capsys.readouterr()
    assert compare_networks(photos, "auto", candidates=CANDIDATES) == []
    told = capsys.readouterr().out
    assert len(told.splitlines()) == 1
    assert f"{0 if len(numbers) == 4 else len(photos.of('train') + photos.of('valid'))} photos" in told
    assert "nan" not in told
    assert not asked


def test_one_that_judges_too_few_photos_is_left_out(dataset, asked, monkeypatch, capsys):
    def nothing_judged(data, classes, seed):
        number = len(data["train"][1]) + len(data["valid"][1])
        return FitResult(head=None, out_of_fold=np.full((number, classes), np.nan, np.float32))

    monkeypatch.setattr(backbone_comparison, "fit_head", nothing_judged)
    assert compare_networks(dataset(cat=PHOTOS, dog=PHOTOS), "auto", candidates=CANDIDATES) == []
    assert capsys.readouterr().out.count("Skipped") == len(CANDIDATES)


def test_two_are_compared_by_the_photos_that_both_judged():
    def one(judged, right):
        return Tried(VGG16.name, 224, CROP, NAME, 1.0, None, 0.1, np.array(judged, bool), np.array(right, bool))

    all_right, half = one([1] * 20, [1] * 20), one([1] * 10 + [0] * 10, [0] * 10 + [0] * 10)
    assert all_right.p_against(half) == half.p_against(all_right) == pytest.approx(2 * 0.5**10)
    assert all_right.p_against(one([0] * 20, [0] * 20)) == all_right.p_against(all_right) == 1
