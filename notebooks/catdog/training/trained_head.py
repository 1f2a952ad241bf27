"""From features to a last layer that is fitted, calibrated and measured: the chain that every training runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data.dataset import Dataset
from ..data.folders import TEST, VALID
from ..engines.base import Engine
from .calibration import CalibratedHead, calibrate
from .features import FeatureCache, compute_features, features_by_split
from .linear_head import Features, FitResult, fit_head, train_and_valid
from .metrics import Metrics, evaluate

CROSS_VALIDATION = "cross-validation"


@dataclass(frozen=True)
class TrainedHead:
    """A last layer, and what is known of it.

    Attributes:
        fit: as it was fitted; `calibrated`: its probabilities corrected, with its thresholds.
        reports: split → report, and that of cross-validation under its name. Validation photos have one only where
            they trained nothing.
        frozen: False for a backbone that was fine-tuned on these photos.
    """

    fit: FitResult
    calibrated: CalibratedHead
    reports: dict[str, Metrics]
    frozen: bool = True


def train_head(
    data: Features,
    classes: Sequence[str],
    *,
    negatives: np.ndarray | None = None,
    frozen: bool = True,
    target: float = 0.99,
    seed: int = 0,
) -> TrainedHead:
    """Fit a last layer, calibrate it, and measure it by test photos and by what was said out of fold.

    Args:
        data: split → (features, float32 (n, size); class numbers, int (n,)), from `features.features_by_split`.
        classes: their names.
        negatives: features (n, size) of photos that are none of the classes, if there are any.
        frozen: False for a backbone that was fine-tuned on the photos for training, see `linear_head.fit_head`.
        target: share of right answers among the confident ones, see `calibration.calibrate`.
        seed: deals the photos into folds.

    Raises UserError where `target` or `seed` cannot be.
    """
    fit = fit_head(data, len(classes), seed=seed, frozen=frozen)
    calibrated = calibrate(fit, data, target=target, negatives=negatives)
    return TrainedHead(fit, calibrated, measure(fit, calibrated, data, classes, frozen=frozen), frozen)


def measure(
    fit: FitResult, calibrated: CalibratedHead, data: Features, classes: Sequence[str], *, frozen: bool = True
) -> dict[str, Metrics]:
    """Reports on a head, see `TrainedHead.reports`."""
    reports = {
        split: evaluate(calibrated.head.probabilities(data[split][0]), data[split][1], classes)
        for split in ((TEST,) if frozen else (TEST, VALID))
    }
    return reports | (_out_of_fold(fit, data, classes) if frozen else {})


def train_like(trained: TrainedHead, dataset: Dataset, engine: Engine, store: FeatureCache) -> TrainedHead:
    """Train a head on the features that another engine gives for the same photos, with the same settings."""
    data = features_by_split(dataset, engine, store)
    negatives = compute_features(dataset.negatives, engine, store, "None of these")
    target, seed = trained.calibrated.target, trained.fit.seed
    return train_head(data, dataset.classes, negatives=negatives, frozen=trained.frozen, target=target, seed=seed)


def _out_of_fold(fit: FitResult, data: Features, classes: Sequence[str]) -> dict[str, Metrics]:
    """That of the photos for training, as they were judged without having trained."""
    judged = fit.judged
    if not judged.any():
        return {}
    return {CROSS_VALIDATION: evaluate(fit.out_of_fold[judged], train_and_valid(data)[1][judged], classes)}
