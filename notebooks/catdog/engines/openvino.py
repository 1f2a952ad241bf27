"""OpenVINO on the CPU, in float32, bfloat16 or int8: VGG16 and EfficientNet-Lite0 as graphs of its own operations, for
which no TensorFlow is needed; other backbones converted from TensorFlow's graph."""

import itertools
import threading

import numpy as np

from .. import colab, lite0
from ..backbone import RGB_MEAN, VGG16, Architecture, Backbone
from ..processors import processors
from ..weights import LAYERS
from . import COMPACT, OPENVINO_BF16, OPENVINO_FP32, OPENVINO_INT8, EngineUnavailable, in_batches, threads
from .twin import QUANTISABLE, Twin

colab.install_packages("openvino")
try:
    import openvino as ov
    from openvino import opset13 as op
except ImportError as error:
    raise EngineUnavailable("engine-not-installed", "OpenVINO is not installed (pip install openvino).") from error

_RECIPE = {OPENVINO_FP32: "fp32 openvino", OPENVINO_BF16: "bf16 openvino"}
_QUANTISED = {
    OPENVINO_INT8: "the model has no int8 twin, or a damaged one; notebook 1 makes one on a machine without a GPU.",
    COMPACT: "the model has no compact twin, or a damaged one; notebook 1 makes one with COMPACT.",
}


class OpenVINOEngine:
    """See `engines.Engine`.

    Raises EngineUnavailable when this processor has no bfloat16 for `openvino-bf16`, or `openvino-int8` or `compact`
    get no twin of the backbone, or a backbone that they cannot run.
    """

    def __init__(self, name: str, backbone: Backbone, twin: Twin | None = None):
        if name == OPENVINO_BF16 and not has_bfloat16():
            raise EngineUnavailable("engine-processor", "this processor does not compute in bfloat16.")
        runs = {OPENVINO_INT8: tuple(QUANTISABLE), COMPACT: (VGG16.name,)}.get(name)
        if runs and backbone.architecture.name not in runs:
            raise EngineUnavailable("engine-vgg16-only", f"it runs {' and '.join(runs)} only.")
        if runs and (twin is None or twin.layers != QUANTISABLE[backbone.architecture.name]):
            raise EngineUnavailable("engine-no-twin", _QUANTISED[name])
        self.name = name
        self.fingerprint, self.architecture = backbone.fingerprint, backbone.architecture
        self.recipe = f"int8 {twin.digest[:16]}" if name in _QUANTISED else _RECIPE[name]
        if self.architecture.name in QUANTISABLE:
            graph = with_features(build_graph(backbone, twin if name in _QUANTISED else None), self.architecture)
        else:
            graph = _converted(backbone)
        self._one_at_a_time = threading.Lock()  # a request of OpenVINO's is none of several threads
        self._request = compiled(graph, "bf16" if name == OPENVINO_BF16 else "f32")

    def features(self, photos: np.ndarray) -> np.ndarray:
        return in_batches(lambda batch: self._run(batch, 0), photos, self.architecture.size)

    def activations(self, photos: np.ndarray) -> np.ndarray:
        cells, channels = self.architecture.cells, self.architecture.channels
        if self.architecture.name not in QUANTISABLE:
            return in_batches(lambda batch: self._run(batch, 1), photos, cells, cells, channels)
        channels_first = in_batches(lambda batch: self._run(batch, 1), photos, channels, cells, cells)
        return channels_first.transpose(0, 2, 3, 1)

    def _run(self, photos: np.ndarray, output: int) -> np.ndarray:
        """The graph always gives both; only the one that is asked for is copied. Next to a graph that gives the
        features alone: the same bits, 0 to 0.4 % slower."""
        photos = np.ascontiguousarray(photos)
        with self._one_at_a_time:
            return self._request.infer({0: photos}, share_inputs=True, share_outputs=True)[output].copy()


def has_bfloat16() -> bool:
    """Whether this processor computes in bfloat16."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def compiled(graph: ov.Model, precision: str) -> ov.InferRequest:
    """`graph` ready to run on the CPU, in "f32" or "bf16", for the shortest wait for each batch."""
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision, **_threads()}
    return ov.Core().compile_model(graph, "CPU", settings).create_infer_request()


def _threads() -> dict[str, int | bool]:
    """No more than whoever deals out the processors allows, and on whichever are free. By itself OpenVINO takes all, or
    ties its threads to the first ones, where two workers would meet: together 4.7 photos a second, and 9.3 untied."""
    shared = threads() < processors()
    return {"INFERENCE_NUM_THREADS": threads(), "ENABLE_CPU_PINNING": False} if shared else {}


def let_tensorflow_be_converted() -> None:
    """Work around OpenVINO 2026.4, which runs `exec("del tensorflow")` when it asks for TensorFlow's version: since
    Python 3.13 `exec` cannot delete a function's names (PEP 667), so every conversion ends in a NameError."""
    import tensorflow as tf
    from openvino.frontend.tensorflow import utils

    utils.get_environment_setup = lambda framework: {"tensorflow": tf.__version__}


