"""Fit the last layer on features that are already there, in memory or in a file. The base is never run here."""

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from threadpoolctl import threadpool_limits

from .. import paths
from ..data.folders import TRAIN, VALID
from ..errors import UserError
from ..models.head import Head
from ..progress import bar
from .near_duplicates import groups_of

# To choose from, as scikit-learn counts C on columns of mean variance 1. With two classes 0.3 to 10 differ by less than
# 0.1 points; for 37 breeds of eight photos each 0.6 to 1 is best (docs/accuracy.md).
STRENGTHS = (1.0, 0.3, 3.0)
# Divided by the number of photos: heads that judge labels must not learn wrong ones by heart. With 3 % of the labels of
# 1,300 photos flipped (six draws), cleanlab finds 94 % of them, and 91 % of what it finds is right; with C = 0.3 that
# is 92 % and 67 %. Of 120 photos 78 % and 96 %.
_AGAINST_NOISE = 4
_FOLDS = 5
MOST_CROSS_VALIDATED = 20_000  # photos: more would move the figures by 0.1 % or less
_CHUNK = 16_384  # rows of a file in memory at a time
_WORTH_THREADS = 8_000_000  # numbers
_NEVER = -30.0  # the logit of a class that has no photo here
_TOLERANCE, _MOST_STEPS = 1e-6, 1000  # of L-BFGS: the largest gradient that is left

Features = Mapping[str, tuple[np.ndarray, np.ndarray]]  # split → (features, float32 (n, size); class numbers, int (n,))
Fold = tuple[np.ndarray, np.ndarray]  # rows that train, rows that judge


@dataclass(frozen=True)
class FitResult:
    """A fitted head, and what heads like it say of photos that they were not trained on.

    Attributes:
        head: the last layer.
        out_of_fold: for each photo for training and validation, in this order, the logits of a head that was not
            trained on it, float32 (n, classes); NaN where there is none.
        folds: (rows that trained such a head, rows that it judged).
        strength: C, see `STRENGTHS`; `losses`: C → cross-entropy of what was said out of fold.
        seed: dealt the photos into folds.
    """

    head: Head
    out_of_fold: np.ndarray
    folds: tuple[Fold, ...] = ()
    strength: float = STRENGTHS[0]
    losses: dict[float, float] = field(default_factory=dict)
    seed: int = 0

    @property
    def judged(self) -> np.ndarray:
        """Of which photos something is said out of fold, bool (n,)."""
        return np.isfinite(self.out_of_fold).all(axis=1)

    @property
    def settings(self) -> dict:
        """What a card needs to tell how the head was fitted."""
        return {"solver": "lbfgs", "C": self.strength, "folds": len(self.folds), "seed": self.seed}


def fit_head(
    data: Features, classes: int, *, seed: int = 0, frozen: bool = True, strengths: Sequence[float] = STRENGTHS
) -> FitResult:
    """Multinomial logistic regression, solved to the end by L-BFGS, on features less their mean and by one scale.

    One scale for all columns, or channels that hardly ever fire would be blown up. Nothing is stopped early, so no
    photo is held back: photos for validation train, too, and cross-validation chooses the strength. Uneven classes are
    weighted so that each counts the same. Mean and scale are folded into the returned layer, so it takes features as
    the base gives them.

    Args:
        data: features of the splits "train" and "valid"; arrays in memory or `np.memmap`.
        classes: how many there are.
        seed: deals the photos into folds.
        frozen: False for a backbone that was fine-tuned on the photos for training: then those for validation judge,
            and do not train.
        strengths: to choose from, see `STRENGTHS`.

    Raises UserError where `seed` cannot be.
    """
    require_seed(seed)
    features, targets = train_and_valid(data)
    trained = np.arange(len(targets) if frozen else len(data[TRAIN][1]))
    folds = _folds(features, targets, seed) if frozen else _held_out(len(trained), len(targets))
    logits: dict[float, np.ndarray] = {}
    tried = [(strength, fold) for strength in strengths for fold in folds]
    for strength, (seen, unseen) in bar(tried, what="Cross-validation", unit="fits"):
        said = logits.setdefault(strength, no_logits(targets, classes))
        said[unseen] = regression(features[seen], targets[seen], classes, strength).logits(features[unseen])
    losses = {strength: cross_entropy(said, targets) for strength, said in logits.items()}
    best = min(losses, key=losses.__getitem__, default=strengths[0])
    head = regression(features[: len(trained)], targets[: len(trained)], classes, best)
    return FitResult(head, logits.get(best, no_logits(targets, classes)), tuple(folds), best, losses, seed)


def require_seed(seed: int) -> None:
    """Raises UserError for one below 0."""
    if seed < 0:
        raise UserError("setting-training", "SEED must be 0 or more: change it in the settings cell.")


def train_and_valid(data: Features) -> tuple[np.ndarray, np.ndarray]:
    """(features, class numbers) of the photos for training and, behind them, of those for validation."""
    if not len(data[VALID][1]):
        return data[TRAIN]  # which may be a file that does not fit in memory
    features, targets = (np.concatenate(parts) for parts in zip(data[TRAIN], data[VALID]))
    return features, targets


