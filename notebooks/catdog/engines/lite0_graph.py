"""EfficientNet-Lite0 as a graph of OpenVINO's own operations, without TensorFlow."""

from collections.abc import Mapping

import numpy as np

from ..backbones.lite0 import LAYERS, MEAN, NAME, SCALE, Layer
from .int8 import Int8Params
from .openvino_ops import op, ov, quantized


def build_graph(weights: Mapping[str, np.ndarray], pixels: int, params: Int8Params | None = None) -> ov.Model:
    """Build the graph uint8 RGB (n, pixels, pixels, 3) → activations float32 (n, 1280, pixels/32, pixels/32).

    With int8 parameters, kernels are int8 and each convolution's inputs are quantized to its range; OpenVINO runs such
    a graph in int8 arithmetic.

    Args:
        weights: see `lite0_weights.load_weights`.
        pixels: side of the photos, a multiple of 32.
    """
    photos = op.parameter([-1, pixels, pixels, 3], np.uint8, name="photo")
    channels_first = op.transpose(op.convert(photos, np.float32), op.constant([0, 3, 1, 2]))
    centered = op.subtract(channels_first, op.constant(np.float32(MEAN)))
    values = op.multiply(centered, op.constant(np.float32(1 / SCALE)))
    for layer in LAYERS:
        values = quantized(values, layer.name, params)
        if layer.begins:
            block = values
        values = _convolution(values, layer, weights, params)
        if layer.clipped:
            values = op.clamp(values, 0.0, 6.0)
        if layer.ends:
            values = op.add(values, block)
    return ov.Model([values], [photos], NAME)


def _convolution(values, layer: Layer, weights: Mapping[str, np.ndarray], params: Int8Params | None):
    """Add a convolution and its bias to the graph."""
    convolve = op.group_convolution if layer.depthwise else op.convolution
    strides, no_pads, no_dilations = [layer.stride] * 2, [0, 0], [1, 1]
    kernel = _kernel(layer, weights, params)
    found = convolve(
        values, kernel, strides, no_pads, no_pads, no_dilations, auto_pad="same_upper", name=layer.name
    )  # "same_upper" pads as TensorFlow does: a stride of 2 gets its extra row or column at the end
    bias = (params.arrays if params else weights)[f"{layer.name}/bias"]
    return op.add(found, op.constant(bias.reshape(1, -1, 1, 1)))


def _kernel(layer: Layer, weights: Mapping[str, np.ndarray], params: Int8Params | None):
    if not params:
        return op.constant(_channels_first(weights[f"{layer.name}/kernel"], layer))
    steps = op.constant(_channels_first(params.steps(layer.name, weights), layer))
    scale = params.arrays[f"{layer.name}/scale"]
    return op.multiply(op.convert(steps, np.float32), op.constant(scale.reshape(-1, *[1] * (len(steps.shape) - 1))))


def _channels_first(kernel: np.ndarray, layer: Layer) -> np.ndarray:
    """Transpose a kernel to OpenVINO's layout: (out, in, side, side); depthwise (channels, 1, 1, side, side)."""
    if layer.depthwise:
        return np.ascontiguousarray(kernel.transpose(2, 3, 0, 1)[:, None])
    return np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
