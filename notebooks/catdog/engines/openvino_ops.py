"""OpenVINO itself, and what every graph of its operations needs."""

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


def quantized(values, layer: str, params: Int8Params | None):
    """Without int8 parameters `values` as they are, else in the 256 steps of what enters `layer`."""
    if not params:
        return values
    low, high = (op.constant(limit) for limit in params.arrays[f"{layer}/range"])
    return op.fake_quantize(values, low, high, low, high, levels=256)
