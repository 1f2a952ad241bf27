"""VGG16 and EfficientNet-Lite0 as graphs of OpenVINO's own operations, without TensorFlow."""

import itertools

import numpy as np

from ..backbones import lite0
from ..backbones.architectures import RGB_MEAN, Architecture, Backbone
from ..backbones.vgg16_weights import LAYERS
from . import lite0_graph
from .int8 import Int8Params
from .openvino_ops import op, ov, quantized


def build_graph(backbone: Backbone, params: Int8Params | None = None) -> ov.Model:
    """Build the graph of a backbone in `int8.QUANTIZABLE`: uint8 RGB (n, pixels, pixels, 3) → activations float32 (n,
    channels, cells, cells).

    With int8 parameters, kernels are int8 and each convolution's inputs are quantized to its range; OpenVINO runs such
    a graph in int8 arithmetic.
    """
    if backbone.architecture.name == lite0.NAME:
        return lite0_graph.build_graph(backbone.weights, backbone.architecture.pixels, params)
    return _vgg16(backbone, params)


def _vgg16(backbone: Backbone, params: Int8Params | None) -> ov.Model:
    pixels = backbone.architecture.pixels
    photos = op.parameter([-1, pixels, pixels, 3], np.uint8, name="photo")
    channels_first = op.transpose(op.convert(photos, np.float32), op.constant([0, 3, 1, 2]))
    values = op.subtract(channels_first, op.constant(np.array(RGB_MEAN, np.float32).reshape(1, 3, 1, 1)))
    for layer, following in itertools.zip_longest(LAYERS, LAYERS[1:]):
        if layer == LAYERS[0]:
            values = quantized(values, layer, params)
        bias = (params.arrays if params else backbone.weights)[f"{layer}/bias"]
        values = op.convolution(values, _kernel(backbone, layer, params), [1, 1], [1, 1], [1, 1], [1, 1], name=layer)
        values = op.relu(op.add(values, op.constant(bias.reshape(1, -1, 1, 1))))
        if following:
            values = quantized(values, following, params)  # before pooling, so that pooling runs in int8, too
        if following and following.split("_")[0] != layer.split("_")[0]:
            values = op.max_pool(values, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
    return ov.Model([values], [photos], backbone.architecture.name)


def with_features(graph: ov.Model, architecture: Architecture) -> ov.Model:
    """Pool the output of `graph`, activations (n, channels, cells, cells): return a graph with two outputs, features
    (n, size) and these activations."""
    activations = graph.output(0).get_node().input_value(0)
    pools = {"max": op.reduce_max, "mean": op.reduce_mean}
    parts = [pools[part](activations, op.constant([2, 3]), False) for part in architecture.pooling]
    if architecture.unit_length:
        parts = [op.normalize_l2(part, op.constant([1]), 1e-12, "max") for part in parts]
    features = op.concat(parts, 1) if len(parts) > 1 else parts[0]
    return ov.Model([features.output(0), activations], graph.get_parameters(), graph.get_friendly_name())


def _kernel(backbone: Backbone, layer: str, params: Int8Params | None):
    if not params:
        return op.constant(_channels_first(backbone.weights[f"{layer}/kernel"], layer))
    steps = op.constant(_channels_first(params.steps(layer, backbone.weights), layer))
    scale = op.constant(params.arrays[f"{layer}/scale"].reshape(-1, 1, 1, 1))
    return op.multiply(op.convert(steps, np.float32), scale)


def _channels_first(kernel: np.ndarray, layer: str) -> np.ndarray:
    """Transpose a kernel to OpenVINO's layout, (out, in, 3, 3). The first layer's takes RGB; in Keras it takes BGR."""
    kernel = kernel.transpose(3, 2, 0, 1)
    return np.ascontiguousarray(kernel[:, ::-1] if layer == LAYERS[0] else kernel)
