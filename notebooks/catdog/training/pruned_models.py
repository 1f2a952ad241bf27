"""Notebook 1 makes compact twins: narrow networks that answer as the whole one does, each proven before it is used."""

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from .. import files, paths
from ..data.dataset import Dataset, Photo
from ..data.folders import TEST, TRAIN, VALID
from ..data.images import read_photo
from ..data.preprocessing import PREPROCESSING, Preprocessing
from ..engines import open_engine
from ..engines.base import COMPACT, Engine
from ..engines.parity import FEW, PrunedParityCheck, compare_pruned
from ..engines.pruned import Compact, make_compact
from ..engines.quantization import CALIBRATION_PHOTOS
from ..engines.selection import seconds_per_photo
from ..errors import SuiteError
from ..models.arrays import kept_arrays
from ..models.pruned import CompactTwin
from .calibration import Confidence, fit_confidence
from .engine_selection import EngineSelection, first
from .evaluation import CROSS_VALIDATION
from .features import compute_features, features_by_split
from .linear_head import Fit, fit_head
from .metrics import Metrics, evaluate

NO, AUTO, ALL = "no", "auto", "all"
TIMES = ("1.5", "1.75", "2", "2.25", "2.5", "3")  # less arithmetic than the whole network
_FIRST, _THEN, _ELSE = "2", "2.25", "1.75"  # that "auto" tries: the first, and then another by how that one did
PHOTOS = 320  # that are looked at: with 192, half of the arithmetic lost 0.8 points on new photos, with 320 0.3
_RECIPE = "compact 1"  # changes when pruning/ gives other networks


@dataclass(frozen=True)
class Point:
    """A network on the dial between speed and accuracy: `times` less arithmetic than the whole one, `rate` photos a
    second on this machine, and how many photos are right by cross-validation."""

    times: str
    rate: float
    report: Metrics


@dataclass(frozen=True)
class Candidate:
    """A compact twin, and what is known of it.

    Attributes:
        times: less arithmetic than the whole network.
        network: its arrays; `engine`: that runs them.
        fit, confidence, reports: as those of the whole model, on its own features.
        proof: against the whole model, by photos that neither has seen.
        made: how the network was made.
    """

    times: str
    network: Compact
    engine: Engine
    fit: Fit
    confidence: Confidence
    reports: dict[str, Metrics]
    proof: PrunedParityCheck
    made: dict

    def twin(self, golden_photos: np.ndarray) -> CompactTwin:
        """For a model with these golden photos, uint8 (n, pixels, pixels, 3)."""
        known = self.confidence
        golden = known.head.probabilities(self.engine.features(golden_photos))
        return CompactTwin(self.network, known.head, known.familiarity, known.sure_from, golden)

    def as_card(self) -> dict:
        """The numbers as plain JSON values."""
        return {
            **self.made,
            "digest": self.network.digest,
            "training": self.fit.settings,
            "confidence": self.confidence.as_card(),
            "thresholds": self.confidence.thresholds,
            "proof": self.proof.as_card(),
            "metrics": {split: report.as_card() for split, report in self.reports.items()},
        }


