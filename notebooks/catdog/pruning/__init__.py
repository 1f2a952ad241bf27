"""VGG16 made narrow: fewer channels, and what is left fitted anew, from photos alone.

For each layer in turn, the channels that the next one can best do without go (elimination.py), as many as a budget
says (budget.py) that is spent where little is lost in the end (sensitivity.py), and the next one's kernel is fitted so
that it gives what the whole network's gives (refitting.py). No channel is chosen by its weights alone (data-free
pruning: Srinivas & Babu 2015, https://arxiv.org/abs/1507.06149), since which are missed depends on the photos.

Distilling the features of the whole network into it afterwards (Hinton et al. 2015, https://arxiv.org/abs/1503.02531)
was tried with a third of the arithmetic and does not pay: Adam on blocks 4 and 5, 968 photos, three epochs in five
minutes made the loss on new photos 18.4 instead of 20.3 % of the features' variance, on those trained on 8.8 %, and
96.7 instead of 96.6 % of 300 photos right. Better refitting brought 16.1 % and takes no longer than before.
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

_JUDGED = 16  # photos by which a layer's weight is measured


def gmacs(weights: Weights) -> float:
    """Arithmetic for one photo, see `budget.arithmetic`."""
    return arithmetic(widths_of(weights), SIDES)


class Pruner:
    """Looks at the whole network once, and makes as many narrow ones as are asked for.

    Args:
        weights: VGG16's, or others of its shape (see `vgg16_weights.load_weights`).
        photos: uint8 RGB (n, 224, 224, 3) from `images.read_photo`, some hundred; no labels.
        seed: chooses the places where is looked.
        patches: how many places.
    """

    def __init__(self, weights: Weights, photos: np.ndarray, seed: int = 0, patches: int = 32_000):
        self._weights, self._photos = weights, photos
        self._sample = Sample(len(photos), seed, patches)
        moments, self._targets = self._look()
        eliminations = [one.eliminated(STEP // 2) for one in bar(moments, what="Which channels matter", unit="layers")]
        weighty = importance(self._weights, centered(photos[:_JUDGED]), moments, eliminations)
        self._losses = [
            {width: weight * one.error(width) for width in range(STEP, one.channels + 1, STEP)}
            for weight, one in zip(weighty, eliminations)
        ]

    def narrowed(self, share: float) -> Weights:
        """VGG16's arrays with fewer channels, for at most `share` of the arithmetic; features as the whole one's."""
        widths = widths_within(share * gmacs(self._weights), self._losses, SIDES, widths_of(self._weights)[-1])
        entering = [centered(self._photos[batch]) for batch in self._batches()]
        kernel, bias = CHAIN[0].of(self._weights)
        narrow: Weights = {}
        steps = list(zip(CHAIN, CHAIN[1:], widths, self._targets))
        for layer, following, width, targets in bar(steps, what=f"Narrowing to {share:.0%}", unit="layers"):
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
        """What every layer but the first sees and gives in the whole network."""
        moments = [Moments() for _ in CHAIN[1:]]
        targets: list[list[np.ndarray]] = [[] for _ in CHAIN[1:]]
        run = whole(self._weights)
        for batch in bar(list(self._batches()), what="Looking at the network", unit="batches"):
            passing = list(run(centered(self._photos[batch])))[1:]
            for layer, (entering, before), gathered, wanted in zip(CHAIN[1:], passing, moments, targets):
                wanted.append(self._sample.outputs(layer, batch, before))
                gathered.add(self._sample.inputs(layer, batch, entering), wanted[-1])
        return moments, [np.concatenate(wanted) for wanted in targets]


def _refitted(kernel: np.ndarray, kept: np.ndarray, inputs: np.ndarray, moments: Moments, targets: np.ndarray):
    """Kernel and bias of a layer that sees the channels `kept` alone; `kernel` is that of the whole network."""
    numbers = of_channels(kept)
    mean = moments.mean[numbers].astype(np.float32)
    covariance = moments.covariance[np.ix_(numbers, numbers)]
    rows, bias = refit(as_rows(kernel[:, :, kept]), inputs[:, numbers] - mean, covariance, targets)
    return as_kernel(rows), bias - mean @ rows
