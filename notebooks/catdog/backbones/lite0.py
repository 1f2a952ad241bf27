"""EfficientNet-Lite0: its layers, and its Keras model (Tan & Le 2019, https://arxiv.org/abs/1905.11946).

Google's variant of EfficientNet-B0 for phones, without squeeze-and-excitation and with ReLU6: 0.4 billion
multiplications per photo at 224 × 224 pixels, compared with 15.3 for VGG16. Each layer is a convolution with SAME
padding and folded batch normalisation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

NAME = "EfficientNet-Lite0"
CHANNELS = 1280  # of the last layer
MEAN, SCALE = 127.0, 128.0  # (x - MEAN) / SCALE enters the first layer

# For each stage: side of the depthwise kernel, stride of its first block, expansion, channels, blocks.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_STEM = 32


@dataclass(frozen=True)
class Layer:
    """A convolution.

    Attributes:
        name: of its arrays and of the Keras layer.
        side: of its kernel.
        stride: in both directions.
        entering, leaving: input and output channels.
        depthwise: whether it has one kernel per channel.
        clipped: whether ReLU6 follows.
        begins: whether it is the first layer of a residual block.
        ends: whether the input of the residual block is added to its output.
    """

    name: str
    side: int
    stride: int
    entering: int
    leaving: int
    depthwise: bool = False
    clipped: bool = True
    begins: bool = False
    ends: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the kernel in Keras."""
        return (self.side, self.side, self.entering, 1 if self.depthwise else self.leaving)


def _layers() -> Iterator[Layer]:
    yield Layer("stem", 3, 2, 3, _STEM)
    entering, number = _STEM, 0
    for side, first_stride, expansion, leaving, blocks in _STAGES:
        for stride in (first_stride, *[1] * (blocks - 1)):
            block, inner = f"block{number:02}", expansion * entering
            if expansion > 1:
                yield Layer(f"{block}_expand", 1, 1, entering, inner, begins=True)
            yield Layer(f"{block}_depthwise", side, stride, inner, inner, depthwise=True)
            added = stride == 1 and entering == leaving
            yield Layer(f"{block}_project", 1, 1, inner, leaving, clipped=False, ends=added)
            entering, number = leaving, number + 1
    yield Layer("head_conv", 1, 1, entering, CHANNELS)


LAYERS = tuple(_layers())
NAMES = tuple(layer.name for layer in LAYERS)


def build(weights: Mapping[str, np.ndarray], pixels: int):
    """Build the Keras model: raw RGB 0–255 (n, pixels, pixels, 3) in, activations (n, pixels/32, pixels/32, 1280) out.

    It has plain layers only, so that Keras' .h5 files and all export formats can hold it.

    Args:
        weights: `<layer>/kernel` and `<layer>/bias`, see `lite0_weights.load_weights`.
        pixels: side of the photos, a multiple of 32.
    """
    from ..quiet_keras import keras  # serving with OpenVINO does not need it

    photos = keras.Input((pixels, pixels, 3), name="photo")
    values = keras.layers.Rescaling(1 / SCALE, -MEAN / SCALE, name="to_unit", dtype="float32")(photos)
    for layer in LAYERS:
        if layer.begins:
            block = values
        shared = {"strides": layer.stride, "padding": "same", "name": layer.name}
        if layer.depthwise:
            convolution = keras.layers.DepthwiseConv2D(layer.side, **shared)
        else:
            convolution = keras.layers.Conv2D(layer.leaving, layer.side, **shared)
        values = convolution(values)
        convolution.set_weights([weights[f"{layer.name}/{part}"] for part in ("kernel", "bias")])
        if layer.clipped:
            values = keras.layers.ReLU(max_value=6, name=f"{layer.name}_relu6")(values)
        if layer.ends:
            values = keras.layers.Add(name=f"{layer.name}_add")([values, block])
    return keras.Model(photos, values, name="efficientnet_lite0")