@dataclass(frozen=True)
class Dial:
    """What was made: compact twins from slow to fast, and where they and the whole network before them stand."""

    points: tuple[Point, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    @property
    def chosen(self) -> Candidate | None:
        """The fastest that is proven."""
        proven = [one for one in self.candidates if not one.proof.failure]
        return proven[-1] if proven else None

    def __str__(self) -> str:
        if not self.candidates:
            return "No compact twin was made."
        lines = [f"{one.times} times less arithmetic: {one.proof}" for one in self.candidates]
        if not self.chosen:
            return "\n".join([*lines, "None is taken, since none is proven."])
        test = self.chosen.reports["test"]
        judged = f", right on {test.accuracy:.1%} of {test.total:,} test photos" if test.total else ""
        return "\n".join([*lines, f"Taken: {self.chosen.times} times less arithmetic{judged}."])


def compact_twins(
    wanted: str,
    dataset: Dataset,
    engines: EngineSelection,
    fit: Fit,
    *,
    may_lose: float = 0.5,
    target: float = 0.99,
    seed: int = 0,
    make: Callable[[str], tuple[Compact, dict]] | None = None,
    photos_at_most: int = PHOTOS,
    pruning: Mapping = MappingProxyType({}),
) -> Dial:
    """Make compact twins of a model's network, prove each, and take the fastest that is proven.

    They are made from the pixels of some training photos alone and kept, like the int8 twin; the last layer, its
    confidence and the proof need labels. The proof is by photos that neither network nor last layer has seen: those
    that the network was not made from, as seen by heads that were not trained on them.

    Args:
        wanted: "no"; how many times less arithmetic, one of `TIMES`; "all" of these; or "auto": 2, and then 2.25
            if that is proven, else 1.75.
        engines: of the whole network; their reference is what the twins are held against.
        fit: of the whole network's last layer.
        may_lose: points of accuracy that the twin may lose.
        target, seed: as for `linear_head.fit_head` and `calibration.fit_confidence`.
        make: gives the network for one of `TIMES`, and what is to be known of how it was made; without it, `pruning`.
        photos_at_most: that it is made from.
        pruning: further arguments of `pruning.Pruner`.

    Raises SuiteError where `wanted` or `may_lose` makes no sense, or there can be no twin.
    """
    _check(wanted, may_lose, engines)
    photos = [*dataset.of(TRAIN), *dataset.of(VALID)]
    number = len(photos) - len(dataset.of(TRAIN)) // 2
    if wanted != NO and number < FEW:
        print(f"No compact twin is made: it takes some {FEW} photos to prove one, here are {number}.")
    if wanted == NO or number < FEW:
        return Dial()
    targets, frozen = dataset.targets(photos), not engines.backbone.tuned
    networks = _Networks(dataset, engines, seed, make, photos_at_most, pruning)

    def candidate(times: str) -> Candidate:
        network, seen, made = networks.of(times)
        engine = open_engine(COMPACT, engines.backbone, network)
        of_twin = features_by_split(dataset, engine, engines.store)
        fit_now = fit_head(of_twin, len(dataset.classes), seed=seed, frozen=frozen)
        known = fit_confidence(fit_now, of_twin, target=target, negatives=negatives_of(engine))
        said = known.head.probabilities(of_twin[TEST][0])
        reports = {TEST: evaluate(said, of_twin[TEST][1], dataset.classes), CROSS_VALIDATION: judged_by(fit_now)}
        fresh = np.array([photo.digest not in seen for photo in photos])
        judged = fresh & fit.judged & fit_now.judged
        proof = compare_pruned(fit_now.out_of_fold[judged], fit.out_of_fold[judged], targets[judged], may_lose)
        return Candidate(times, network, engine, fit_now, known, reports, proof, made)

    def judged_by(found: Fit) -> Metrics:
        return evaluate(found.out_of_fold[found.judged], targets[found.judged], dataset.classes)

    def negatives_of(engine: Engine) -> np.ndarray:
        return compute_features(dataset.negatives, engine, engines.store, "None of these")

    found = [candidate(times) for times in TIMES if times == wanted or wanted == ALL]
    if wanted == AUTO:
        found = [candidate(_FIRST)]
        found.append(candidate(_ELSE if found[0].proof.failure else _THEN))
    found.sort(key=lambda one: TIMES.index(one.times))
    points = [Point("1", 1 / seconds_per_photo(engines.chosen), judged_by(fit))]
    points += [Point(one.times, 1 / seconds_per_photo(one.engine), one.reports[CROSS_VALIDATION]) for one in found]
    return Dial(tuple(points), tuple(found))


def _check(wanted: str, may_lose: float, engines: EngineSelection) -> None:
    if wanted not in (NO, AUTO, ALL, *TIMES):
        raise SuiteError(
            "setting-compact", f'COMPACT must be one of {", ".join((NO, AUTO, ALL, *TIMES))}, not "{wanted}".'
        )
    if not 0 <= may_lose <= 100:
        raise SuiteError(
            "setting-compact", "COMPACT_MAY_LOSE must be 0 or more points, such as 0.5: change it in the settings cell."
        )
    backbone = engines.backbone.architecture
    if wanted != NO and not backbone.is_vgg16:
        raise SuiteError(
            "setting-compact",
            f"{backbone.name} is no plain chain of convolutions, so it has no compact twin: set COMPACT to no, or "
            "BACKBONE to VGG16.",
        )


class _Networks:
    """Narrow networks for photos of this name, kept by an earlier run or made now."""

    def __init__(
        self,
        dataset: Dataset,
        engines: EngineSelection,
        seed: int,
        make: Callable[[str], tuple[Compact, dict]] | None = None,
        most: int = PHOTOS,
        pruning: Mapping = MappingProxyType({}),
    ):
        self._name, self._backbone, self._seed = dataset.name, engines.backbone, seed
        self._make, self._most, self._pruning = make or self._pruned, most, pruning
        photos = dataset.of(TRAIN)
        self._photos, self._pruner = first(photos, min(most, len(photos) // 2)), None

    def of(self, times: str) -> tuple[Compact, set[str], dict]:
        """The network with `times` less arithmetic, digests of the photos that it was made from, and how it was made.
        One that saw less than half as many photos as it could see now is made again."""
        prepared = self._backbone.architecture.preprocessing.version
        made_for = f"{_RECIPE} {prepared} {self._backbone.fingerprint} {self._name} {times} {self._seed}"
        path = paths.cache_file("compact", made_for, ".npz")
        if kept := kept_arrays(path):
            seen, made = set(kept.pop("seen").tolist()), json.loads(str(kept.pop("made")))
            if 2 * len(seen) >= len(self._photos):
                return Compact(kept), seen, made
        network, made = self._make(times)
        seen = {photo.digest for photo in self._photos}
        arrays = {**network.arrays, "made": np.array(json.dumps(made)), "seen": np.array(sorted(seen))}
        files.write_if_possible(path, lambda file: np.savez(file, **arrays))
        return network, seen, made

    def _pruned(self, times: str) -> tuple[Compact, dict]:
        from ..pruning import Pruner, gmacs  # needs OpenVINO

        began = time.monotonic()
        self._pruner = self._pruner or Pruner(self._backbone.weights, self._pixels, self._seed, **self._pruning)
        narrow = self._pruner.narrowed(1 / float(times))
        architecture = self._backbone.architecture
        calibrating = self._photos[:CALIBRATION_PHOTOS]
        network = make_compact(narrow, _pixels(calibrating, architecture.preprocessing), architecture)
        as_large = (architecture.pixels / PREPROCESSING.pixels) ** 2
        return network, {
            "times_less": float(times),
            "gmacs": as_large * gmacs(narrow),
            "gmacs_of_whole": as_large * gmacs(self._backbone.weights),
            "channels": list(network.widths),
            "photos": len(self._photos),
            "seed": self._seed,
            "seconds": round(time.monotonic() - began, 1),
        }

    @functools.cached_property
    def _pixels(self) -> np.ndarray:
        """Of few photos, mirrored ones too: of 224 a side, whatever the network will see."""
        pixels = _pixels(self._photos, PREPROCESSING)
        return np.concatenate([pixels, pixels[:, :, ::-1]])[: self._most]


def _pixels(photos: Sequence[Photo], preprocessing: Preprocessing) -> np.ndarray:
    return np.stack([read_photo(photo.path, preprocessing=preprocessing) for photo in photos])
