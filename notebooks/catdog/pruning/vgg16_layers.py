"""VGG16's convolutions, run one after the other on photos, with a sample of their inputs and outputs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..backbones.architectures import RGB_MEAN
from ..backbones.vgg16_weights import LAYERS, Weights
from ..data.preprocessing import PREPROCESSING
from ..engines.openvino_ops import compiled, has_bfloat16, op, ov

_AT_ONCE = 4  # photos: all activations of the full network for them take some 400 MB


@dataclass(frozen=True)
class Layer:
    """A 3×3 convolution with ReLU.

    Attributes:
        name: one of `LAYERS`.
        side: of its images, pixels.
        pools: whether 2 × 2 max pooling follows.
    """

    name: str
    side: int
    pools: bool

    def of(self, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
        """Return its kernel, float32 (3, 3, in, out), and bias, float32 (out,)."""
        return weights[f"{self.name}/kernel"], weights[f"{self.name}/bias"]


def _layers() -> Iterator[Layer]:
    side = PREPROCESSING.pixels
    for name, following in zip(LAYERS, (*LAYERS[1:], LAYERS[-1])):
        pools = name.split("_")[0] != following.split("_")[0]
        yield Layer(name, side, pools)
        side //= 2 if pools else 1


CHAIN = tuple(_layers())
SIDES = tuple(layer.side for layer in CHAIN)


def widths_of(weights: Weights) -> tuple[int, ...]:
    """Return the output channels of each layer."""
    return tuple(len(layer.of(weights)[1]) for layer in CHAIN)


def centered(photos: np.ndarray) -> np.ndarray:
    """Turn uint8 RGB (n, 224, 224, 3) into VGG16's input, float32 BGR (n, 3, 224, 224) minus ImageNet's mean."""
    return np.ascontiguousarray((photos - np.array(RGB_MEAN, np.float32)).transpose(0, 3, 1, 2)[:, ::-1])


def as_kernel(rows: np.ndarray) -> np.ndarray:
    """Reshape float32 (in * 9, out), in the order of `Sample.inputs`, to (3, 3, in, out)."""
    return np.ascontiguousarray(rows.reshape(-1, 3, 3, rows.shape[1]).transpose(1, 2, 0, 3))


def as_rows(kernel: np.ndarray) -> np.ndarray:
    """Reshape (3, 3, in, out) to (in * 9, out), the inverse of `as_kernel`."""
    return kernel.transpose(2, 0, 1, 3).reshape(-1, kernel.shape[3])


def batches(number: int) -> Iterator[slice]:
    return (slice(start, min(start + _AT_ONCE, number)) for start in range(0, number, _AT_ONCE))


def whole(weights: Weights) -> Callable[[np.ndarray], Iterator[tuple[np.ndarray, np.ndarray]]]:
    """Return a function: VGG16's input → for each layer its input, float32 (n, in, side, side), and its output before
    ReLU, (n, out, side, side)."""
    values = start = op.parameter([-1, 3, SIDES[0], SIDES[0]], np.float32).output(0)
    seen = []
    for layer in CHAIN:
        before = _convolution(values, *layer.of(weights))
        seen += [values, before]
        values = _after(before, layer)
    run = _compiled(start, seen)
    return lambda photos: zip(*[iter(run(photos))] * 2)


def stage(layer: Layer, kernel: np.ndarray, bias: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function: a layer's input → the next layer's input, float32 (n, out, side, side)."""
    start = op.parameter([-1, kernel.shape[2], layer.side, layer.side], np.float32).output(0)
    run = _compiled(start, [_after(_convolution(start, kernel, bias), layer)])
    return lambda values: run(values.astype(np.float32, copy=False))[0].copy()


def _convolution(values, kernel: np.ndarray, bias: np.ndarray):
    channels_first = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
    found = op.convolution(values, op.constant(channels_first), [1, 1], [1, 1], [1, 1], [1, 1])
    return op.add(found, op.constant(bias.reshape(1, -1, 1, 1))).output(0)


def _after(before, layer: Layer):
    values = op.relu(before).output(0)
    return op.max_pool(values, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0) if layer.pools else values


def _compiled(start, outputs: list) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Compile a function, in bfloat16 if the processor has it: its effect on the fit is smaller than that of another
    sample of photos. The function overwrites its previous results."""
    request = compiled(ov.Model(outputs, [start.get_node()], "chain"), "bf16" if has_bfloat16() else "f32")

    def run(values: np.ndarray) -> list[np.ndarray]:
        found = request.infer({0: values}, share_inputs=True, share_outputs=True)
        return [found[place] for place in range(len(outputs))]

    return run


class Sample:
    """A fixed random sample of places in photos: about `patches` in all for small images, and half as many for large
    ones, which have fewer channels to fit."""

    def __init__(self, photos: int, seed: int, patches: int):
        chance = np.random.default_rng(seed)
        self._places = {}
        for side in dict.fromkeys(SIDES):
            wanted = patches // (2 if side > 2 * SIDES[-1] else 1)
            each = min(side**2, -(-wanted // photos))
            self._places[side] = np.stack([chance.permutation(side**2)[:each] for _ in range(photos)])

    def outputs(self, layer: Layer, batch: slice, values: np.ndarray) -> np.ndarray:
        """Sample outputs (n, channels, side, side) of the photos in `batch`; return (places, channels)."""
        places = self._places[layer.side][batch]
        rows, columns = np.divmod(places, layer.side)
        return values[np.arange(len(places))[:, None], :, rows, columns].reshape(-1, values.shape[1])

    def inputs(self, layer: Layer, batch: slice, values: np.ndarray) -> np.ndarray:
        """Sample inputs (n, channels, side, side) of the photos in `batch`; return (places, channels * 9), the
        kernel's input at each place, with nine neighbours per channel."""
        places = self._places[layer.side][batch]
        rows, columns = np.divmod(places, layer.side)
        framed = np.pad(values, ((0, 0), (0, 0), (1, 1), (1, 1)))
        numbers = np.arange(len(places))[:, None]
        seen = [framed[numbers, :, rows + down, columns + right] for down in range(3) for right in range(3)]
        return np.stack(seen, axis=-1).reshape(-1, values.shape[1] * 9)
