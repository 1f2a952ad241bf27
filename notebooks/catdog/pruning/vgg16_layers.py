"""VGG16's convolutions one after the other, on photos, with looks at a sample of places."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..backbones.architectures import RGB_MEAN
from ..backbones.vgg16_weights import LAYERS, Weights
from ..data.preprocessing import PREPROCESSING
from ..engines.openvino_ops import compiled, has_bfloat16, op, ov

_AT_ONCE = 4  # photos: all that the whole network computes of them is some 400 MB


@dataclass(frozen=True)
class Layer:
    """A convolution 3×3 with ReLU.

    Attributes:
        name: one of `LAYERS`.
        side: of its pictures, pixels.
        pools: whether its output is halved by maxima of 2 × 2 before the next layer.
    """

    name: str
    side: int
    pools: bool

    def of(self, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
        """Its kernel, float32 (3, 3, in, out), and bias, float32 (out,)."""
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
    """Channels that each layer gives."""
    return tuple(len(layer.of(weights)[1]) for layer in CHAIN)


def centered(photos: np.ndarray) -> np.ndarray:
    """uint8 RGB (n, 224, 224, 3) → what enters VGG16, float32 BGR (n, 3, 224, 224) without ImageNet's mean."""
    return np.ascontiguousarray((photos - np.array(RGB_MEAN, np.float32)).transpose(0, 3, 1, 2)[:, ::-1])


def as_kernel(rows: np.ndarray) -> np.ndarray:
    """float32 (in * 9, out), in the order of `Sample.inputs` → (3, 3, in, out)."""
    return np.ascontiguousarray(rows.reshape(-1, 3, 3, rows.shape[1]).transpose(1, 2, 0, 3))


def as_rows(kernel: np.ndarray) -> np.ndarray:
    """The other way round."""
    return kernel.transpose(2, 0, 1, 3).reshape(-1, kernel.shape[3])


def batches(number: int) -> Iterator[slice]:
    return (slice(start, min(start + _AT_ONCE, number)) for start in range(0, number, _AT_ONCE))


def whole(weights: Weights) -> Callable[[np.ndarray], Iterator[tuple[np.ndarray, np.ndarray]]]:
    """A function: what enters VGG16 → for each layer what enters it, float32 (n, in, side, side), and what stands
    before its ReLU, (n, out, side, side)."""
    values = start = op.parameter([-1, 3, SIDES[0], SIDES[0]], np.float32).output(0)
    seen = []
    for layer in CHAIN:
        before = _convolution(values, *layer.of(weights))
        seen += [values, before]
        values = _after(before, layer)
    run = _compiled(start, seen)
    return lambda photos: zip(*[iter(run(photos))] * 2)


def stage(layer: Layer, kernel: np.ndarray, bias: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function: what enters a layer → what enters the next, float32 (n, out, side, side)."""
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
    """In bfloat16 where the processor has it: it moves what is fitted by less than another draw of photos does. What
    is returned is written over by the next call."""
    request = compiled(ov.Model(outputs, [start.get_node()], "chain"), "bf16" if has_bfloat16() else "f32")

    def run(values: np.ndarray) -> list[np.ndarray]:
        found = request.infer({0: values}, share_inputs=True, share_outputs=True)
        return [found[place] for place in range(len(outputs))]

    return run


class Sample:
    """Places in photos where is looked, the same each time: some `patches` in all of a small picture, and half as many
    of a wide one, which has fewer channels to fit."""

    def __init__(self, photos: int, seed: int, patches: int):
        chance = np.random.default_rng(seed)
        self._places = {}
        for side in dict.fromkeys(SIDES):
            wanted = patches // (2 if side > 2 * SIDES[-1] else 1)
            each = min(side**2, -(-wanted // photos))
            self._places[side] = np.stack([chance.permutation(side**2)[:each] for _ in range(photos)])

    def outputs(self, layer: Layer, batch: slice, values: np.ndarray) -> np.ndarray:
        """(n, channels, side, side) of the photos in `batch` → (places, channels)."""
        places = self._places[layer.side][batch]
        rows, columns = np.divmod(places, layer.side)
        return values[np.arange(len(places))[:, None], :, rows, columns].reshape(-1, values.shape[1])

    def inputs(self, layer: Layer, batch: slice, values: np.ndarray) -> np.ndarray:
        """(n, channels, side, side) of the photos in `batch` → (places, channels * 9): what a kernel at each place
        sees, nine neighbours a channel."""
        places = self._places[layer.side][batch]
        rows, columns = np.divmod(places, layer.side)
        framed = np.pad(values, ((0, 0), (0, 0), (1, 1), (1, 1)))
        numbers = np.arange(len(places))[:, None]
        seen = [framed[numbers, :, rows + down, columns + right] for down in range(3) for right in range(3)]
        return np.stack(seen, axis=-1).reshape(-1, values.shape[1] * 9)
