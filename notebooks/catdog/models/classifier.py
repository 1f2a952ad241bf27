"""A loaded model: photos in, probabilities out, after a check that its answers are those that were saved with it."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..backbones.architectures import Backbone
from ..engines import open_engine
from ..engines.base import OPENVINO_INT8, OPENVINO_PRUNED, Engine, has_gpu, is_exact
from ..engines.parity import compare
from ..engines.selection import AUTO, select
from .bundle import TOLERANCE, Bundle, BundleRefused
from .card_before import engine_of_before
from .grad_cam import grad_cam
from .pruned import PrunedModel


@dataclass(frozen=True)
class Answer:
    """A model's answer for a photo: `probabilities` float32 (classes,); whether it is `confident` of the most probable
    class; whether the photo is `in_distribution`, that is, like the training photos."""

    probabilities: np.ndarray
    confident: bool
    in_distribution: bool


class Classifier:
    """A verified bundle on an engine. Safe to call from several threads.

    `seconds_each` is the time per golden photo, measured at creation.

    Raises BundleRefused if the engine runs another backbone than the bundle was trained on, or if its golden photos do
    not give the saved probabilities: within `TOLERANCE` each on an engine that computes in float32, within the limits
    of `engines.parity` on any other.
    """

    def __init__(self, bundle: Bundle, engine: Engine):
        self.bundle = bundle
        self.engine = engine
        self._model = _run_by(engine, bundle)
        _check_weights(bundle, engine.fingerprint)
        if engine.architecture != bundle.architecture:
            raise ValueError(f"the engine is made for {engine.architecture}, the model for {bundle.architecture}")
        self._replay()

    def predict(self, photos: np.ndarray) -> np.ndarray:
        """Map photos, uint8 RGB (n, pixels, pixels, 3) by `bundle.preprocessing`, to probabilities, float32 (n,
        classes)."""
        return self._model.head.probabilities(self.engine.features(photos))

    def answer(self, photos: np.ndarray) -> list[Answer]:
        """Return an answer for each photo; takes the same photos as `predict`."""
        return self._answers(self.engine.features(photos))

    def explain(self, photo: np.ndarray, label: str = "") -> tuple[Answer, np.ndarray]:
        """Return the answer for a photo, uint8 RGB (pixels, pixels, 3), and a heat map of the evidence for the class
        `label`, or for the most probable class: float32 (grid_size, grid_size), see `grad_cam.grad_cam`.

        Raises ValueError for a class that the model does not know.
        """
        activations = self.engine.activations(photo[None])
        (answer,) = self._answers(self.bundle.architecture.pool(activations))
        number = self.bundle.classes.index(label) if label else int(answer.probabilities.argmax())
        return answer, grad_cam(activations[0], self._model.head, number, self.bundle.architecture)

    def _answers(self, features: np.ndarray) -> list[Answer]:
        probabilities, ood_detector = self._model.head.probabilities(features), self._model.ood_detector
        known = ood_detector.in_distribution(features) if ood_detector else np.ones(len(features), bool)
        confident = probabilities.max(axis=1) >= self._model.confidence_threshold
        return [Answer(*found) for found in zip(probabilities, (confident & known).tolist(), known.tolist())]

    def _replay(self) -> None:
        began = time.monotonic()
        saved, now = self._model.golden_probabilities, self.predict(self.bundle.golden_photos)
        self.seconds_each = (time.monotonic() - began) / len(now)
        off = float(np.abs(now - saved).max())
        differs = not off <= TOLERANCE if is_exact(self.engine) else compare(now, saved).failure
        if differs or not np.isfinite(now).all():
            raise BundleRefused(
                "model-answers-changed",
                f"Probabilities of {self.bundle.folder} for its golden photos differ by {off:.4f} from the saved ones: "
                "train again.",
            )


def load_classifier(
    bundle: Bundle,
    wanted: str = AUTO,
    reuse_engine_of: Classifier | None = None,
    say: Callable[[str], object] = print,
    public: Backbone | None = None,
) -> Classifier:
    """Load a saved model on the engine `wanted`, or for "auto" on the fastest engine that passes its checks here.

    An engine that does not compute in float32 must have passed a parity check when the model was saved. On any engine,
    the golden photos must give the saved answers on this machine. On a CPU, TensorFlow is tried last, since it takes
    seconds to load. With a GPU, the pruned model is not used, since it runs on the CPU.

    Args:
        reuse_engine_of: a classifier that serves now; if both can share its engine, no second one is loaded.
        say: called with the chosen engine, and with each engine that is skipped and the reason.
        public: the backbone without the model's fine-tuned arrays; if None, it is loaded when needed.

    Raises:
        BundleRefused: the model was trained on another backbone.
        UserError: no engine can run the model, or `wanted` cannot.
    """
    passed: dict[str, Classifier] = {}
    wanted = engine_of_before(wanted)

    def failure(engine: Engine) -> str:
        if not is_exact(engine):
            parity = bundle.parity_checks.get(engine.name)
            if parity is None or parity.failure:
                return parity.failure if parity else "the model's card has no parity check for it."
        try:
            passed[engine.name] = Classifier(bundle, engine)
        except BundleRefused as refusal:
            return str(refusal)
        return ""

    @functools.cache
    def backbone() -> Backbone:
        """Load the backbone only when an engine is opened, since that reads and checks 59 MB of weights."""
        found = bundle.backbone(public)
        _check_weights(bundle, found.fingerprint)
        return found

    def opened(name: str) -> Engine:
        if reuse_engine_of and reuse_engine_of.engine.name == name and _run_alike(name, bundle, reuse_engine_of.bundle):
            return reuse_engine_of.engine
        return open_engine(name, backbone(), bundle.engine_params.get(name))

    own = (
        {OPENVINO_PRUNED: f"{OPENVINO_PRUNED} {bundle.pruned.network.widths}"}
        if bundle.pruned and not has_gpu()
        else {}
    )
    return passed[select(wanted, opened, failure, say, bundle.architecture, own).name]


def _run_alike(name: str, one: Bundle, other: Bundle) -> bool:
    """Tell whether both bundles can share the engine `name`."""
    if name in (OPENVINO_INT8, OPENVINO_PRUNED):
        params, others = (bundle.engine_params.get(name) for bundle in (one, other))
        if not (params and others and params.digest == others.digest):
            return False
    return one.is_on(other.card.backbone.fingerprint, other.architecture)


def _run_by(engine: Engine, bundle: Bundle) -> Bundle | PrunedModel:
    """Return the bundle or its pruned model, whichever the engine runs. Each has its own last layer and thresholds."""
    if engine.name != OPENVINO_PRUNED:
        return bundle
    if bundle.pruned is None:
        raise ValueError(f"the engine runs a pruned model, and {bundle.folder} has none")
    return bundle.pruned


def _check_weights(bundle: Bundle, fingerprint: str) -> None:
    if bundle.card.backbone.fingerprint != fingerprint:
        raise BundleRefused(
            "model-other-weights",
            f"{bundle.folder} was trained on a backbone with other weights: train again, or get those weights.",
        )
