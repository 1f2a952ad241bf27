"""Notebook 1 chooses an engine: candidates must agree with float32 TensorFlow on training photos."""

import contextlib
import functools
import hashlib
from typing import TYPE_CHECKING, cast

import numpy as np

from .. import files, paths
from ..backbones.architectures import Architecture, Backbone
from ..data.dataset import Dataset, Photo
from ..data.folders import TRAIN
from ..data.prepared import prepared
from ..engines import open_engine
from ..engines.base import OPENVINO_INT8, TENSORFLOW, Engine, EngineUnavailable, has_gpu
from ..engines.int8 import QUANTIZABLE, Int8Params
from ..engines.parity import ParityCheck, compare
from ..engines.quantization import CALIBRATION_PHOTOS, quantize
from ..engines.selection import AUTO, select
from ..models.arrays import load_cached_arrays
from ..models.head import Head
from .features import FeatureCache, compute_features
from .linear_head import regularized_head

if TYPE_CHECKING:  # they load TensorFlow, which is not always needed
    from ..engines.tensorflow import TensorFlowEngine
    from ..quiet_keras import keras

SAMPLES = (100, 400)  # if an engine fails on the first sample, the second tells whether that was chance


class EngineSelection:
    """The engines for this dataset's features, and the one that was chosen.

    Attributes:
        backbone: what they run; `store`: where its features are kept.
        chosen: the engine that is used.
        reference: float32 TensorFlow, loaded when first needed.
        int8: the int8 parameters kept for these photos; made now on a CPU, or if the int8 engine is wanted.
    """

    def __init__(
        self,
        dataset: Dataset,
        backbone: Backbone,
        store: FeatureCache,
        wanted: str = AUTO,
        int8: Int8Params | None = None,
    ):
        """Choose the engine `wanted`, or for "auto" the fastest on this machine that passes its parity check.

        The new last layer does not exist yet, so one is fitted to the photos of the parity check. That of another model
        would be nearly undecided about these classes, and small differences would then change its answers.

        Raises UserError if the engine `wanted` cannot be used.
        """
        self.backbone, self.store = backbone, store
        self._dataset, self._photos = dataset, first(dataset.of(TRAIN), SAMPLES[-1])
        self.reference = _Reference(backbone)
        may_make = wanted == OPENVINO_INT8 or (wanted == AUTO and not has_gpu())
        self.int8 = int8 or _cached_int8_params(dataset, backbone, may_make)
        self.chosen = select(wanted, self._open, self._failure, backbone=backbone.architecture)

    def _failure(self, engine: Engine) -> str:
        if engine is self.reference:
            return ""
        return self.check_parity(engine, self._head).failure

    @functools.cached_property
    def _head(self) -> Head:
        photos = self._photos[: SAMPLES[0]]
        features = compute_features(photos, self.reference, self.store, f"Parity check by {self.reference.name}")
        return regularized_head(features, self._dataset.targets(photos), len(self._dataset.classes))

    def check_parity(self, engine: Engine, head: Head) -> ParityCheck:
        """Compare the answers of `head` on features by `engine` and by the reference, for the first 100 training
        photos; if it fails on those, for the first 400."""
        for size in SAMPLES:
            probabilities = [
                head.probabilities(compute_features(self._photos[:size], one, self.store, f"Parity check: {one.name}"))
                for one in (engine, self.reference)
            ]
            parity = compare(*probabilities)
            if not parity.failure:
                break
        return parity

    def parity_checks(self, head: Head) -> dict[str, ParityCheck]:
        """Return parity checks by name, of the chosen engine and of int8, with a new last layer."""
        engines = {self.chosen.name: self.chosen}
        if self.int8:
            with contextlib.suppress(EngineUnavailable):
                engines.setdefault(OPENVINO_INT8, self._open(OPENVINO_INT8))
        parity_checks = {name: self.check_parity(engine, head) for name, engine in engines.items()}
        for name, parity in parity_checks.items():
            if parity.failure:
                print(f"Notebook 2 will skip {name} for this model: {parity.failure}")
        return parity_checks

    def exact_features(self, photos: np.ndarray) -> np.ndarray:
        """Return the reference's features, uint8 (n, pixels, pixels, 3) → float32 (n, size); cached by pixels."""
        digests = [hashlib.sha256(photo.tobytes()).hexdigest() for photo in photos]
        known = self.store.digests(self.reference.engine_id)
        missing = [number for number, digest in enumerate(digests) if digest not in known]
        if missing:
            found = self.reference.features(photos[missing])
            self.store.write([digests[number] for number in missing], self.reference.engine_id, found)
            self.store.keep()
        return self.store.read(digests, self.reference.engine_id)

    def _open(self, name: str) -> Engine:
        return self.reference if name == TENSORFLOW else open_engine(name, self.backbone, self.int8)


class _Reference:
    """Float32 TensorFlow as an `Engine`, loaded only when there is something to compute. `model` is the Keras
    network."""

    name, engine_id = TENSORFLOW, "fp32 tensorflow"

    def __init__(self, backbone: Backbone):
        self.fingerprint, self.architecture = backbone.fingerprint, backbone.architecture
        self._backbone = backbone

    @property
    def _engine(self) -> "TensorFlowEngine":
        key = self.fingerprint, self.architecture
        if key not in _loaded:
            _loaded[key] = cast("TensorFlowEngine", open_engine(TENSORFLOW, self._backbone))  # this name opens one
        return _loaded[key]

    @property
    def model(self) -> "keras.Model":
        return self._engine.model

    def features(self, photos: np.ndarray) -> np.ndarray:
        return self._engine.features(photos)

    def activations(self, photos: np.ndarray) -> np.ndarray:
        return self._engine.activations(photos)


# Else TensorFlow would trace it again for each re-run of a cell, and warn about that.
_loaded: dict[tuple[str, Architecture], "TensorFlowEngine"] = {}


def _cached_int8_params(dataset: Dataset, backbone: Backbone, may_make: bool) -> Int8Params | None:
    """Return the int8 parameters for this dataset's name: kept by an earlier run, or made now from a few training
    photos. None for a backbone that cannot be quantized.

    Parameters from less than half as many photos as are available now are made again.
    """
    if backbone.architecture.name not in QUANTIZABLE:
        return None
    preprocessing = backbone.architecture.preprocessing
    photos = first(dataset.of(TRAIN), CALIBRATION_PHOTOS)
    made_for = f"{preprocessing.version} {backbone.fingerprint} {dataset.name}"
    path = paths.cache_file("twin", made_for, ".npz")  # name of earlier releases: their files stay usable
    kept = load_cached_arrays(path)
    if kept and 2 * int(kept.pop("photos")) >= len(photos):
        return Int8Params(kept)
    if not may_make:
        return None
    try:
        print(f"Quantizing the network with {len(photos)} training photos, once; takes 10 to 40 seconds.", flush=True)
        int8 = quantize(backbone, (prepared(photo.path, photo.digest, preprocessing) for photo in photos))
    except EngineUnavailable as unavailable:
        print(f"The int8 engine is not available: {unavailable}")
        return None
    files.write_if_possible(path, lambda file: np.savez(file, **int8.arrays, photos=len(photos)))
    return int8


def first(photos: list[Photo], number: int) -> list[Photo]:
    """Return the first `number` photos by digest. Adding photos changes the choice only where new ones sort first."""
    return sorted(photos, key=lambda photo: photo.digest)[:number]
