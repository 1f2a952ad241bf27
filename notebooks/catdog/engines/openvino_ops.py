"""OpenVINO, and helpers for graphs of its operations."""

from .. import packages
from ..machine import processors
from .base import EngineUnavailable, threads
from .int8 import Int8Params

packages.install_packages("openvino")
try:
    import openvino as ov
    from openvino import opset13 as op
except ImportError as error:
    raise EngineUnavailable("engine-not-installed", "OpenVINO is not installed (pip install openvino).") from error


def has_bfloat16() -> bool:
    """Tell whether this processor supports bfloat16."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def compiled(graph: ov.Model, precision: str) -> ov.InferRequest:
    """Compile `graph` for the CPU, in "f32" or "bf16", for the lowest latency per batch."""
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision, **_threads()}
    return ov.Core().compile_model(graph, "CPU", settings).create_infer_request()


def _threads() -> dict[str, int | bool]:
    """Limit the threads to `threads()` and leave them unpinned if the machine is shared. By default, OpenVINO uses all
    processors or pins its threads to the first ones, where two workers collide: together they then process 4.7 photos
    per second, and 9.3 unpinned."""
    shared = threads() < processors()
    return {"INFERENCE_NUM_THREADS": threads(), "ENABLE_CPU_PINNING": False} if shared else {}


def quantized(values, layer: str, params: Int8Params | None):
    """Quantize `values` to the 256 steps of the inputs of `layer`; without int8 parameters, return them unchanged."""
    if not params:
        return values
    low, high = (op.constant(limit) for limit in params.arrays[f"{layer}/range"])
    return op.fake_quantize(values, low, high, low, high, levels=256)
