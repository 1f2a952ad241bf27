"""What a site needs of a saved model: the network, its last layer and thresholds, golden photos, the card."""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backbones.architectures import Backbone
from ..data import synthetic
from ..data.images import read_photo
from ..engines.base import OPENVINO_INT8, OPENVINO_PRUNED
from ..engines.parity import compare
from ..errors import UserError
from ..models.bundle import Bundle
from ..models.card import public_part
from ..models.pruned import PrunedModel
from .onnx_graph import ACTIVATIONS, PHOTO, float16_graph, int8_graph

PRUNED, INT8, FLOAT16 = "pruned, int8", "int8", "float16"


@dataclass(frozen=True)
class SiteNetwork:
    """The network that a site takes along.

    Attributes:
        precision: `PRUNED`, `INT8` or `FLOAT16`.
        graph: the ONNX file's bytes.
        model: whose last layer and thresholds belong to it.
        failure: why its answers to the golden photos are not the saved ones; empty if they are.
    """

    precision: str
    graph: bytes
    model: Bundle | PrunedModel
    failure: str


def choose_network(bundle: Bundle, public: Backbone | None = None, say: Callable[[str], object] = print) -> SiteNetwork:
    """Return the smallest network that answers as the saved model does: the pruned one, the whole one in 8 bits, or
    the whole one with weights of 16 bits.

    8 bits need a parity check that the model has passed when it was saved. Each graph must then give the golden photos
    their saved probabilities, within the limits of `engines.parity`.

    Args:
        public: the backbone without the model's fine-tuned arrays; if None, it is loaded.
        say: gets a line for each network that was tried and skipped, with the reason.

    Raises UserError if the model's backbone is not VGG16, or no network passes.
    """
    if not bundle.architecture.is_vgg16:
        raise UserError(
            "site-needs-vgg16",
            f"A site takes VGG16 along, and {bundle.id} runs {bundle.architecture.name}: "
            "train with BACKBONE set to VGG16, and export that model.",
        )
    backbone = bundle.backbone(public)
    for precision, model, make in _candidates(bundle, backbone):
        found = _checked(bundle, precision, model, make().SerializeToString())
        if not found.failure:
            return found
        say(f"The network as {precision} was skipped: {found.failure}")
    raise UserError(
        "site-answers-differ", f"No network for a browser answers as {bundle.id} does: train and save the model again."
    )


def _candidates(bundle: Bundle, backbone: Backbone) -> Iterator[tuple[str, Bundle | PrunedModel, Callable]]:
    """Yield (precision, model, graph) of what the model's parity checks allow, the smallest first."""
    checks = bundle.parity_checks
    allowed = {name for name, check in checks.items() if not check.failure}
    if (pruned := bundle.pruned) and OPENVINO_PRUNED in allowed:
        yield PRUNED, pruned, lambda: int8_graph(backbone, pruned.network)
    if (int8 := bundle.int8) and OPENVINO_INT8 in allowed:
        yield INT8, bundle, lambda: int8_graph(backbone, int8)
    yield FLOAT16, bundle, lambda: float16_graph(backbone)


def _checked(bundle: Bundle, precision: str, model: Bundle | PrunedModel, graph: bytes) -> SiteNetwork:
    golden = _probabilities(bundle, model, graph, bundle.golden_photos)
    return SiteNetwork(precision, graph, model, compare(golden, model.golden_probabilities).failure)


def _probabilities(bundle: Bundle, model: Bundle | PrunedModel, graph: bytes, photos: np.ndarray) -> np.ndarray:
    return model.head.probabilities(bundle.architecture.pool(run(graph, photos)))


def run(graph: bytes, photos: np.ndarray) -> np.ndarray:
    """Run an ONNX graph on photos, uint8 (n, pixels, pixels, 3); returns activations, float32 (n, cells, cells,
    channels)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found = [session.run([ACTIVATIONS], {PHOTO: photo[None]})[0] for photo in photos]
    return np.concatenate(found).transpose(0, 2, 3, 1)


def model_files(bundle: Bundle, network: SiteNetwork, runtime_bytes: int) -> dict[str, bytes]:
    """Return the files of the folder model/ by name. `network.bin` is compressed with gzip, since few hosts do so.

    The golden photos of a site are drawings, since everybody can read it.

    Args:
        runtime_bytes: size of the runtime, which a browser loads with the network.
    """
    packed, golden = gzip.compress(network.graph, mtime=0), synthetic.sample_files()
    pixels = np.stack([read_photo(file, preprocessing=bundle.preprocessing) for file in golden.values()])
    probabilities = _probabilities(bundle, network.model, network.graph, pixels)
    arrays = _arrays(network.model)
    stored = b"".join(array.astype("<f4").tobytes() for array in arrays.values())
    about = {
        **_about(bundle, network.model),
        "golden": [{"file": name, "probabilities": row} for name, row in zip(golden, probabilities.tolist())],
        "arrays": _places(arrays),
        "bytes": len(packed) + runtime_bytes,
        "digest": hashlib.sha256(network.graph + stored).hexdigest(),
    }
    return {
        "network.bin": packed,
        "arrays.bin": stored,
        **golden,
        "golden.bin": pixels.tobytes(),
        "model.json": _as_json(about),
        "card.json": _as_json(public_part(bundle.card.as_json()) | {"corrections": True, "examples": 0}),
    }


def _places(arrays: dict[str, np.ndarray]) -> dict[str, dict[str, int]]:
    """Return where each array stands in model/arrays.bin: its first byte, and how many numbers it has."""
    places, end = {}, 0
    for name, array in arrays.items():
        places[name] = {"start": end, "length": array.size}
        end += 4 * array.size
    return places


def _about(bundle: Bundle, model: Bundle | PrunedModel) -> dict[str, Any]:
    architecture, detector = bundle.architecture, model.ood_detector
    return {
        "id": bundle.id,
        "classes": list(bundle.classes),
        "pixels": architecture.pixels,
        "fit": bundle.preprocessing.fit,
        "channels": architecture.channels,
        "pooling": list(architecture.pooling),
        "unit_length": architecture.unit_length,
        "threshold": model.confidence_threshold,
        "ood_limit": detector.limit if detector else None,
        "ood_bias": detector.bias if detector else 0,
    }


def _arrays(model: Bundle | PrunedModel) -> dict[str, np.ndarray]:
    """Return the arrays of model/arrays.bin in their order."""
    head = {"kernel": model.head.kernel, "bias": model.head.bias}
    detector = model.ood_detector
    ood = {"centers": detector.centers, "ood_kernel": detector.kernel} if detector else {}
    return {name: array for name, array in (head | ood).items() if array is not None}


def _as_json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()
