"""Fit the last layer on features that are already there, in memory or in a file. The base is never run here.

By hand rather than by `keras.Model.fit`: on 1,000 photos the same 54 epochs take 0.1 s instead of 4 s of set-up.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from sklearn.model_selection import StratifiedKFold

from .errors import SuiteError
from .head import Head
from .progress import bar
from .rows import Rows, Standardised, chunks, moments

# Strengths of the L2 penalty to choose from, as scikit-learn's LogisticRegression(C=…) counts them; more photos make
# each weigh less. With too few validation photos to choose by, the first.
STRENGTHS = (0.1, 0.01, 1.0)
_FEW = 30
_FOLDS = 5
# Heads that judge labels must not learn wrong ones by heart. With 3 % of the labels of 1,300 photos turned round (six
# draws), cleanlab finds 90 % of them by heads of this L2 penalty, and 88 % of what it finds is right; with 0.02 that is
# 86 % and 67 %. Of 120 photos 79 % and 83 %, with 0.02 83 % and 57 %.
_L2_AGAINST_NOISE, _EPOCHS_AGAINST_NOISE = 0.5, 20
_BATCH = 64
_LEARNING_RATE = 1e-2
_EPSILON = 1e-3  # with Adam's usual 1e-7 the loss leaps once the gradients are small
_MIN_DELTA = 3e-4


@dataclass(frozen=True)
class Fit:
    """A fitted head and how it came about.

    Attributes:
        head: the last layer at its best epoch.
        history: "loss", "accuracy" and, with validation photos, "val_loss" and "val_accuracy": a value an epoch.
        best_epoch: 1 for the first.
        settings: what a card needs to tell how the head was fitted.
    """

    head: Head
    history: dict[str, list[float]]
    best_epoch: int
    settings: dict[str, float | int]


def fit_head(
    features: Rows,
    targets: np.ndarray,
    valid_features: Rows,
    valid_targets: np.ndarray,
    *,
    classes: int,
    epochs: int = 100,
    patience: int = 10,
    seed: int = 0,
    strengths: Sequence[float] = STRENGTHS,
) -> Fit:
    """Softmax regression on standardised features with Adam, stopped when validation loss stops falling.

    The standardisation is folded into the returned layer, so the head takes features as the base gives them.
    Uneven classes are weighted so that each counts the same. Of the strengths of the L2 penalty the one with the
    lowest validation loss is taken.

    Args:
        features: float32 (n, size) of the training photos; `targets`: class numbers, int (n,). Those that do not lie in
            memory are read in batches; the head is the same.
        valid_features, valid_targets: the same for validation; with none, the loss on the training photos decides.
        classes: how many there are.
        epochs: at most this many; `patience`: stop after so many epochs without improvement.
        seed: fixes the order of the photos.
        strengths: of the L2 penalty, as scikit-learn's C; the first alone where validation photos are few.

    Raises SuiteError when `epochs` or `seed` cannot be.
    """
    if epochs < 1 or seed < 0:
        raise SuiteError(
            "setting-training", "EPOCHS must be 1 or more, and SEED 0 or more: change them in the settings cell."
        )
    train, valid, fold = _standardised(features, targets, valid_features, valid_targets)
    strengths = strengths if len(valid_targets) >= _FEW else strengths[:1]
    with bar(what="Training", unit="epochs", total=epochs * len(strengths)) as progress:
        found = [
            _descend(train, valid, classes, 1 / (2 * c * len(features)), epochs, patience, seed, progress)
            for c in strengths
        ]
        progress.total = progress.n  # stopped early is done, not broken off
    even = np.ones(classes, np.float32)
    best = min(found, key=lambda descent: _judged(descent.head, *valid, even)[0]) if len(found) > 1 else found[0]
    settings = {"seed": seed, "epochs": len(best.history["loss"]), "best_epoch": best.epoch, "batch_size": _BATCH,
                "learning_rate": _LEARNING_RATE, "l2": best.l2}  # fmt: skip
    return Fit(fold(best.head), dict(best.history), best.epoch, settings)


def unseen_logits(
    features: np.ndarray,
    targets: np.ndarray,
    valid_features: np.ndarray,
    valid_targets: np.ndarray,
    fit: Fit,
    frozen: bool = True,
) -> np.ndarray:
    """What is said of each training photo by a head that was not trained on it, logits float32 (n, classes).

    The photos are dealt into five folds, classes evenly; five heads are fitted as `fit` was, each on four of them. A
    class's only photo trains them all, so nothing is said of it, nor of any where the backbone trained on them: NaN.

    Args:
        frozen: False for features of a backbone that was tuned on these photos. The others are as in `fit_head`.
    """
    logits = no_logits(fit, targets)
    if not frozen:
        return logits
    l2, epochs, seed = (fit.settings[name] for name in ("l2", "best_epoch", "seed"))
    for unseen, head in heads_of_others(features, targets, (valid_features, valid_targets), l2, epochs, seed):
        logits[unseen] = head.logits(features[unseen])
    return logits


def no_logits(fit: Fit, targets: np.ndarray) -> np.ndarray:
    """NaN, where `unseen_logits` can say nothing."""
    return np.full((len(targets), len(fit.head.bias)), np.nan, np.float32)


def careful_head(features: np.ndarray, targets: np.ndarray, classes: int) -> Head:
    """A strongly regularised head, to look through where the right one is not fitted yet; see `fit_head`."""
    train, valid, fold = _standardised(features, targets, *_nothing(features))
    return fold(_descend(train, valid, classes, _L2_AGAINST_NOISE, *[_EPOCHS_AGAINST_NOISE] * 2, seed=0).head)


def _nothing(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.empty((0, features.shape[1]), np.float32), np.empty(0, np.int64)


def cross_validated(features: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """Probabilities, float32 (n, classes), that heads give to photos they were not trained on, for judging labels.

    As in `unseen_logits`, but strongly regularised.
    """
    probabilities = np.full((len(targets), classes), np.nan, np.float32)
    nothing = _nothing(features)
    for unseen, head in heads_of_others(features, targets, nothing, _L2_AGAINST_NOISE, _EPOCHS_AGAINST_NOISE, 0):
        probabilities[unseen] = head.probabilities(features[unseen])
    return probabilities


def heads_of_others(
    features, targets, valid, l2: float, epochs: int, seed: int, shown: bool = True
) -> Iterator[tuple[np.ndarray, Head]]:
    """(places of some photos, a head fitted on all the others) until each had its turn, but for a class's only one."""
    counts = np.bincount(targets)
    dealt = np.flatnonzero(counts[targets] > 1)
    folds = min(_FOLDS, counts.max())
    if not len(dealt):
        return
    with warnings.catch_warnings(action="ignore"):  # of classes with fewer photos than folds
        turns = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(dealt, targets[dealt]))
    for _, turn in bar(turns, what="Cross-validation", unit="folds") if shown else turns:
        unseen = dealt[turn]
        seen = np.setdiff1d(np.arange(len(targets)), unseen)
        train, standardised, fold = _standardised(features[seen], targets[seen], *valid)
        yield unseen, fold(_descend(train, standardised, len(counts), l2, epochs, epochs, seed).head)


