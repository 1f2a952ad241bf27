"""Ways to run a frozen backbone. Each is loaded only when it is opened, so that serving by one never loads another."""

from ..backbones.architectures import Backbone
from ..errors import SuiteError
from .base import NAMES, TENSORFLOW, TENSORFLOW_MIXED, Engine


def open_engine(name: str, backbone: Backbone, params=None) -> Engine:
    """Make an engine ready to run.

    Args:
        params: `engines.int8.Int8Params` for the int8 engine, `engines.pruned.PrunedNetwork` for the pruned one.

    Raises:
        EngineUnavailable: it cannot run here.
        SuiteError: there is no engine of this name.
    """
    if name not in NAMES:
        raise SuiteError(
            "engine-unknown", f'There is no engine "{name}": set ENGINE to auto or to one of {", ".join(NAMES)}.'
        )
    if name in (TENSORFLOW, TENSORFLOW_MIXED):
        from .tensorflow import TensorFlowEngine

        return TensorFlowEngine(backbone, mixed=name == TENSORFLOW_MIXED)
    from .openvino import OpenVINOEngine

    return OpenVINOEngine(name, backbone, params)
