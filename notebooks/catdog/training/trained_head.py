"""From features to a last layer that is fitted, calibrated and measured: the steps of every training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from ..data.dataset import Dataset
from ..data.folders import TEST, TRAIN, VALID
from ..engines.base import Engine
from .calibration import CalibratedHead, calibrate
from .features import FeatureCache, compute_features, features_by_split
from .linear_head import Features, FitResult, fit_head, no_logits, train_and_valid
from .metrics import Metrics, evaluate

CROSS_VALIDATION = "cross-validation"


@dataclass(frozen=True)
class TrainedHead:
    """A fitted and calibrated last layer, and its metrics.

    Attributes:
        fit: the layer as fitted; `calibrated`: the same with calibrated probabilities and thresholds.
        reports: split → report, and the report by cross-validation under `CROSS_VALIDATION`. Validation photos have one
            only if they trained nothing.
        frozen: False for a backbone that was fine-tuned on these photos.
    """

    fit: FitResult
    calibrated: CalibratedHead
    reports: dict[str, Metrics]
    frozen: bool = True

    @property
    def out_of_fold(self) -> np.ndarray:
        """Calibrated probabilities by heads that were not trained on the photo, float32 (n, classes), see `FitResult`;
        NaN if there are none."""
        return softmax(self.fit.out_of_fold / np.float32(self.calibrated.temperature), axis=1)


def train_head(
    data: Features,
    classes: Sequence[str],
    *,
    negatives: np.ndarray | None = None,
    frozen: bool = True,
    target: float = 0.99,
    seed: int = 0,
) -> TrainedHead:
    """Fit a last layer, calibrate it, and measure it on test photos and out of fold.

    Args:
        data: split → (features, float32 (n, size); class numbers, int (n,)), from `features.features_by_split`.
        classes: class names.
        negatives: features (n, size) of photos of none of the classes, if any.
        frozen: False for a backbone that was fine-tuned on the training photos, see `linear_head.fit_head`.
        target: share of right answers among the confident ones, see `calibration.calibrate`.
        seed: of the split into folds.

    Raises UserError if `target` or `seed` is invalid.
    """
    fit = fit_head(data, len(classes), seed=seed, frozen=frozen)
    calibrated = calibrate(fit, data, target=target, negatives=negatives)
    return TrainedHead(fit, calibrated, measure(fit, calibrated, data, classes, frozen=frozen), frozen)


def measure(
    fit: FitResult, calibrated: CalibratedHead, data: Features, classes: Sequence[str], *, frozen: bool = True
) -> dict[str, Metrics]:
    """Compute the reports on a head, see `TrainedHead.reports`."""
    reports = {
        split: evaluate(calibrated.head.probabilities(data[split][0]), data[split][1], classes)
        for split in ((TEST,) if frozen else (TEST, VALID))
    }
    return reports | (_out_of_fold(fit, data, classes) if frozen else {})


def train_like(trained: TrainedHead, dataset: Dataset, engine: Engine, store: FeatureCache) -> TrainedHead:
    """Train a head with the same settings, on another engine's features of the same photos."""
    data = features_by_split(dataset, engine, store)
    negatives = compute_features(dataset.negatives, engine, store, "None of these")
    target, seed = trained.calibrated.target, trained.fit.seed
    return train_head(data, dataset.classes, negatives=negatives, frozen=trained.frozen, target=target, seed=seed)


def out_of_fold_again(trained: TrainedHead, data: Features) -> np.ndarray:
    """Fit the last layer once more, to another deal of the same photos, and return its out-of-fold logits: float32
    (n, classes), NaN if there are none. Answers that differ from `trained`'s do so by chance.

    A model with a fine-tuned backbone has no folds. Then the layer is trained on four fifths of the training photos, as
    in a fold.
    """
    classes, seed, same = len(trained.fit.head.bias), trained.fit.seed + 1, (trained.fit.strength,)
    if trained.frozen:
        return fit_head(data, classes, seed=seed, strengths=same).out_of_fold
    features, targets = data[TRAIN]
    rows = np.sort(np.random.default_rng(seed).permutation(len(targets))[: len(targets) * 4 // 5])
    some = {TRAIN: (features[rows], targets[rows]), VALID: data[VALID]}
    logits = no_logits(train_and_valid(data)[1], classes)
    logits[len(targets) :] = fit_head(some, classes, seed=seed, frozen=False, strengths=same).out_of_fold[len(rows) :]
    return logits


def _out_of_fold(fit: FitResult, data: Features, classes: Sequence[str]) -> dict[str, Metrics]:
    """Compute the report by cross-validation; empty if no photo was judged."""
    judged = fit.judged
    if not judged.any():
        return {}
    return {CROSS_VALIDATION: evaluate(fit.out_of_fold[judged], train_and_valid(data)[1][judged], classes)}
