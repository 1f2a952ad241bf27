"""Rank the channels of a layer by how well the others can replace them in the next layer."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack

_RIDGE = 1e-3  # times the mean variance of the inputs; ten times more or less makes no difference
_AT_ONCE = 24  # remove one in so many of the remaining channels before ranking them again


@dataclass(frozen=True)
class Elimination:
    """The order in which channels are removed, and the loss.

    Attributes:
        order: channel numbers, int (gone,), in order of removal.
        errors: float (gone + 1,), the share of the target's variance that is lost after removing so many channels and
            refitting the others by least squares.
        channels: how many there were.
    """

    order: np.ndarray
    errors: np.ndarray
    channels: int

    def kept(self, number: int) -> np.ndarray:
        """Return the `number` channels that are removed last, in ascending order."""
        return np.setdiff1d(np.arange(self.channels), self.order[: self.channels - number])

    def error(self, number: int) -> float:
        """Return the loss with `number` channels kept."""
        return float(max(0.0, self.errors[self.channels - number]))


def eliminate(inputs: np.ndarray, products: np.ndarray, variance: float, least: int) -> Elimination:
    """Run backward elimination of groups of inputs of a linear map, with exact least squares after each step.

    Channel pruning (He et al. 2017, https://arxiv.org/abs/1707.06168) and ThiNet (Luo et al. 2017,
    https://arxiv.org/abs/1707.06342) select channels by the next layer's loss, with the lasso or greedily with a fixed
    kernel. Here each channel's loss with all others refitted has a closed form, as in Optimal Brain Surgeon (Hassibi &
    Stork 1993), and for groups in Optimal Brain Compression (Frantar & Alistarh 2022,
    https://arxiv.org/abs/2208.11580). No labels are needed.

    Args:
        inputs: covariance of the inputs, float64 (channels * 9, channels * 9), nine neighbours per channel.
        products: covariance of inputs and targets, float64 (channels * 9, out).
        variance: of the targets, summed over their channels.
        least: minimum number of channels to keep.
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
    """Return the numbers of the inputs of `channels`, nine each."""
    return (channels[:, None] * 9 + np.arange(9)).ravel()


def solver(inputs: np.ndarray, ridge: float = _RIDGE):
    """Return a function that solves ridge regression: products, float64 (n, out) → kernel, float32 (n, out).

    Args:
        inputs: covariance, float64 (n, n); `ridge` times its mean variance is added to its diagonal.
    """
    factor = cho_factor(_ridged(inputs, ridge), overwrite_a=True, check_finite=False)
    return lambda products: cho_solve(factor, products, check_finite=False).astype(np.float32)


def _ridged(inputs: np.ndarray, ridge: float) -> np.ndarray:
    ridged = inputs.copy()
    ridged.flat[:: len(inputs) + 1] += ridge * np.trace(inputs) / len(inputs)
    return ridged


def _inverse(positive: np.ndarray) -> np.ndarray:
    """Invert a symmetric positive definite matrix, in half the time of a general inverse."""
    factor, _ = lapack.dpotrf(positive, lower=True, overwrite_a=True)
    lower, _ = lapack.dpotri(factor, lower=True, overwrite_c=True)
    return np.tril(lower) + np.tril(lower, -1).T
