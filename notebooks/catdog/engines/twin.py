"""The int8 twin: how to quantise a backbone, as a few plain arrays. The weights stay the public ones."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from .. import colab, lite0
from ..backbone import VGG16, Backbone
from ..progress import bar
from ..weights import LAYERS, Weights
from . import EngineUnavailable

CALIBRATION_PHOTOS = 32

# The convolutions of each backbone that has int8 twins.
QUANTISABLE = {VGG16.name: LAYERS, lite0.NAME: lite0.NAMES}


@dataclass(frozen=True)
class Twin:
    """For each convolution `<layer>/range` float32 (2,), lowest and highest value that enters it; `<layer>/scale`
    float32 (out,), the size of one int8 step of its kernel; `<layer>/bias` float32 (out,).

    Raises ValueError when the arrays are not these.
    """

    arrays: dict[str, np.ndarray]

    def __post_init__(self):
        for layer in self.layers:
            span, scale, bias = (self.arrays.get(f"{layer}/{part}", np.empty(0)) for part in ("range", "scale", "bias"))
            fits = span.shape == (2,) and scale.ndim == 1 and scale.shape == bias.shape and scale.size
            if not fits or not np.isfinite([*span, *scale, *bias]).all() or span[0] >= span[1] or scale.min() <= 0:
                raise ValueError(f"the int8 twin's arrays for {layer} make no sense")

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the convolutions: of the backbone whose first one the arrays have, or of VGG16."""
        return next((layers for layers in QUANTISABLE.values() if f"{layers[0]}/range" in self.arrays), LAYERS)

    def steps(self, layer: str, weights: Weights) -> np.ndarray:
        """The kernel of `layer` in whole steps of its scale, int8 in the shape of the kernel."""
        kernel, scale = weights[f"{layer}/kernel"], self.arrays[f"{layer}/scale"]
        depthwise = kernel.shape[-1] != scale.size  # its channels come last but one
        scaled = kernel / (scale[:, None] if depthwise else scale)
        return np.clip(np.floor(scaled + 0.5), -127, 127).astype(np.int8)

    @property
    def digest(self) -> str:
        """Identifies the twin: sha256 over its arrays, hex."""
        digest = hashlib.sha256()
        for name in sorted(self.arrays):
            digest.update(name.encode() + np.ascontiguousarray(self.arrays[name], dtype="<f4").tobytes())
        return digest.hexdigest()


def make_twin(backbone: Backbone, photos: Iterable[np.ndarray]) -> Twin:
    """Quantise the base after training (NNCF, preset MIXED: kernels by channel, fast bias correction).

    Calibrated on 32, 64, 128 or 300 of 1,300 photos of cats and dogs, the twin's answers were all the same as in
    float32, and probabilities differed by 0.0015 on average: `CALIBRATION_PHOTOS` is enough.

    Args:
        photos: uint8 (pixels, pixels, 3) each, from `images.read_photo`.

    Raises:
        EngineUnavailable: NNCF or OpenVINO is not installed.
    """
    os.environ.setdefault("NNCF_CI", "1")  # or NNCF reports every use to Google Analytics
    colab.install_packages("nncf")
    from .openvino import build_graph

    try:
        import nncf
    except ImportError as error:
        raise EngineUnavailable("engine-not-installed", "NNCF is not installed (pip install nncf).") from error
    inputs = [photo[None] for photo in photos]
    seen = bar(what="Quantising", unit="photos", total=2 * len(inputs))  # NNCF looks at each twice
    with seen, _without_richs_bars():
        quantised = nncf.quantize(
            build_graph(backbone),
            nncf.Dataset(_Shown(inputs, seen)),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(inputs),
        )
        seen.update(seen.total - seen.n)
    return Twin(dict(_arrays(quantised)))


@contextmanager
def _without_richs_bars() -> Iterator[None]:
    """NNCF's own bars are widgets of hundreds of messages, which Colab and saved notebooks show as empty boxes."""
    import rich

    console = rich.get_console()
    before = console.__dict__
    rich.reconfigure(quiet=True, force_jupyter=False)
    try:
        yield
    finally:
        console.__dict__ = before


class _Shown(Sequence):
    """`items`, and each that is taken moves the bar."""

    def __init__(self, items: Sequence, shown):
        self._items, self._shown = items, shown

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, place: int):
        self._shown.update(self._shown.n < self._shown.total)
        return self._items[place]


def _arrays(quantised) -> Iterable[tuple[str, np.ndarray]]:
    """What NNCF decided, read from its graph: FakeQuantize → Convolution(Multiply(int8 kernel, scale)) → Add(bias).

    NNCF also quantises values that enter no convolution, such as those that an addition takes; the twin does not. Where
    NNCF has a range for each channel, the twin has one for all of them: on 1,300 photos EfficientNet-Lite0's features
    then differ from float32's by 12.6 %, and by 14.8 % in NNCF's own graph.
    """
    for node in quantised.get_ordered_ops():
        layer = node.get_friendly_name()
        if not any(layer in layers for layers in QUANTISABLE.values()):
            continue
        entering, kernel = (_source(node, place) for place in (0, 1))
        while entering.get_type_name() == "MaxPool":
            entering = _source(entering, 0)
        (added,) = (target.get_node() for target in node.output(0).get_target_inputs())
        low, high = (_source(entering, place).data for place in (1, 2))  # one for each channel, before depthwise ones
        yield f"{layer}/range", np.array([low.min(), high.max()], np.float32)
        yield f"{layer}/scale", _source(kernel, 1).data.reshape(-1).astype(np.float32)
        yield f"{layer}/bias", _source(added, 1).data.reshape(-1).astype(np.float32)


def _source(node, place: int):
    return node.input_value(place).get_node()
