"""Ways to run a frozen backbone. Each is loaded only when it is opened, so that serving by one never loads another."""

from typing import TYPE_CHECKING

from ..backbones.architectures import Backbone
from .base import TENSORFLOW, TENSORFLOW_MIXED, Engine, require_known

if TYPE_CHECKING:
    from .int8 import Int8Params


def open_engine(name: str, backbone: Backbone, params: "Int8Params | None" = None) -> Engine:
    """Open an engine, ready to run.

    Args:
        params: for the int8 engine; for the pruned one, an `engines.pruned.PrunedNetwork`.

    Raises:
        EngineUnavailable: the engine cannot run here.
        UserError: no engine has this name.
    """
    require_known(name)
    if name in (TENSORFLOW, TENSORFLOW_MIXED):
        from .tensorflow import TensorFlowEngine

        return TensorFlowEngine(backbone, mixed=name == TENSORFLOW_MIXED)
    from .openvino import OpenVINOEngine

    return OpenVINOEngine(name, backbone, params)
