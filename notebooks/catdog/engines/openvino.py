"""OpenVINO on the CPU, in float32, bfloat16 or int8. VGG16 and EfficientNet-Lite0 are graphs of its own operations,
without TensorFlow; other backbones are converted from TensorFlow's graph."""

import threading

import numpy as np

from ..backbones.architectures import VGG16, Architecture, Backbone
from .base import OPENVINO_BF16, OPENVINO_FP32, OPENVINO_INT8, OPENVINO_PRUNED, EngineUnavailable, in_batches
from .int8 import QUANTIZABLE, Int8Params
from .openvino_graph import build_graph, with_features
from .openvino_ops import compiled, has_bfloat16, ov

_ENGINE_ID = {OPENVINO_FP32: "fp32 openvino", OPENVINO_BF16: "bf16 openvino"}
_QUANTIZED = {
    OPENVINO_INT8: "the model's int8 parameters are missing or damaged. Notebook 1 makes them if there is no GPU.",
    OPENVINO_PRUNED: "the pruned model is missing or damaged. Notebook 1 makes one if PRUNE is set.",
}


class OpenVINOEngine:
    """An engine on OpenVINO, see `base.Engine`.

    Raises EngineUnavailable if this processor lacks bfloat16 for `openvino-bf16`, or if `openvino-int8` or
    `openvino-pruned` cannot run the backbone or get no parameters for it.
    """

    def __init__(self, name: str, backbone: Backbone, params: Int8Params | None = None):
        if name == OPENVINO_BF16 and not has_bfloat16():
            raise EngineUnavailable("engine-processor", "this processor does not support bfloat16.")
        runs = {OPENVINO_INT8: tuple(QUANTIZABLE), OPENVINO_PRUNED: (VGG16.name,)}.get(name)
        if runs and backbone.architecture.name not in runs:
            raise EngineUnavailable("engine-vgg16-only", f"it runs {' and '.join(runs)} only.")
        if runs and (params is None or params.layers != QUANTIZABLE[backbone.architecture.name]):
            raise EngineUnavailable("engine-no-params", _QUANTIZED[name])
        self.name = name
        self.fingerprint, self.architecture = backbone.fingerprint, backbone.architecture
        params = params if runs else None
        self.engine_id = f"int8 {params.digest[:16]}" if params else _ENGINE_ID[name]
        if self.architecture.name in QUANTIZABLE:
            graph = with_features(build_graph(backbone, params), self.architecture)
        else:
            graph = _converted(backbone)
        self._one_at_a_time = threading.Lock()  # threads cannot share a request of OpenVINO's
        self._request = compiled(graph, "bf16" if name == OPENVINO_BF16 else "f32")

    def features(self, photos: np.ndarray) -> np.ndarray:
        return in_batches(lambda batch: self._run(batch, 0), photos, self.architecture.size)

    def activations(self, photos: np.ndarray) -> np.ndarray:
        grid_size, channels = self.architecture.grid_size, self.architecture.channels
        if self.architecture.name not in QUANTIZABLE:
            return in_batches(lambda batch: self._run(batch, 1), photos, grid_size, grid_size, channels)
        channels_first = in_batches(lambda batch: self._run(batch, 1), photos, channels, grid_size, grid_size)
        return channels_first.transpose(0, 2, 3, 1)

    def _run(self, photos: np.ndarray, output: int) -> np.ndarray:
        """Run the graph, which always computes both outputs, and copy one. Compared with a graph for the features
        alone, the result is bit-identical and takes 0 to 0.4 % longer."""
        photos = np.ascontiguousarray(photos)
        with self._one_at_a_time:
            return self._request.infer({0: photos}, share_inputs=True, share_outputs=True)[output].copy()


def let_tensorflow_be_converted() -> None:
    """Work around OpenVINO 2026.4, which runs `exec("del tensorflow")` after reading TensorFlow's version. Since
    Python 3.13, `exec` cannot delete a function's local names (PEP 667), so every conversion ends in a NameError."""
    import tensorflow as tf
    from openvino.frontend.tensorflow import utils

    utils.get_environment_setup = lambda framework: {"tensorflow": tf.__version__}


def _converted(backbone: Backbone) -> ov.Model:
    """Convert TensorFlow's graph: uint8 RGB (n, pixels, pixels, 3) → features (n, size), activations (n, grid_size,
    grid_size, channels)."""
    from .tensorflow import TensorFlowEngine

    key = backbone.fingerprint, backbone.architecture
    if key not in _last_converted:
        let_tensorflow_be_converted()
        graph = ov.convert_model(TensorFlowEngine(backbone).compiled)
        features_and_activations = graph.outputs[:2]  # the outputs after them are for gradients
        _last_converted.clear()
        _last_converted[key] = ov.Model(features_and_activations, graph.get_parameters(), backbone.architecture.name)
    return _last_converted[key]


_last_converted: dict[tuple[str, Architecture], ov.Model] = {}  # converting takes 3 to 13 s; two precisions share it
