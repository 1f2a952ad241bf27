"""Is a photo anything like those that the model was trained on?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..backbones.architectures import at_length_1

_KEPT = 0.98  # of the photos that the model shall know


@dataclass(frozen=True)
class OODDetector:
    """Where each class lies among the features, and how far from there a photo of it may be.

    Features are taken at length 1, or a plain wall, whose features are small, would lie nearer to every class than
    their own photos do. A photo is as far away as the squared distance to the nearest class mean says (nearest class
    mean: Mensink et al. 2013, https://doi.org/10.1109/TPAMI.2013.83).

    Of eight methods on the same features none is better (docs/accuracy.md): Mahalanobis distance (Lee et al. 2018) and
    nearest neighbours (Sun et al. 2022) find as many strange photos, and must keep the covariance, or the features of
    each photo; a threshold on the probability (Hendrycks & Gimpel 2017) finds far fewer. What none of them finds,
    animals that are nearly a cat or a dog, photos of these do: a second test tells them apart by one number.

    Attributes:
        centers: float32 (classes, size), the mean of each class.
        limit: from this distance on a photo is unlike all of them.
        kernel, bias: float32 (size,) and a number: features @ kernel + bias is 0 or more for photos that are like those
            in `none-of-these`; None and 0 where there were none.
    """

    centers: np.ndarray
    limit: float
    kernel: np.ndarray | None = None
    bias: float = 0.0

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], limit: float) -> "OODDetector":
        """From what `arrays` gave. Raises KeyError without centers."""
        return cls(arrays["centers"], limit, arrays.get("kernel"), float(arrays.get("bias", 0)))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What is saved of it beside the limit."""
        against = {} if self.kernel is None else {"kernel": self.kernel, "bias": np.array(self.bias, np.float32)}
        return {"centers": self.centers, **against}

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Features (n, size) → distances, float32 (n,), 0 to 4."""
        products = at_length_1(features) @ self.centers.T
        return (1 - 2 * products + (self.centers**2).sum(axis=1)).min(axis=1)

    def in_distribution(self, features: np.ndarray) -> np.ndarray:
        """Features (n, size) → bool (n,)."""
        near = self.distances(features) < self.limit
        return near if self.kernel is None else near & (features @ self.kernel + self.bias < 0)


def centers_of(features: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """Means of the classes at length 1, float32 (classes, size), from features (n, size) and class numbers (n,)."""
    means = [at_length_1(features[targets == number]).mean(axis=0) for number in range(classes)]
    return np.stack(means).astype(np.float32)


def out_of_fold_distances(
    features: np.ndarray, targets: np.ndarray, classes: int, folds: Sequence[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Distances, float32 (n,), of photos from classes' means that were taken without them: those that made the means
    lie nearer to them than new ones do. NaN for photos that no fold judges.

    Args:
        folds: (rows that make the means, rows that are judged), see `linear_head.FitResult`.
    """
    distances = np.full(len(targets), np.nan, np.float32)
    for seen, unseen in folds:
        centers = centers_of(features[seen], targets[seen], classes)
        distances[unseen] = OODDetector(centers, np.inf).distances(features[unseen])
    return distances


def distance_limit(distances: np.ndarray) -> float:
    """The distance that 98 of 100 photos of the classes do not reach. With fewer than 50 photos no quantile says it:
    mean and deviation do, as the limit of one more draw from a normal distribution, by Student's t. At 10 photos a
    class that loses 3.0 ± 3.5 % of the new ones, the quantile 6.1 ± 6.8 % (ten draws)."""
    from scipy.special import stdtrit  # which serving does without

    number = len(distances)
    if number * (1 - _KEPT) >= 1:
        return float(np.quantile(distances, _KEPT))
    return float(distances.mean() + stdtrit(number - 1, _KEPT) * distances.std(ddof=1) * np.sqrt(1 + 1 / number))
