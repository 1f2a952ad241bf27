"""Notebook 1 chooses an engine: candidates are held against float32 TensorFlow on training photos."""

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
from ..models import bundle
from ..models.arrays import load_cached_arrays
from ..models.head import Head
from .features import FeatureCache, compute_features
from .linear_head import regularized_head

if TYPE_CHECKING:  # they load TensorFlow, which is not always needed
    from ..engines.tensorflow import TensorFlowEngine
    from ..quiet_keras import keras

SAMPLES = (100, 400)  # where not all of the first agree, the second says whether that was chance


class EngineSelection:
    """The engines that may compute this dataset's features, the one that does, and what is known of them.

    Attributes:
        backbone: what they run; `store`: where its features are kept.
        chosen: the engine that is used.
        reference: float32 TensorFlow, loaded when it is first needed.
        int8: the int8 parameters that are kept for these photos, or are made now, on a CPU or where they are wanted.
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

        A new last layer does not exist yet, so the parity check looks through that of the model that ships, or
        for another backbone through one that is fitted for it.

        Raises UserError when the engine that was wanted cannot be used.
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
        try:
            return self.check_parity(engine, self._head).failure
        except bundle.BundleRefused as refusal:
            return f"there is nothing to check it by. {refusal}"

    @functools.cached_property
    def _head(self) -> Head:
        shipped = bundle.read(paths.SHIPPED_MODEL)
        if self.backbone.architecture == shipped.architecture and not self.backbone.fine_tuned:
            return shipped.head
        photos = self._photos[: SAMPLES[0]]
        features = compute_features(photos, self.reference, self.store, f"Parity check by {self.reference.name}")
        return regularized_head(features, self._dataset.targets(photos), len(self._dataset.classes))

    def check_parity(self, engine: Engine, head: Head) -> ParityCheck:
        """Hold `engine` against the reference on the first 100 training photos, as seen through `head`; where it
        fails on those, on the first 400."""
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
        """By name, for the engine that was chosen and for int8, as seen through a new last layer."""
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
        """The reference's features of uint8 (n, pixels, pixels, 3) → float32 (n, size), kept by the pixels."""
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
    """Float32 TensorFlow as an `Engine` that is loaded only when there is something to compute. `model` is the Keras
    network that it runs."""

    name, engine_id = TENSORFLOW, "fp32 tensorflow"

    def __init__(self, backbone: Backbone):
        self.fingerprint, self.architecture = backbone.fingerprint, backbone.architecture
        self._backbone = backbone

    @property
    def _engine(self) -> "TensorFlowEngine":
        key = self.fingerprint, self.architecture
        if key not in _loaded:
            _loaded[key] = cast("TensorFlowEngine", open_engine(TENSORFLOW, self._backbone))  # by that name
        return _loaded[key]

    @property
    def model(self) -> "keras.Model":
        return self._engine.model

    def features(self, photos: np.ndarray) -> np.ndarray:
        return self._engine.features(photos)

    def activations(self, photos: np.ndarray) -> np.ndarray:
        return self._engine.activations(photos)


# Or TensorFlow would trace it anew for every re-run of a cell, and warn of that.
_loaded: dict[tuple[str, Architecture], "TensorFlowEngine"] = {}


def _cached_int8_params(dataset: Dataset, backbone: Backbone, may_make: bool) -> Int8Params | None:
    """The int8 parameters for photos of this name: kept by an earlier run, or made now from a few training photos; for
    backbones that can have them.

    Those that saw less than half as many photos as they could see now are made again.
    """
    if backbone.architecture.name not in QUANTIZABLE:
        return None
    preprocessing = backbone.architecture.preprocessing
    photos = first(dataset.of(TRAIN), CALIBRATION_PHOTOS)
    made_for = f"{preprocessing.version} {backbone.fingerprint} {dataset.name}"
    path = paths.cache_file("twin", made_for, ".npz")  # as it was called before: what is kept stays of use
    kept = load_cached_arrays(path)
    if kept and 2 * int(kept.pop("photos")) >= len(photos):
        return Int8Params(kept)
    if not may_make:
        return None
    try:
        print(f"Quantizing the network with {len(photos)} training photos, once: ten to forty seconds.", flush=True)
        int8 = quantize(backbone, (prepared(photo.path, photo.digest, preprocessing) for photo in photos))
    except EngineUnavailable as unavailable:
        print(f"There will be no int8 engine: {unavailable}")
        return None
    files.write_if_possible(path, lambda file: np.savez(file, **int8.arrays, photos=len(photos)))
    return int8


def first(photos: list[Photo], number: int) -> list[Photo]:
    """`number` of them, by digest: the same ones each time, whatever is added, but for those that come before."""
    return sorted(photos, key=lambda photo: photo.digest)[:number]
