"""Fit the last layer on features that are in memory or in a file. The backbone never runs here."""

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
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

# Candidates for scikit-learn's C, on columns of mean variance 1, the strongest regularization first: it is fitted
# fastest. Classes that are easy to tell apart need little of it, many photos that are hard to tell apart need a hundred
# times more: 500 photos each of CIFAR-10's classes are best with 0.003, 37 breeds of eight photos with 0.6 to 1
# (docs/accuracy.md).
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
DEFAULT_STRENGTH = 1.0  # if no photo can judge
_WORSE_IN_A_ROW = 2  # then weaker ones are not tried
# Divided by the number of photos, this is C for heads that judge labels: they must not memorize wrong ones. With 3 % of
# the labels of 1,300 photos flipped (six draws), cleanlab has a recall of 94 % and a precision of 91 %; with C = 0.3,
# 92 % and 67 %. On 120 photos: 78 % and 96 %.
_AGAINST_NOISE = 4
_FOLDS = 5
MOST_CROSS_VALIDATED = 20_000  # photos: more would change the figures by 0.1 % or less
_CHUNK = 16_384  # rows of a file in memory at a time
_WORTH_THREADS = 8_000_000  # input values
_NEVER = -30.0  # logit of a class without photos
_TOLERANCE, _MOST_STEPS = 1e-6, 1000  # of L-BFGS: largest remaining gradient, iterations

Features = Mapping[str, tuple[np.ndarray, np.ndarray]]  # split → (features, float32 (n, size); class numbers, int (n,))
Fold = tuple[np.ndarray, np.ndarray]  # rows that train, rows that judge


@dataclass(frozen=True)
class FitResult:
    """A fitted head, and out-of-fold logits of heads like it.

    Attributes:
        head: the last layer.
        out_of_fold: for each training and validation photo, in this order, the logits of a head that was not trained
            on it, float32 (n, classes); NaN if there is none.
        folds: (rows that trained such a head, rows that it judged).
        strength: C, see `STRENGTHS`; `losses`: C → out-of-fold cross-entropy, for those that were tried.
        seed: of the split into folds.
    """

    head: Head
    out_of_fold: np.ndarray
    folds: tuple[Fold, ...] = ()
    strength: float = DEFAULT_STRENGTH
    losses: dict[float, float] = field(default_factory=dict)
    seed: int = 0

    @property
    def judged(self) -> np.ndarray:
        """Which photos have out-of-fold logits, bool (n,)."""
        return np.isfinite(self.out_of_fold).all(axis=1)

    @property
    def settings(self) -> dict:
        """How the head was fitted, for the card."""
        return {"solver": "lbfgs", "C": self.strength, "folds": len(self.folds), "seed": self.seed}


def fit_head(
    data: Features, classes: int, *, seed: int = 0, frozen: bool = True, strengths: Sequence[float] = STRENGTHS
) -> FitResult:
    """Fit a multinomial logistic regression to convergence by L-BFGS, on centered features divided by a single scale.

    All columns share the scale, since scaling each would amplify channels that hardly ever fire. Without early
    stopping, validation photos are not needed to stop it: they train, too, and cross-validation chooses C. Class
    weights make all classes count the same. Mean and scale are folded into the returned layer, so it takes features as
    the backbone computes them.

    Args:
        data: features of the splits "train" and "valid"; arrays in memory or `np.memmap`.
        classes: number of classes.
        seed: of the split into folds.
        frozen: False for a backbone that was fine-tuned on the training photos: then validation photos judge, and do
            not train.
        strengths: candidates for C, see `STRENGTHS`. Tried in this order, until two in a row are worse than the best.

    Raises UserError if `seed` is below 0.
    """
    require_seed(seed)
    features, targets = train_and_valid(data)
    trained = np.arange(len(targets) if frozen else len(data[TRAIN][1]))
    folds = _folds(features, targets, seed) if frozen else _held_out(len(trained), len(targets))
    losses, logits = _search(features, targets, classes, strengths if folds else (), folds)
    best = min(losses, key=losses.__getitem__, default=DEFAULT_STRENGTH)
    head = regression(features[: len(trained)], targets[: len(trained)], classes, best)
    return FitResult(head, logits, tuple(folds), best, losses, seed)


def _search(
    features: np.ndarray, targets: np.ndarray, classes: int, strengths: Sequence[float], folds: Sequence[Fold]
) -> tuple[dict[float, float], np.ndarray]:
    """Return C → out-of-fold cross-entropy, and the logits (n, classes) of the best C."""
    losses, logits = dict[float, float](), no_logits(targets, classes)
    with bar(what="Cross-validation", unit="fits", total=len(strengths) * len(folds)) as fits:
        for strength in strengths:
            said = _judged_by_others(features, targets, classes, strength, folds, fits.update)
            losses[strength] = cross_entropy(said, targets)
            least = min(losses.values())
            if losses[strength] == least:
                logits = said
            if least not in list(losses.values())[-_WORSE_IN_A_ROW:]:
                break
        fits.update(fits.total - fits.n)
    return losses, logits


