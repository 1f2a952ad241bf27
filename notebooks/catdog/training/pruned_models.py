"""Pruned models: networks with fewer channels that answer like the whole one; each is checked before it is used."""

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from .. import files, paths
from ..data.dataset import Dataset, Photo
from ..data.folders import TEST, TRAIN, VALID
from ..data.prepared import prepared
from ..data.preprocessing import PREPROCESSING, Preprocessing
from ..engines import open_engine
from ..engines.base import OPENVINO_PRUNED, Engine
from ..engines.parity import PrunedParityCheck, fewest_photos
from ..engines.pruned import PrunedNetwork, quantize_pruned
from ..engines.quantization import CALIBRATION_PHOTOS
from ..engines.selection import seconds_per_photo
from ..errors import UserError
from ..models.arrays import load_cached_arrays
from ..models.card import PrunedCard
from ..models.pruned import PrunedModel
from .engine_selection import EngineSelection, first
from .features import features_by_split
from .metrics import Metrics
from .pruned_parity import compare_pruned
from .trained_head import CROSS_VALIDATION, TrainedHead, out_of_fold_again, train_like

if TYPE_CHECKING:  # it needs OpenVINO
    from ..pruning import Pruner

NO, AUTO, ALL = "no", "auto", "all"
TIMES = ("1.5", "1.75", "2", "2.25", "2.5", "3")  # times less arithmetic than the whole network
_FIRST, _THEN, _ELSE = "2", "2.25", "1.75"  # for "auto": the first, then the second if it passes, else the third
PHOTOS = 320  # for pruning: at half of the arithmetic, 192 lost 0.8 points on new photos, 320 lost 0.3
_METHOD = "compact 1"  # to change whenever pruning/ makes different networks


@dataclass(frozen=True)
class TradeOffPoint:
    """Speed and accuracy of a network: `macs_reduction` times less arithmetic than the whole one, `rate` photos per
    second on this machine, and the cross-validated `report`."""

    macs_reduction: str
    rate: float
    report: Metrics


@dataclass(frozen=True)
class Candidate:
    """A pruned model and its parity check.

    Attributes:
        macs_reduction: how many times less arithmetic than the whole network it needs.
        network: its arrays; `engine`: runs them.
        trained: its last layer, trained on its own features.
        parity: parity check against the whole model, on photos that neither has seen.
        made: how the network was made.
    """

    macs_reduction: str
    network: PrunedNetwork
    engine: Engine
    trained: TrainedHead
    parity: PrunedParityCheck
    made: dict

    def model(self, golden_photos: np.ndarray) -> PrunedModel:
        """Return what is saved with a model that has these golden photos, uint8 (n, pixels, pixels, 3)."""
        known = self.trained.calibrated
        golden = known.head.probabilities(self.engine.features(golden_photos))
        return PrunedModel(self.network, known.head, known.ood_detector, known.confidence_threshold, golden)

    def as_card(self) -> PrunedCard:
        """Return its entry in the model's card."""
        calibrated = self.trained.calibrated
        about = {
            **self.made,
            "digest": self.network.digest,
            "training": self.trained.fit.settings,
            "calibration": calibrated.as_card(),
            "metrics": {split: report.as_card() for split, report in self.trained.reports.items()},
        }
        return PrunedCard(calibrated.thresholds, self.parity, about)