def _standardised(features, targets, valid_features, valid_targets):
    """((inputs, targets) of training, the same of validation, what makes a head for inputs one for features)."""
    mean, spread = moments(features)
    spread += 1e-6

    def fold(head: Head) -> Head:
        kernel = head.kernel / spread[:, None]
        return Head(kernel.astype(np.float32), (head.bias - mean @ kernel).astype(np.float32))

    train, valid = (Standardised(part, mean, spread) for part in (features, valid_features))
    train, valid = (part[:] if isinstance(part.rows, np.ndarray) else part for part in (train, valid))
    return (train, targets), (valid, valid_targets), fold


@dataclass
class _Descent:
    """Down the loss, epoch by epoch; `head` and `loss` are those of the best `epoch`."""

    l2: float
    head: Head
    loss: float = np.inf
    epoch: int = 0
    history: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def _descend(train, valid, classes: int, l2: float, epochs: int, patience: int, seed: int, progress=None) -> _Descent:
    (inputs, targets), even = train, np.ones(classes, np.float32)
    chance = np.random.default_rng(seed)
    weights = np.array(list(class_weights(targets, classes).values()), np.float32)
    head = Head(np.zeros((inputs.shape[1], classes), np.float32), np.zeros(classes, np.float32))
    found, adam = _Descent(l2, head), _Adam(head)
    for epoch in range(1, epochs + 1):
        for batch in np.array_split(chance.permutation(len(inputs)), -(-len(inputs) // _BATCH)):
            head = adam.step(head, *_gradients(head, inputs[batch], targets[batch], weights, found.l2))
        _record(found.history, "", head, inputs, targets, weights, found.l2)
        if len(valid[0]):
            _record(found.history, "val_", head, *valid, even, found.l2)
        watched = found.history["val_loss" if len(valid[0]) else "loss"][-1]
        if progress is not None:
            _show(progress, found.history)
        if watched < found.loss - _MIN_DELTA:
            found.loss, found.epoch, found.head = watched, epoch, head
        elif epoch - found.epoch >= patience:
            break
    return found


def class_weights(targets: np.ndarray, classes: int) -> dict[int, float]:
    """Class number → weight that makes every class count the same in the loss; all 1 for even classes."""
    counts = np.maximum(np.bincount(targets, minlength=classes), 1)
    return {number: len(targets) / (classes * count) for number, count in enumerate(counts)}


class _Adam:
    """Kingma & Ba 2014, https://arxiv.org/abs/1412.6980, with their decay rates."""

    def __init__(self, head: Head):
        self._steps = 0
        self._moments = [(np.zeros_like(array), np.zeros_like(array)) for array in (head.kernel, head.bias)]

    def step(self, head: Head, *gradients: np.ndarray) -> Head:
        self._steps += 1
        rate = _LEARNING_RATE * np.sqrt(1 - 0.999**self._steps) / (1 - 0.9**self._steps)
        changed = []
        for array, gradient, (first, second) in zip((head.kernel, head.bias), gradients, self._moments):
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient**2 - second)
            changed.append(array - rate * first / (np.sqrt(second) + _EPSILON))
        return Head(*changed)


def _gradients(
    head: Head, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, l2: float
) -> tuple[np.ndarray, np.ndarray]:
    """Of the mean weighted cross-entropy plus l2 · Σ kernel²: for kernel (size, classes) and bias (classes,). Weights
    are those of the classes, (classes,)."""
    errors = head.probabilities(inputs)
    errors[np.arange(len(targets)), targets] -= 1
    errors *= weights[targets, None] / len(targets)
    return inputs.T @ errors + 2 * l2 * head.kernel, errors.sum(axis=0)


def _record(
    history: dict[str, list[float]],
    prefix: str,
    head: Head,
    inputs: Rows,
    targets: np.ndarray,
    weights: np.ndarray,
    l2: float,
) -> None:
    loss, accuracy = _judged(head, inputs, targets, weights)
    history[f"{prefix}loss"].append(loss + float(l2 * (head.kernel**2).sum()))
    history[f"{prefix}accuracy"].append(accuracy)


def _judged(head: Head, inputs: Rows, targets: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Mean cross-entropy, weighted by class, and the share that is right."""
    loss = right = 0.0
    for rows in chunks(len(inputs)):
        probabilities, wanted = head.probabilities(inputs[rows]), targets[rows]
        of_wanted = probabilities[np.arange(len(wanted)), wanted]
        loss -= float((weights[wanted] * np.log(np.maximum(of_wanted, 1e-12))).sum())
        right += int((probabilities.argmax(axis=1) == wanted).sum())
    return loss / len(inputs), right / len(inputs)


def _show(progress, history: dict[str, list[float]]) -> None:
    names = {"accuracy": "train", "val_accuracy": "valid"}
    shown = {name: f"{history[key][-1]:.1%}" for key, name in names.items() if key in history}
    progress.set_postfix(shown, refresh=False)
    progress.update(1)
