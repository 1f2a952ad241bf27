"""Which channels of a layer can go? Those whose part in the next layer the others can take over best."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack

_RIDGE = 1e-3  # times the mean variance of the inputs; a tenth or ten times of it makes no difference
_AT_ONCE = 24  # of so many channels that are left, the one that matters least goes before all are looked at again


@dataclass(frozen=True)
class Elimination:
    """In which order channels go, and what that costs.

    Attributes:
        order: channel numbers, int (gone,), the first to go first.
        errors: float (gone + 1,), the share of the variance of what shall be computed that is lost when so many are
            gone and the others are refitted by least squares.
        channels: how many there were.
    """

    order: np.ndarray
    errors: np.ndarray
    channels: int

    def kept(self, number: int) -> np.ndarray:
        """The `number` channels that stay longest, in ascending order."""
        return np.setdiff1d(np.arange(self.channels), self.order[: self.channels - number])

    def error(self, number: int) -> float:
        """What is lost with `number` channels kept."""
        return float(max(0.0, self.errors[self.channels - number]))


def eliminate(inputs: np.ndarray, products: np.ndarray, variance: float, least: int) -> Elimination:
    """Backward elimination of groups of inputs of a linear map, with exact least squares after each step.

    Channel pruning (He et al. 2017, https://arxiv.org/abs/1707.06168) and ThiNet (Luo et al. 2017,
    https://arxiv.org/abs/1707.06342) choose channels by what the next layer loses, by the lasso or one by one with the
    kernel as it is. Here the loss of each is known in closed form with all others refitted, as in the Optimal Brain
    Surgeon (Hassibi & Stork 1993) and for groups in Optimal Brain Compression (Frantar & Alistarh 2022,
    https://arxiv.org/abs/2208.11580). No labels are needed.

    Args:
        inputs: covariance of the inputs, float64 (channels * 9, channels * 9), nine neighbours a channel.
        products: covariance of inputs and what shall be computed, float64 (channels * 9, out).
        variance: of what shall be computed, summed over its channels.
        least: how many channels stay at least.
    """
    inverse = _inverse(_ridged(inputs, _RIDGE)).astype(np.float32)
    kernel = inverse @ products.astype(np.float32)
    left, order = np.arange(len(inputs) // 9), []
    errors = [variance - float((kernel.astype(np.float64) * products).sum())]
    while len(left) > least:
        own = inverse.reshape(len(left), 9, len(left), 9)[np.arange(len(left)), :, np.arange(len(left))]
        parts = kernel.reshape(len(left), 9, -1)
        costs = np.einsum("cko,cko->c", np.linalg.solve(own, parts), parts)
        number = min(max(1, len(left) // _AT_ONCE), len(left) - least)
        going = np.argsort(costs, kind="stable")[:number]
        gone, stays = of_channels(going), np.delete(np.arange(len(kernel)), of_channels(going))
        lost = np.linalg.solve(inverse[np.ix_(gone, gone)], np.hstack([kernel[gone], inverse[np.ix_(gone, stays)]]))
        taken_over, changed = lost[:, : kernel.shape[1]], lost[:, kernel.shape[1] :]
        step = float((taken_over * kernel[gone]).sum()) / number
        kernel = kernel[stays] - inverse[np.ix_(stays, gone)] @ taken_over
        inverse = inverse[np.ix_(stays, stays)] - inverse[np.ix_(stays, gone)] @ changed
        errors += [errors[-1] + step * (place + 1) for place in range(number)]
        order += left[going].tolist()
        left = np.delete(left, going)
    return Elimination(np.array(order, int), np.array(errors) / variance, len(inputs) // 9)


def of_channels(channels: np.ndarray) -> np.ndarray:
    """Numbers of the inputs of `channels`, nine each."""
    return (channels[:, None] * 9 + np.arange(9)).ravel()


def solver(inputs: np.ndarray, ridge: float = _RIDGE):
    """A function: products, float64 (n, out) → the kernel of least squares, float32 (n, out).

    Args:
        inputs: covariance, float64 (n, n); `ridge` times its mean variance is added to the variances.
    """
    factor = cho_factor(_ridged(inputs, ridge), overwrite_a=True, check_finite=False)
    return lambda products: cho_solve(factor, products, check_finite=False).astype(np.float32)


def _ridged(inputs: np.ndarray, ridge: float) -> np.ndarray:
    ridged = inputs.copy()
    ridged.flat[:: len(inputs) + 1] += ridge * np.trace(inputs) / len(inputs)
    return ridged


def _inverse(positive: np.ndarray) -> np.ndarray:
    """Of a symmetric, positive matrix, in half of the time that the inverse of any takes."""
    factor, _ = lapack.dpotrf(positive, lower=True, overwrite_a=True)
    lower, _ = lapack.dpotri(factor, lower=True, overwrite_c=True)
    return np.tril(lower) + np.tril(lower, -1).T
