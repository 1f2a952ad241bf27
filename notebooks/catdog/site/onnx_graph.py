"""VGG16 as an ONNX graph that runs in a browser: in 8 bits, whole or pruned, or with weights of 16 bits."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..backbones.architectures import RGB_MEAN, Architecture, Backbone
from ..backbones.vgg16_weights import LAYERS
from ..engines.int8 import Int8Params

_OPSET, _IR_VERSION = 13, 8
_LEVELS = 255  # steps between the lowest and the highest value of 8 bits
_SAME: dict[str, Any] = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
PHOTO, ACTIVATIONS = "photo", "activations"


def int8_graph(backbone: Backbone, params: Int8Params) -> onnx.ModelProto:
    """Build the network in 8 bits: photo, uint8 RGB (1, pixels, pixels, 3) → activations, float32 (1, channels, cells,
    cells).

    Convolutions take and give 8 bits (QLinearConv), the last one gives float32. A value is clipped at 0 where it is
    rounded to 8 bits, so no activation functions are needed in between.

    Args:
        params: of the whole network, or a `PrunedNetwork`, which has its own kernels.
    """
    graph = _Graph(backbone.architecture)
    values = graph.add("QuantizeLinear", [graph.centered_photo(), *graph.step(LAYERS[0], params)])
    for layer, following in zip(LAYERS, [*LAYERS[1:], ""]):
        if following:
            values = graph.int8_convolution(values, layer, following, backbone, params)
            values = graph.pooled_after(layer, following, values)
        else:
            graph.last_convolution(values, layer, backbone, params)
    return graph.finished()


def float16_graph(backbone: Backbone) -> onnx.ModelProto:
    """Build the network with kernels of 16 bits, computed in 32: the same inputs and outputs as `int8_graph`."""
    graph = _Graph(backbone.architecture)
    values = graph.centered_photo()
    for layer, following in zip(LAYERS, [*LAYERS[1:], ""]):
        kernel = _channels_first(layer, backbone.weights[f"{layer}/kernel"]).astype(np.float16)
        widened = graph.add("Cast", [graph.constant(kernel)], to=TensorProto.FLOAT)
        bias = graph.constant(backbone.weights[f"{layer}/bias"].astype(np.float32))
        summed = graph.add("Conv", [values, widened, bias], **_SAME)
        values = graph.add("Relu", [summed], "" if following else ACTIVATIONS)
        values = graph.pooled_after(layer, following, values)
    return graph.finished()


class _Graph:
    """Nodes and constants, in order."""

    def __init__(self, architecture: Architecture) -> None:
        self._architecture = architecture
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"{kind}-{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, values: np.ndarray) -> str:
        name = f"constant-{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def centered_photo(self) -> str:
        """Return the photo less the mean, channels first."""
        channels_first = self.add("Transpose", [self.add("Cast", [PHOTO], to=TensorProto.FLOAT)], perm=[0, 3, 1, 2])
        return self.add("Sub", [channels_first, self.constant(np.array(RGB_MEAN, np.float32).reshape(1, 3, 1, 1))])

    def pooled_after(self, layer: str, following: str, values: str) -> str:
        """Return `values`, pooled where a block ends and another one follows."""
        if not following or following.split("_")[0] == layer.split("_")[0]:
            return values
        return self.add("MaxPool", [values], kernel_shape=[2, 2], strides=[2, 2])

    def int8_convolution(self, values: str, layer: str, following: str, backbone: Backbone, params: Int8Params) -> str:
        scale, bias = _scale_and_bias(layer, params)
        inputs = [
            values, *self.step(layer, params),
            self.constant(_kernel(layer, backbone, params)), self.constant(scale),
            self.constant(np.zeros(len(scale), np.int8)),
            *self.step(following, params),
            self.constant(np.rint(bias / (_step(layer, params)[0] * scale)).astype(np.int32)),
        ]  # fmt: skip
        return self.add("QLinearConv", inputs, **_SAME)

    def last_convolution(self, values: str, layer: str, backbone: Backbone, params: Int8Params) -> None:
        """Add the layer whose sums stay exact, as they do in OpenVINO's int8 network."""
        scale, bias = _scale_and_bias(layer, params)
        size, zero = _step(layer, params)
        kernel = self.constant(_kernel(layer, backbone, params))
        sums = self.add("ConvInteger", [values, kernel, self.constant(zero)], **_SAME)
        scaled = self.add("Mul", [self.add("Cast", [sums], to=TensorProto.FLOAT), self._for_channels(size * scale)])
        self.add("Relu", [self.add("Add", [scaled, self._for_channels(bias)])], ACTIVATIONS)

    def _for_channels(self, values: np.ndarray) -> str:
        return self.constant(values.astype(np.float32).reshape(1, -1, 1, 1))

    def step(self, layer: str, params: Int8Params) -> Iterator[str]:
        return (self.constant(part) for part in _step(layer, params))

    def finished(self) -> onnx.ModelProto:
        pixels, cells = self._architecture.pixels, self._architecture.grid_size
        photo = helper.make_tensor_value_info(PHOTO, TensorProto.UINT8, [1, pixels, pixels, 3])
        activations = helper.make_tensor_value_info(
            ACTIVATIONS, TensorProto.FLOAT, [1, self._architecture.channels, cells, cells]
        )
        graph = helper.make_graph(self._nodes, self._architecture.name, [photo], [activations], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
        onnx.checker.check_model(model)
        return model


def _step(layer: str, params: Int8Params) -> tuple[np.ndarray, np.ndarray]:
    """Return (size of a step, float32; the value that stands for 0, uint8) of a layer's inputs."""
    low, high = params.arrays[f"{layer}/range"].astype(np.float64)
    size = (high - low) / _LEVELS
    return np.array(size, np.float32), np.array(np.clip(np.rint(-low / size), 0, _LEVELS), np.uint8)


def _kernel(layer: str, backbone: Backbone, params: Int8Params) -> np.ndarray:
    """Return a kernel in steps of its scale, int8 (out, in, 3, 3), for RGB."""
    return _channels_first(layer, params.steps(layer, backbone.weights))


def _scale_and_bias(layer: str, params: Int8Params) -> tuple[np.ndarray, np.ndarray]:
    """Return (size of the kernel's steps; bias), each float32 (out,)."""
    return params.arrays[f"{layer}/scale"], params.arrays[f"{layer}/bias"]


def _channels_first(layer: str, kernel: np.ndarray) -> np.ndarray:
    """Turn a kernel (3, 3, in, out) into one (out, in, 3, 3), for RGB."""
    turned = kernel.transpose(3, 2, 0, 1)
    return turned[:, ::-1] if layer == LAYERS[0] else turned  # the first one takes BGR