@dataclass(frozen=True)
class TradeOff:
    """Accuracy against speed: one point each for the whole network and the pruned ones, and the candidates, slow to
    fast."""

    points: tuple[TradeOffPoint, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    @property
    def chosen(self) -> Candidate | None:
        """The fastest candidate that passes its parity check; None if none does."""
        passed = [one for one in self.candidates if not one.parity.failure]
        return passed[-1] if passed else None

    def __str__(self) -> str:
        if not self.candidates:
            return "No pruned model was made."
        lines = [
            f"{one.macs_reduction} times less arithmetic: {one.parity.failure or one.parity}" for one in self.candidates
        ]
        if not self.chosen:
            return "\n".join([*lines, "No pruned model was accepted: none passed the parity check."])
        test = self.chosen.trained.reports[TEST]
        judged = f", right on {test.accuracy:.1%} of {test.total:,} test photos" if test.total else ""
        return "\n".join([*lines, f"Accepted: {self.chosen.macs_reduction} times less arithmetic{judged}."])


def prune(
    wanted: str,
    dataset: Dataset,
    engines: EngineSelection,
    trained: TrainedHead,
    *,
    max_drop: float = 0.5,
    make: Callable[[str], tuple[PrunedNetwork, dict]] | None = None,
    photos_at_most: int = PHOTOS,
    pruning: Mapping = MappingProxyType({}),
) -> TradeOff:
    """Prune a model's network, check each pruned model against the whole one, and choose the fastest that passes.

    Pruning needs only the pixels of some training photos; its result is kept, like the int8 parameters. The last
    layer, its calibration and the check need labels. The check uses photos that were not used for pruning, and heads
    that were not trained on them. The whole network's last layer is fitted once more, to know how many answers that
    alone changes.

    Args:
        wanted: "no"; how many times less arithmetic, one of `TIMES`; "all" of these; or "auto": 2, and then 2.25
            if that passes, else 1.75.
        engines: of the whole network.
        trained: the whole network's last layer; the pruned models' last layers are trained with the same settings.
        max_drop: points of accuracy that a pruned model may lose.
        make: returns the network for one of `TIMES`, and how it was made; `pruning.Pruner` by default.
        photos_at_most: number of photos to prune with.
        pruning: further arguments of `pruning.Pruner`.

    Raises UserError if `wanted` or `max_drop` is invalid, or the network cannot be pruned.
    """
    _check(wanted, max_drop, engines)
    photos = [*dataset.of(TRAIN), *dataset.of(VALID)]
    if wanted == NO:
        return TradeOff()
    number = min(len(photos) - len(dataset.of(TRAIN)) // 2, int(trained.fit.judged.sum()))
    if number < (fewest := fewest_photos(max_drop)):
        print(f"No pruned model was made: {number} photos are too few for a parity check; {fewest} are needed.")
        return TradeOff()
    targets, networks = (
        dataset.targets(photos),
        _Networks(dataset, engines, trained.fit.seed, make, photos_at_most, pruning),
    )
    again = out_of_fold_again(trained, features_by_split(dataset, engines.chosen, engines.store))

    def candidate(times: str) -> Candidate:
        network, seen, made = networks.of(times)
        engine = open_engine(OPENVINO_PRUNED, engines.backbone, network)
        of_pruned = train_like(trained, dataset, engine, engines.store)
        fresh = np.array([photo.digest not in seen for photo in photos])
        judged = fresh & np.isfinite(again).all(axis=1) & trained.fit.judged & of_pruned.fit.judged
        ours, reference = (one.out_of_fold[judged] for one in (of_pruned, trained))
        parity = compare_pruned(ours, reference, again[judged], targets[judged], max_drop)
        return Candidate(times, network, engine, of_pruned, parity, made)

    found = [candidate(times) for times in TIMES if times == wanted or wanted == ALL]
    if wanted == AUTO:
        found = [candidate(_FIRST)]
        found.append(candidate(_ELSE if found[0].parity.failure else _THEN))
    found.sort(key=lambda one: TIMES.index(one.macs_reduction))
    points = [TradeOffPoint("1", 1 / seconds_per_photo(engines.chosen), _report(trained))]
    points += [
        TradeOffPoint(one.macs_reduction, 1 / seconds_per_photo(one.engine), _report(one.trained)) for one in found
    ]
    return TradeOff(tuple(points), tuple(found))


def _report(trained: TrainedHead) -> Metrics:
    """Return the report on held-out photos."""
    return trained.reports.get(CROSS_VALIDATION) or trained.reports[VALID]


def require_prune(wanted: str) -> None:
    """Raise UserError unless `wanted` is a choice for PRUNE."""
    if wanted not in (NO, AUTO, ALL, *TIMES):
        raise UserError("setting-prune", f'PRUNE must be one of {", ".join((NO, AUTO, ALL, *TIMES))}, not "{wanted}".')


def require_max_drop(max_drop: float) -> None:
    """Raise UserError unless `max_drop` is a number of percentage points."""
    if not 0 <= max_drop <= 100:
        raise UserError(
            "setting-prune", "PRUNE_MAX_DROP must be 0 or more points, such as 0.5: change it in the settings cell."
        )


def _check(wanted: str, max_drop: float, engines: EngineSelection) -> None:
    require_prune(wanted)
    require_max_drop(max_drop)
    backbone = engines.backbone.architecture
    if wanted != NO and not backbone.is_vgg16:
        raise UserError(
            "setting-prune",
            f"{backbone.name} is not a plain chain of convolutions, so it cannot be pruned: set PRUNE to no, or "
            "BACKBONE to VGG16.",
        )


class _Networks:
    """Pruned networks for this dataset's name, kept by an earlier run or made now."""

    def __init__(
        self,
        dataset: Dataset,
        engines: EngineSelection,
        seed: int,
        make: Callable[[str], tuple[PrunedNetwork, dict]] | None = None,
        most: int = PHOTOS,
        pruning: Mapping = MappingProxyType({}),
    ):
        self._name, self._backbone, self._seed = dataset.name, engines.backbone, seed
        self._make, self._most, self._pruning = make or self._pruned, most, pruning
        photos = dataset.of(TRAIN)
        self._photos = first(photos, min(most, len(photos) // 2))
        self._pruner: Pruner | None = None

    def of(self, times: str) -> tuple[PrunedNetwork, set[str], dict]:
        """Return the network with `times` less arithmetic, the digests of the photos it was made from, and how it was
        made. One from less than half as many photos as are available now is made again."""
        prepared = self._backbone.architecture.preprocessing.version
        made_for = f"{_METHOD} {prepared} {self._backbone.fingerprint} {self._name} {times} {self._seed}"
        path = paths.cache_file("compact", made_for, ".npz")  # name of earlier releases: their files stay usable
        if kept := load_cached_arrays(path):
            seen, made = set(kept.pop("seen").tolist()), json.loads(str(kept.pop("made")))
            made = {"macs_reduction" if name == "times_less" else name: value for name, value in made.items()}
            if 2 * len(seen) >= len(self._photos):
                return PrunedNetwork(kept), seen, made
        network, made = self._make(times)
        seen = {photo.digest for photo in self._photos}
        arrays = {**network.arrays, "made": np.array(json.dumps(made)), "seen": np.array(sorted(seen))}
        files.write_if_possible(path, lambda file: np.savez(file, **arrays))
        return network, seen, made

    def _pruned(self, times: str) -> tuple[PrunedNetwork, dict]:
        from ..pruning import Pruner, gmacs  # needs OpenVINO

        began = time.monotonic()
        self._pruner = self._pruner or Pruner(self._backbone.weights, self._pixels, self._seed, **self._pruning)
        narrow = self._pruner.narrowed(1 / float(times))
        architecture = self._backbone.architecture
        calibrating = self._photos[:CALIBRATION_PHOTOS]
        network = quantize_pruned(narrow, _pixels(calibrating, architecture.preprocessing), architecture)
        as_large = (architecture.pixels / PREPROCESSING.pixels) ** 2
        return network, {
            "macs_reduction": float(times),
            "gmacs": as_large * gmacs(narrow),
            "gmacs_of_whole": as_large * gmacs(self._backbone.weights),
            "channels": list(network.widths),
            "photos": len(self._photos),
            "seed": self._seed,
            "seconds": round(time.monotonic() - began, 1),
        }

    @functools.cached_property
    def _pixels(self) -> np.ndarray:
        """Pixels to prune with, 224 a side whatever the network sees; if photos are few, mirrored ones are added."""
        pixels = _pixels(self._photos, PREPROCESSING)
        return np.concatenate([pixels, pixels[:, :, ::-1]])[: self._most]


def _pixels(photos: Sequence[Photo], preprocessing: Preprocessing) -> np.ndarray:
    return np.stack([prepared(photo.path, photo.digest, preprocessing) for photo in photos])
