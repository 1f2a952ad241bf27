"""A loaded model: photos in, probabilities out, after proof that it still answers as when it was saved."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..backbones.architectures import Backbone
from ..engines import open_engine
from ..engines.base import COMPACT, OPENVINO_INT8, Engine, has_gpu, is_exact
from ..engines.parity import compare
from ..engines.selection import AUTO, choose
from .bundle import TOLERANCE, Bundle, BundleRefused
from .grad_cam import grad_cam


@dataclass(frozen=True)
class Answer:
    """What a model says of a photo: `probabilities` float32 (classes,); whether it is `sure` of the most probable one;
    whether the photo is `familiar`, like those that it was trained on."""

    probabilities: np.ndarray
    sure: bool
    familiar: bool


class Classifier:
    """A verified bundle on an engine. Safe to call from several threads.

    `seconds_each` is what one of its golden photos took when it was made.

    Raises BundleRefused when the engine runs another backbone than the bundle was trained on, or when its golden photos
    do not give the probabilities that were saved with them: within `TOLERANCE` each on an engine that computes in
    float32, within the limits of `engines.parity` on any other.
    """

    def __init__(self, bundle: Bundle, engine: Engine):
        self.bundle = bundle
        self.engine = engine
        self._model = bundle.compact if engine.name == COMPACT else bundle  # each has its own last layer and thresholds
        _check_weights(bundle, engine.fingerprint)
        if engine.architecture != bundle.architecture:
            raise ValueError(f"the engine is made for {engine.architecture}, the model for {bundle.architecture}")
        self._replay()

    def predict(self, photos: np.ndarray) -> np.ndarray:
        """uint8 RGB (n, pixels, pixels, 3) by `bundle.preprocessing` → probabilities, float32 (n, classes)."""
        return self._model.head.probabilities(self.engine.features(photos))

    def answer(self, photos: np.ndarray) -> list[Answer]:
        """Like `predict`, for each photo with whether the model is sure and the photo like those that it knows."""
        return self._answers(self.engine.features(photos))

    def explain(self, photo: np.ndarray, label: str = "") -> tuple[Answer, np.ndarray]:
        """uint8 RGB (pixels, pixels, 3) → the answer, and where in it the evidence for the class `label` lies, for the
        most probable class without one: float32 (cells, cells), see `grad_cam.grad_cam`.

        Raises ValueError for a class that the model does not know.
        """
        activations = self.engine.activations(photo[None])
        (answer,) = self._answers(self.bundle.architecture.pool(activations))
        number = self.bundle.classes.index(label) if label else int(answer.probabilities.argmax())
        return answer, grad_cam(activations[0], self._model.head, number, self.bundle.architecture)

    def _answers(self, features: np.ndarray) -> list[Answer]:
        probabilities, familiarity = self._model.head.probabilities(features), self._model.familiarity
        familiar = familiarity.in_distribution(features) if familiarity else np.ones(len(features), bool)
        confident = probabilities.max(axis=1) >= self._model.sure_from
        return [Answer(*found) for found in zip(probabilities, (confident & familiar).tolist(), familiar.tolist())]

    def _replay(self) -> None:
        began = time.monotonic()
        saved, now = self._model.golden_probabilities, self.predict(self.bundle.golden_photos)
        self.seconds_each = (time.monotonic() - began) / len(now)
        off = float(np.abs(now - saved).max())
        differs = not off <= TOLERANCE if is_exact(self.engine) else compare(now, saved).failure
        if differs or not np.isfinite(now).all():
            raise BundleRefused(
                "model-answers-changed",
                f"{self.bundle.folder} answers its golden photos {off:.4f} away from what was saved: train again.",
            )


def load_classifier(
    bundle: Bundle,
    wanted: str = AUTO,
    beside: Classifier | None = None,
    say: Callable[[str], object] = print,
    public: Backbone | None = None,
) -> Classifier:
    """Put a saved model on the engine `wanted`, or for "auto" on the fastest here that is proven for it.

    An engine that does not compute in float32 must have proven itself when the model was saved, and on any engine the
    golden photos must give the saved answers on this machine. On a CPU TensorFlow, which takes seconds to load, is
    tried last. Where there is a GPU, nobody needs the compact twin, which runs on the CPU.

    Args:
        beside: one that serves now; where both can share an engine, no second one is loaded.
        say: told which engine it is, and which are passed over and why.
        public: the backbone without what was tuned for the model; without it, it is loaded where it is needed.

    Raises:
        BundleRefused: the model was trained on another backbone.
        SuiteError: no engine, or not the one that was wanted, can run it.
    """
    proven: dict[str, Classifier] = {}

    def failure(engine: Engine) -> str:
        if not is_exact(engine):
            proof = bundle.parity_checks.get(engine.name)
            if proof is None or proof.failure:
                return proof.failure if proof else "the model's card has no proof of it on training photos."
        try:
            proven[engine.name] = Classifier(bundle, engine)
        except BundleRefused as refusal:
            return str(refusal)
        return ""

    @functools.cache
    def backbone() -> Backbone:
        """Only where an engine is opened: 59 MB of weights are read and checked."""
        found = bundle.backbone(public)
        _check_weights(bundle, found.fingerprint)
        return found

    def opened(name: str) -> Engine:
        if beside and beside.engine.name == name and _run_alike(name, bundle, beside.bundle):
            return beside.engine
        return open_engine(name, backbone(), bundle.twins.get(name))

    own = {COMPACT: f"{COMPACT} {bundle.compact.network.widths}"} if bundle.compact and not has_gpu() else {}
    return proven[choose(wanted, opened, failure, say, bundle.architecture, own).name]


def _run_alike(name: str, one: Bundle, other: Bundle) -> bool:
    """Whether the engine `name` is the same for both."""
    twins = [bundle.twins.get(name) for bundle in (one, other)]
    if name in (OPENVINO_INT8, COMPACT) and not (all(twins) and twins[0].digest == twins[1].digest):
        return False
    same_weights = one.card["backbone"]["fingerprint"] == other.card["backbone"]["fingerprint"]
    return same_weights and one.architecture == other.architecture


def _check_weights(bundle: Bundle, fingerprint: str) -> None:
    if bundle.card["backbone"]["fingerprint"] != fingerprint:
        raise BundleRefused(
            "model-other-weights",
            f"{bundle.folder} was trained on a backbone with other weights: train again, or get those weights.",
        )
