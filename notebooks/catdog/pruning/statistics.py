"""Means and covariances of a layer's inputs and outputs."""

import numpy as np

from .elimination import Elimination, eliminate, of_channels, solver

_AT_ONCE = 4096  # rows; with few at a time, addition takes longer than multiplication


class Moments:
    """Means and covariances, accumulated batch by batch."""

    def __init__(self) -> None:
        self._count, self._inputs, self._outputs, self._squares = 0, np.zeros(1), np.zeros(1), 0.0
        self._sums_of_products = np.zeros(1, np.float32), np.zeros(1, np.float32)
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, inputs: np.ndarray, outputs: np.ndarray) -> None:
        """Add a batch of inputs, float32 (n, channels * 9), and outputs, float32 (n, out)."""
        self._waiting.append((inputs, outputs))
        if sum(len(waiting) for waiting, _ in self._waiting) >= _AT_ONCE:
            self._take_in()

    def _take_in(self) -> None:
        if not self._waiting:
            return
        inputs, outputs = (np.concatenate(parts) if len(parts) > 1 else parts[0] for parts in zip(*self._waiting))
        self._waiting = []
        self._count += len(inputs)
        self._inputs = self._inputs + inputs.sum(axis=0, dtype=np.float64)
        self._outputs = self._outputs + outputs.sum(axis=0, dtype=np.float64)
        self._squares += (outputs.astype(np.float64) ** 2).sum()
        before = self._sums_of_products
        self._sums_of_products = before[0] + inputs.T @ inputs, before[1] + inputs.T @ outputs

    @property
    def mean(self) -> np.ndarray:
        """Mean of the inputs, float64 (channels * 9,)."""
        self._take_in()
        return self._inputs / self._count

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the inputs, float64 (channels * 9, channels * 9)."""
        mean = self.mean
        covariance = self._sums_of_products[0] / np.float64(self._count)
        covariance -= np.outer(mean, mean)
        return covariance

    @property
    def products(self) -> np.ndarray:
        """Covariance of inputs and outputs, float64 (channels * 9, out)."""
        mean = self.mean
        return self._sums_of_products[1].astype(np.float64) / self._count - np.outer(mean, self._outputs / self._count)

    def eliminated(self, least: int) -> Elimination:
        """Return the result of `elimination.eliminate` for these statistics."""
        self._take_in()
        if least * 9 >= len(self._inputs):
            return Elimination(np.empty(0, int), np.zeros(1), least)
        variance = self._squares / self._count - ((self._outputs / self._count) ** 2).sum()
        return eliminate(self.covariance, self.products, variance, least)

    def fitted(self, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fit the outputs by least squares to the channels `kept`; return kernel, float32 (kept * 9, out), and bias,
        (out,)."""
        inputs = of_channels(kept)
        kernel = solver(self.covariance[np.ix_(inputs, inputs)])(self.products[inputs])
        return kernel, (self._outputs / self._count - self.mean[inputs] @ kernel).astype(np.float32)
