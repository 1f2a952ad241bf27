"""Functions for notebooks saved before `catdog.notebook` existed, see `moved.py`."""

from typing import Any

from ..data.dataset import Dataset
from ..models.bundle import Bundle
from . import evaluation, pruned_models, save
from .calibration import CalibratedHead, calibrate
from .engine_selection import EngineSelection
from .evaluation import Judgement
from .features import features_by_split
from .linear_head import Features, FitResult
from .metrics import Metrics
from .pruned_models import Candidate, TradeOff
from .trained_head import TrainedHead, measure


def judge(
    dataset: Dataset, data: Features, fit: FitResult, confidence: CalibratedHead, *, frozen: bool = True
) -> Judgement:
    """Judge a model, see `evaluation.judge`."""
    reports = measure(fit, confidence, data, dataset.classes, frozen=frozen)
    return evaluation.judge(dataset, data, TrainedHead(fit, confidence, reports, frozen))


def compact_twins(
    wanted: str, dataset: Dataset, engines: EngineSelection, fit: FitResult, *,
    may_lose: float = 0.5, target: float = 0.99, seed: int = 0,
) -> TradeOff:  # fmt: skip
    """Prune a model, see `pruned_models.prune`. `seed` is ignored: the seed of `fit` counts."""
    data, frozen = features_by_split(dataset, engines.chosen, engines.store), not engines.backbone.fine_tuned
    calibrated = calibrate(fit, data, target=target)
    reports = measure(fit, calibrated, data, dataset.classes, frozen=frozen)
    trained = TrainedHead(fit, calibrated, reports, frozen)
    return pruned_models.prune(wanted, dataset, engines, trained, max_drop=may_lose)


def save_model(
    name: str, dataset: Dataset, fit: FitResult, confidence: CalibratedHead, reports: dict[str, Metrics],
    engines: EngineSelection, compact: Candidate | None = None, save_h5: bool = False, **options: Any,
) -> Bundle:  # fmt: skip
    """Save a model, see `save.save_model`; with `model.keras`, which used to be written always."""
    trained = TrainedHead(fit, confidence, reports, not engines.backbone.fine_tuned)
    return save.save_model(name, dataset, trained, engines, compact, save_keras=True, save_h5=save_h5, **options)