def require_seed(seed: int) -> None:
    """Raise UserError for a seed below 0."""
    if seed < 0:
        raise UserError("setting-training", "SEED must be 0 or more: change it in the settings cell.")


def train_and_valid(data: Features) -> tuple[np.ndarray, np.ndarray]:
    """Return (features, class numbers) of the training photos, followed by those of the validation photos."""
    if not len(data[VALID][1]):
        return data[TRAIN]  # without a copy: it may be a file that does not fit in memory
    features, targets = (np.concatenate(parts) for parts in zip(data[TRAIN], data[VALID]))
    return features, targets


def regression(features: np.ndarray, targets: np.ndarray, classes: int, strength: float) -> Head:
    """Fit the head for one C, see `fit_head`. Features float32 (n, size), in memory or `np.memmap`."""
    if len(set(targets.tolist())) < 2:
        return Head(np.zeros((features.shape[1], classes), np.float32), _only(targets, classes))
    mean, scale = _mean_and_scale(features)
    inputs = _centered(features, mean, scale)
    # On little work, several threads mostly wait for each other, above all next to an engine's threads: on 1,000
    # photos, 3.6 fits per second instead of 17.
    threads = 1 if inputs.size < _WORTH_THREADS else None
    ignored = warnings.catch_warnings(action="ignore")  # L-BFGS warns when float32 allows no smaller step
    with ignored, threadpool_limits(threads, "blas"):
        solved = LogisticRegression(
            C=strength * inputs.shape[1], tol=_TOLERANCE, max_iter=_MOST_STEPS, class_weight="balanced"
        ).fit(inputs, targets)
    kernel, bias = np.zeros((inputs.shape[1], classes)), np.full(classes, _NEVER)
    if len(solved.classes_) == 2:  # scikit-learn returns one column: split it into two that mirror each other
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
    """Return logits (n, classes) of heads that were not trained on the photo; NaN for the only photo of a class."""
    return _judged_by_others(features, targets, classes, strength, _folds(features, targets, seed))


def _judged_by_others(
    features: np.ndarray,
    targets: np.ndarray,
    classes: int,
    strength: float,
    folds: Sequence[Fold],
    fitted: Callable[[], object] = lambda: None,
) -> np.ndarray:
    """Return logits (n, classes) of each fold's head for the rows that it judges; NaN for other rows."""
    logits = no_logits(targets, classes)
    for seen, unseen in folds:
        logits[unseen] = regression(features[seen], targets[seen], classes, strength).logits(features[unseen])
        fitted()
    return logits


def no_logits(targets: np.ndarray, classes: int) -> np.ndarray:
    """Return NaN logits for the photos with these `targets`: float32 (n, classes)."""
    return np.full((len(targets), classes), np.nan, np.float32)


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> float:
    """Return the mean cross-entropy over the photos that have logits; NaN if none has."""
    said = np.isfinite(logits).all(axis=1)
    chosen = log_softmax(logits[said].astype(np.float64), axis=1)[np.arange(said.sum()), targets[said]]
    return float(-chosen.mean()) if said.any() else float("nan")


def regularized_head(features: np.ndarray, targets: np.ndarray, classes: int) -> Head:
    """Fit a strongly regularized head, a stand-in until the real one is fitted; see `fit_head`."""
    return regression(features, targets, classes, _AGAINST_NOISE / len(targets))


def cross_validated(features: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """Return out-of-fold probabilities, float32 (n, classes), for judging labels."""
    logits = out_of_fold(features, targets, classes, _AGAINST_NOISE / len(targets), seed=0)
    return np.exp(log_softmax(logits, axis=1))


def class_weights(targets: np.ndarray, classes: int) -> dict[int, float]:
    """Return class number → weight, so that all classes count the same in the loss; all 1 for balanced classes."""
    counts = np.maximum(np.bincount(targets, minlength=classes), 1)
    return {number: len(targets) / (classes * count) for number, count in enumerate(counts)}


def _folds(features: np.ndarray, targets: np.ndarray, seed: int) -> list[Fold]:
    """Split photos into five folds, stratified by class, with near copies in the same fold: one photo of a burst would
    give away the answers for the others. A class whose photos are all one group trains all heads and is never judged.
    Of very many photos, only some are used, but of every class."""
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
    """Return the mean (size,) and, as the scale, the root of the mean squared distance from it, at least 1e-6."""
    mean = sum(features[rows].sum(axis=0, dtype=np.float64) for rows in _chunks(features)) / len(features)
    squares = sum(float(((features[rows] - mean) ** 2).sum()) for rows in _chunks(features))
    return mean, max((squares / len(features)) ** 0.5, 1e-6)


def _centered(features: np.ndarray, mean: np.ndarray, scale: float) -> np.ndarray:
    """Return centered and scaled features, float32 (n, size). For features in a file, the result is a temporary file
    that disappears with its last user."""
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