def _converted(backbone: Backbone) -> ov.Model:
    """uint8 RGB (n, pixels, pixels, 3) → features (n, size) and activations (n, cells, cells, channels), float32."""
    from .tensorflow import TensorFlowEngine

    key = backbone.fingerprint, backbone.architecture
    if key not in _last_converted:
        let_tensorflow_be_converted()
        graph = ov.convert_model(TensorFlowEngine(backbone).compiled)
        features_and_activations = graph.outputs[:2]  # behind them stand those of gradients
        _last_converted.clear()
        _last_converted[key] = ov.Model(features_and_activations, graph.get_parameters(), backbone.architecture.name)
    return _last_converted[key]


_last_converted: dict[tuple[str, Architecture], ov.Model] = {}  # it takes 3 to 13 seconds, and each precision is tried


def build_graph(backbone: Backbone, twin: Twin | None = None) -> ov.Model:
    """A backbone of `twin.QUANTISABLE`: uint8 RGB (n, pixels, pixels, 3) → activations float32 (n, channels, cells,
    cells).

    With a twin, kernels are int8 and what enters each convolution is quantised to its range; OpenVINO turns such a
    graph into int8 arithmetic.
    """
    if backbone.architecture.name == lite0.NAME:
        from . import lite0_graph

        return lite0_graph.build_graph(backbone.weights, backbone.architecture.pixels, twin)
    return _vgg16(backbone, twin)


def _vgg16(backbone: Backbone, twin: Twin | None) -> ov.Model:
    pixels = backbone.architecture.pixels
    photos = op.parameter([-1, pixels, pixels, 3], np.uint8, name="photo")
    channels_first = op.transpose(op.convert(photos, np.float32), op.constant([0, 3, 1, 2]))
    values = op.subtract(channels_first, op.constant(np.array(RGB_MEAN, np.float32).reshape(1, 3, 1, 1)))
    for layer, following in itertools.zip_longest(LAYERS, LAYERS[1:]):
        if layer == LAYERS[0]:
            values = quantised(values, layer, twin)
        bias = (twin.arrays if twin else backbone.weights)[f"{layer}/bias"]
        values = op.convolution(values, _kernel(backbone, layer, twin), [1, 1], [1, 1], [1, 1], [1, 1], name=layer)
        values = op.relu(op.add(values, op.constant(bias.reshape(1, -1, 1, 1))))
        if following:
            values = quantised(values, following, twin)  # before pooling, which is then done in int8, too
        if following and following.split("_")[0] != layer.split("_")[0]:
            values = op.max_pool(values, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
    return ov.Model([values], [photos], backbone.architecture.name)


def with_features(graph: ov.Model, architecture: Architecture) -> ov.Model:
    """A graph that gives activations, (n, channels, cells, cells) → one that gives features (n, size) before them."""
    activations = graph.output(0).get_node().input_value(0)
    pools = {"max": op.reduce_max, "mean": op.reduce_mean}
    parts = [pools[part](activations, op.constant([2, 3]), False) for part in architecture.pooling]
    if architecture.unit_length:
        parts = [op.normalize_l2(part, op.constant([1]), 1e-12, "max") for part in parts]
    features = op.concat(parts, 1) if len(parts) > 1 else parts[0]
    return ov.Model([features.output(0), activations], graph.get_parameters(), graph.get_friendly_name())


def quantised(values, layer: str, twin: Twin | None):
    """Without a twin `values` as they are, else in the 256 steps of what enters `layer`."""
    if not twin:
        return values
    low, high = (op.constant(limit) for limit in twin.arrays[f"{layer}/range"])
    return op.fake_quantize(values, low, high, low, high, levels=256)


def _kernel(backbone: Backbone, layer: str, twin: Twin | None):
    if not twin:
        return op.constant(_channels_first(backbone.weights[f"{layer}/kernel"], layer))
    steps = op.constant(_channels_first(twin.steps(layer, backbone.weights), layer))
    scale = op.constant(twin.arrays[f"{layer}/scale"].reshape(-1, 1, 1, 1))
    return op.multiply(op.convert(steps, np.float32), scale)


def _channels_first(kernel: np.ndarray, layer: str) -> np.ndarray:
    """A kernel as OpenVINO keeps it, (out, in, 3, 3); the first takes RGB where Keras' takes BGR."""
    kernel = kernel.transpose(3, 2, 0, 1)
    return np.ascontiguousarray(kernel[:, ::-1] if layer == LAYERS[0] else kernel)
