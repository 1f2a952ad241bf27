"""What all engines share: names, protocol, and the resources of this machine."""

import functools
import os
from typing import Protocol

import numpy as np

from .. import machine
from ..backbones.architectures import Architecture
from ..errors import UserError
from ..machine import processors

BATCH = 16  # photos at a time; more are no faster on a CPU and need more memory

TENSORFLOW, TENSORFLOW_MIXED = "tensorflow", "tensorflow-mixed"
OPENVINO_FP32, OPENVINO_BF16, OPENVINO_INT8 = "openvino-fp32", "openvino-bf16", "openvino-int8"
OPENVINO_PRUNED = "openvino-pruned"
BEFORE = {"compact": OPENVINO_PRUNED}  # names of earlier releases
NAMES = (TENSORFLOW, TENSORFLOW_MIXED, OPENVINO_FP32, OPENVINO_BF16, OPENVINO_INT8, OPENVINO_PRUNED)


class Engine(Protocol):
    """One way to run the backbone. Safe to call from several threads.

    Attributes:
        name: one of `NAMES`.
        engine_id: identifies the arithmetic, and with it the features that this engine computes.
        fingerprint: of the backbone's weights.
        architecture: of the backbone.
    """

    name: str
    engine_id: str
    fingerprint: str
    architecture: Architecture

    def features(self, photos: np.ndarray) -> np.ndarray:
        """Compute the features of photos: uint8 RGB (n, pixels, pixels, 3), from `images.read_photo`, → float32 (n,
        size)."""
        ...

    def activations(self, photos: np.ndarray) -> np.ndarray:
        """Compute the activations that are pooled into features: float32 (n, grid_size, grid_size, channels)."""
        ...


def require_known(name: str, *others: str) -> None:
    """Raise UserError unless `name` is an engine or one of the `others`."""
    if name not in (*NAMES, *others):
        raise UserError(
            "engine-unknown", f'There is no engine "{name}": set ENGINE to auto or to one of {", ".join(NAMES)}.'
        )


class EngineUnavailable(UserError):
    """An engine that this machine or this model cannot run; the message says why."""


def is_exact(engine: Engine) -> bool:
    """Tell whether the engine computes in float32 throughout."""
    return engine.engine_id.startswith("fp32")


@functools.cache
def has_gpu() -> bool:
    """Tell whether TensorFlow can use a GPU. Loads TensorFlow, which is slow, only if NVIDIA's driver is there."""
    if not machine.has_nvidia_driver():
        return False
    from ..quiet_keras import tf

    return bool(tf.config.list_physical_devices("GPU"))


def threads() -> int:
    """Return how many threads an engine on the CPU may use: `OMP_NUM_THREADS`, by which Ray shares a machine among its
    workers, or one for each of the `processors`."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return min(processors(), int(allowed)) if allowed.isdecimal() and int(allowed) else processors()


def candidates() -> tuple[str, ...]:
    """Return the engines worth measuring here: TensorFlow's on a GPU, OpenVINO's on a CPU."""
    return (TENSORFLOW_MIXED, TENSORFLOW) if has_gpu() else (OPENVINO_INT8, OPENVINO_BF16, OPENVINO_FP32)


def in_batches(run, photos: np.ndarray, *shape: int) -> np.ndarray:
    """Call `run` on at most `BATCH` photos at a time: (n, pixels, pixels, 3) → float32 (n, *shape)."""
    batches = [run(photos[start : start + BATCH]) for start in range(0, len(photos), BATCH)]
    return np.concatenate(batches) if batches else np.empty((0, *shape), np.float32)
