"""Structured pruning of VGG16: remove channels and refit the remaining weights, from unlabelled photos.

For each layer in turn, remove the channels that matter least to the next layer (elimination.py), within a compute
budget (budget.py) that depends on how much each layer's loss affects the features (sensitivity.py). Then refit the next
layer's kernel so that its output stays that of the full network (refitting.py). Weights alone do not select channels
(data-free pruning: Srinivas & Babu 2015, https://arxiv.org/abs/1507.06149), since their importance depends on the
photos.

Distilling the full network's features afterwards (Hinton et al. 2015, https://arxiv.org/abs/1503.02531), channels by
their importance for the answer, and fewer pixels did not do better at the same arithmetic: see docs/pruning.md.
"""

import numpy as np

from ..backbones.vgg16_weights import Weights
from ..progress import bar
from .budget import STEP, arithmetic, widths_within
from .elimination import of_channels
from .refitting import refit
from .sensitivity import importance
from .statistics import Moments
from .vgg16_layers import CHAIN, SIDES, Sample, as_kernel, as_rows, batches, centered, stage, whole, widths_of

_JUDGED = 16  # photos for measuring each layer's importance


def gmacs(weights: Weights) -> float:
    """Return the GMACs for one photo, see `budget.arithmetic`."""
    return arithmetic(widths_of(weights), SIDES)


class Pruner:
    """A pruner for VGG16: it runs the full network once, and can then prune it to any number of sizes.

    Args:
        weights: VGG16's, or others of the same shapes (see `vgg16_weights.load_weights`).
        photos: uint8 RGB (n, 224, 224, 3) from `images.read_photo`, some hundred, without labels.
        seed: for the random choice of patches.
        patches: how many patches to sample.
    """

    def __init__(self, weights: Weights, photos: np.ndarray, seed: int = 0, patches: int = 32_000):
        self._weights, self._photos = weights, photos
        self._sample = Sample(len(photos), seed, patches)
        moments, self._targets = self._look()
        eliminations = [one.eliminated(STEP // 2) for one in bar(moments, what="Ranking channels", unit="layers")]
        weighty = importance(self._weights, centered(photos[:_JUDGED]), moments, eliminations)
        self._losses = [
            {width: weight * one.error(width) for width in range(STEP, one.channels + 1, STEP)}
            for weight, one in zip(weighty, eliminations)
        ]

    def narrowed(self, share: float) -> Weights:
        """Return VGG16's arrays with fewer channels, for at most `share` of the GMACs, and with similar features."""
        widths = widths_within(share * gmacs(self._weights), self._losses, SIDES, widths_of(self._weights)[-1])
        entering = [centered(self._photos[batch]) for batch in self._batches()]
        kernel, bias = CHAIN[0].of(self._weights)
        narrow: Weights = {}
        steps = list(zip(CHAIN, CHAIN[1:], widths, self._targets))
        for layer, following, width, targets in bar(steps, what=f"Pruning to {share:.0%}", unit="layers"):
            through = stage(layer, kernel, bias)
            given = [through(values).astype(np.float16) for values in entering]
            seen = (self._sample.inputs(following, *of_batch) for of_batch in zip(self._batches(), given))
            inputs = np.concatenate(list(seen)).astype(np.float32)
            moments = Moments()
            moments.add(inputs, targets)
            kept = moments.eliminated(width).kept(width)
            narrow |= {f"{layer.name}/kernel": kernel[..., kept].copy(), f"{layer.name}/bias": bias[kept]}
            entering = [values[:, kept] for values in given]
            kernel, bias = _refitted(following.of(self._weights)[0], kept, inputs, moments, targets)
        return narrow | {f"{following.name}/kernel": kernel, f"{following.name}/bias": bias}

    def _batches(self):
        return batches(len(self._photos))

    def _look(self) -> tuple[list[Moments], list[np.ndarray]]:
        """Run the full network; return the statistics and the target outputs of all layers but the first."""
        moments = [Moments() for _ in CHAIN[1:]]
        targets: list[list[np.ndarray]] = [[] for _ in CHAIN[1:]]
        run = whole(self._weights)
        for batch in bar(list(self._batches()), what="Running the full network", unit="batches"):
            passing = list(run(centered(self._photos[batch])))[1:]
            for layer, (entering, before), gathered, wanted in zip(CHAIN[1:], passing, moments, targets):
                wanted.append(self._sample.outputs(layer, batch, before))
                gathered.add(self._sample.inputs(layer, batch, entering), wanted[-1])
        return moments, [np.concatenate(wanted) for wanted in targets]


def _refitted(kernel: np.ndarray, kept: np.ndarray, inputs: np.ndarray, moments: Moments, targets: np.ndarray):
    """Refit `kernel`, that of the full network, to the input channels `kept`; return kernel and bias."""
    numbers = of_channels(kept)
    mean = moments.mean[numbers].astype(np.float32)
    covariance = moments.covariance[np.ix_(numbers, numbers)]
    rows, bias = refit(as_rows(kernel[:, :, kept]), inputs[:, numbers] - mean, covariance, targets)
    return as_kernel(rows), bias - mean @ rows