def regression(features: np.ndarray, targets: np.ndarray, classes: int, strength: float) -> Head:
    """The head for one strength, see `fit_head`. Features float32 (n, size), in memory or `np.memmap`."""
    if len(set(targets.tolist())) < 2:
        return Head(np.zeros((features.shape[1], classes), np.float32), _only(targets, classes))
    mean, scale = _mean_and_scale(features)
    inputs = _centered(features, mean, scale)
    # Several threads for little work wait for each other, above all beside those of an engine: 3.6 fits a second
    # instead of 17 on 1,000 photos.
    threads = 1 if inputs.size < _WORTH_THREADS else None
    ignored = warnings.catch_warnings(action="ignore")  # of steps that float32 cannot make any smaller
    with ignored, threadpool_limits(threads, "blas"):
        solved = LogisticRegression(
            C=strength * inputs.shape[1], tol=_TOLERANCE, max_iter=_MOST_STEPS, class_weight="balanced"
        ).fit(inputs, targets)
    kernel, bias = np.zeros((inputs.shape[1], classes)), np.full(classes, _NEVER)
    if len(solved.classes_) == 2:  # scikit-learn keeps half of it: the other half mirrors it
        half, constant = solved.coef_[0] / 2, solved.intercept_[0] / 2
        kernel[:, solved.classes_], bias[solved.classes_] = np.stack([-half, half], axis=1), [-constant, constant]
    else:
        kernel[:, solved.classes_], bias[solved.classes_] = solved.coef_.T, solved.intercept_
    kernel /= scale
    return Head(kernel.astype(np.float32), (bias - mean @ kernel).astype(np.float32))


def _only(targets: np.ndarray, classes: int) -> np.ndarray:
    bias = np.full(classes, _NEVER, np.float32)
    bias[targets] = 0
    return bias


def out_of_fold(features: np.ndarray, targets: np.ndarray, classes: int, strength: float, seed: int) -> np.ndarray:
    """Logits (n, classes) of heads that were not trained on the photo; NaN for a class's only one."""
    logits = no_logits(targets, classes)
    for seen, unseen in _folds(features, targets, seed):
        logits[unseen] = regression(features[seen], targets[seen], classes, strength).logits(features[unseen])
    return logits


def no_logits(targets: np.ndarray, classes: int) -> np.ndarray:
    """NaN, where nothing is said of the photos with these `targets`: float32 (n, classes)."""
    return np.full((len(targets), classes), np.nan, np.float32)


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> float:
    """Mean over the photos of which something is said; NaN where there are none."""
    said = np.isfinite(logits).all(axis=1)
    chosen = log_softmax(logits[said].astype(np.float64), axis=1)[np.arange(said.sum()), targets[said]]
    return float(-chosen.mean()) if said.any() else float("nan")


def regularized_head(features: np.ndarray, targets: np.ndarray, classes: int) -> Head:
    """A strongly regularised head, to look through where the right one is not fitted yet; see `fit_head`."""
    return regression(features, targets, classes, _AGAINST_NOISE / len(targets))


def cross_validated(features: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """Probabilities, float32 (n, classes), that heads give to photos they were not trained on, for judging labels."""
    logits = out_of_fold(features, targets, classes, _AGAINST_NOISE / len(targets), seed=0)
    return np.exp(log_softmax(logits, axis=1))


def class_weights(targets: np.ndarray, classes: int) -> dict[int, float]:
    """Class number → weight that makes every class count the same in the loss; all 1 for even classes."""
    counts = np.maximum(np.bincount(targets, minlength=classes), 1)
    return {number: len(targets) / (classes * count) for number, count in enumerate(counts)}


def _folds(features: np.ndarray, targets: np.ndarray, seed: int) -> list[Fold]:
    """Photos dealt into five folds, classes evenly, near copies together: of a burst, one photo would give the others'
    answers away. A class whose photos are all one group trains all heads, and is judged by none; of very many photos,
    some are left out, but no class."""
    spread = np.linspace(0, len(targets) - 1, min(len(targets), MOST_CROSS_VALIDATED)).astype(int)
    rows = np.union1d(spread, np.unique(targets, return_index=True)[1])
    groups = groups_of(features[rows])
    parts = np.bincount(np.unique(np.stack([targets[rows], groups]), axis=1)[0])
    kept = parts[targets[rows]] > 1
    dealt, together = rows[kept], groups[kept]
    if not len(dealt):
        return []
    alone = len(np.unique(together)) == len(together)
    splitter = (StratifiedKFold if alone else StratifiedGroupKFold)(
        min(_FOLDS, parts.max()), shuffle=True, random_state=seed
    )
    with warnings.catch_warnings(action="ignore"):  # of classes with fewer photos than folds
        turns = [dealt[unseen] for _, unseen in splitter.split(dealt, targets[dealt], together)]
    return [(np.setdiff1d(rows, unseen), unseen) for unseen in turns if len(unseen)]


def _held_out(trained: int, photos: int) -> list[Fold]:
    return [(np.arange(trained), np.arange(trained, photos))] if photos > trained else []


def _mean_and_scale(features: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean (size,) and the root of the mean squared distance from it: 1, or 1e-6 for features that are all the same."""
    mean = sum(features[rows].sum(axis=0, dtype=np.float64) for rows in _chunks(features)) / len(features)
    squares = sum(float(((features[rows] - mean) ** 2).sum()) for rows in _chunks(features))
    return mean, max((squares / len(features)) ** 0.5, 1e-6)


def _centered(features: np.ndarray, mean: np.ndarray, scale: float) -> np.ndarray:
    """Float32 (n, size); of a file, in another file that is gone when nobody uses it any more."""
    if isinstance(features, np.memmap):
        with tempfile.TemporaryFile(dir=paths.cache_dir()) as file:
            inputs: np.ndarray = np.memmap(file, np.float32, "w+", shape=features.shape)
    else:
        inputs = np.empty(features.shape, np.float32)
    for rows in _chunks(features):
        inputs[rows] = (features[rows] - mean) / scale
    return inputs


def _chunks(features: np.ndarray) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, len(features), _CHUNK))
