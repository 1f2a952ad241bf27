"""Ray, on this machine alone or on the cluster at `RAY_ADDRESS`."""

import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import UserError
from ..paths import ROOT

os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")  # catdog has its own bar
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray reports every use to its makers
try:
    import ray
    import ray.data
except ImportError:
    raise UserError(
        "ray-not-installed",
        "Ray is not installed: run `pip install -r requirements-scale.txt`, or in Colab's cells "
        "`from catdog.notebook import install_for_scale; install_for_scale()`, which keeps Colab's packages.",
    ) from None

_KNOCK_SECONDS = 10


def connect() -> None:
    """Join the cluster at `RAY_ADDRESS`, or start Ray on this machine. Does nothing if Ray runs already.

    Sends this package to the machines of a cluster; the packages of requirements.txt must be installed there.

    Raises UserError if no cluster answers.
    """
    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS", "")
    _knock_at(address)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        ray.init(
            address=address or "local",
            runtime_env=_for_workers(elsewhere=bool(address)),
            include_dashboard=False if not address else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except ConnectionError:
        raise _nobody_at(address) from None


def _knock_at(address: str) -> None:
    """Try to reach the cluster first, since Ray would keep trying for minutes."""
    named = re.fullmatch(r"(?:ray://)?(.+):(\d+)", address)
    if named:
        try:
            socket.create_connection((named[1].strip("[]"), int(named[2])), _KNOCK_SECONDS).close()
        except (OSError, OverflowError):
            raise _nobody_at(address) from None


def _nobody_at(address: str) -> UserError:
    return UserError(
        "cluster-unreachable", f"No cluster answers at RAY_ADDRESS={address}: start Ray there, or correct the address."
    )


def _for_workers(elsewhere: bool) -> dict:
    """Return Ray's runtime environment for workers: how they get this package, and a limit on heaps.

    By default, glibc gives each new thread its own heap, which is never quite freed: over 7,000 photos, a worker grew
    from 615 to 670 MB; with two heaps, it stays between 573 and 578 MB.
    """
    here = ROOT / "notebooks"
    few_heaps = {"MALLOC_ARENA_MAX": "2"}
    if elsewhere:
        return {"py_modules": [str(here / "catdog")], "env_vars": few_heaps}
    path = os.pathsep.join(filter(None, (str(here), os.environ.get("PYTHONPATH"))))
    return {"env_vars": {**few_heaps, "PYTHONPATH": path}}


@contextmanager
def unwrap_ray_errors() -> Iterator[None]:
    """Raise a worker's UserError as a UserError, without Ray's long report around it."""
    try:
        yield
    except ray.exceptions.RayError as error:
        told = re.findall(r"^catdog\.\S+: (.+)\n\[([a-z0-9-]+)\]$", str(error), re.MULTILINE)
        if not told:
            raise
        message, code = told[-1]
        raise UserError(code, message) from None


def has_gpus() -> bool:
    """Tell whether the cluster has any GPU."""
    return ray.cluster_resources().get("GPU", 0) > 0


def workers() -> int:
    """Return how many workers can compute at the same time: one per GPU if there are any, else one per processor."""
    resources = ray.cluster_resources()
    return max(1, int(resources.get("GPU" if has_gpus() else "CPU", 1)))
