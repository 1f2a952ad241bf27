"""Ray, on this machine alone or on the cluster that `RAY_ADDRESS` names."""

import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import UserError
from ..paths import ROOT

os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")  # the suite has a bar of its own
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # or Ray reports every use to its makers
try:
    import ray
    import ray.data
except ImportError:
    raise UserError(
        "ray-not-installed",
        "Ray is not installed: run `pip install -r requirements-scale.txt`, or in Colab's cells "
        "`from catdog.notebook import install_for_scale; install_for_scale()`, which moves nothing that Colab has.",
    ) from None

_KNOCK_SECONDS = 10


def connect() -> None:
    """Join the cluster that `RAY_ADDRESS` names, else start Ray on this machine; where it runs already, nothing.

    Machines of a cluster get this package sent; what requirements.txt names must be installed there.

    Raises UserError where no cluster answers.
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
    """Where nobody answers, Ray would go on asking for minutes."""
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
    """Ray's runtime environment: how workers come by this package, and few heaps.

    Left alone, glibc gives each new thread a heap of its own, where something stays: over 7,000 photos a worker grew
    from 615 to 670 MB; with two heaps it stays between 573 and 578.
    """
    here = ROOT / "notebooks"
    few_heaps = {"MALLOC_ARENA_MAX": "2"}
    if elsewhere:
        return {"py_modules": [str(here / "catdog")], "env_vars": few_heaps}
    path = os.pathsep.join(filter(None, (str(here), os.environ.get("PYTHONPATH"))))
    return {"env_vars": {**few_heaps, "PYTHONPATH": path}}


@contextmanager
def unwrap_ray_errors() -> Iterator[None]:
    """A UserError of a worker is one here, too, instead of Ray's page about it."""
    try:
        yield
    except ray.exceptions.RayError as error:
        told = re.findall(r"^catdog\.\S+: (.+)\n\[([a-z0-9-]+)\]$", str(error), re.MULTILINE)
        if not told:
            raise
        message, code = told[-1]
        raise UserError(code, message) from None


def has_gpus() -> bool:
    """Whether there is any GPU in the cluster."""
    return ray.cluster_resources().get("GPU", 0) > 0


def workers() -> int:
    """How many can compute at a time: one a GPU, where there are any, else one a processor."""
    resources = ray.cluster_resources()
    return max(1, int(resources.get("GPU" if has_gpus() else "CPU", 1)))
