"""Which engine? The fastest on this machine that passes its parity check."""

import contextlib
import json
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from .. import files, paths
from ..backbones.architectures import VGG16, Architecture
from ..errors import UserError
from .base import BEFORE, TENSORFLOW, Engine, EngineUnavailable, candidates, has_gpu, require_known, threads

AUTO = "auto"
_ROUNDS = 3
_DAYS_KEPT = 7  # in case another program slowed a measurement down


def require_engine(name: str) -> None:
    """Raise UserError unless an engine has this name, or had it in an earlier release."""
    require_known(name, AUTO, *BEFORE)


def select(
    wanted: str,
    opened: Callable[[str], Engine],
    failure: Callable[[Engine], str],
    say: Callable[[str], object] = print,
    backbone: Architecture = VGG16,
    own: Mapping[str, str] | None = None,
) -> Engine:
    """Open the engine `wanted`, or for "auto" the fastest here that passes its parity check.

    If TensorFlow is too slow to be a candidate, it is still the fallback when all candidates fail.

    Args:
        opened: opens an engine by its name; may raise EngineUnavailable.
        failure: returns "" for an engine whose answers can be trusted, else the reason not to trust it.
        say: is told which engine was chosen, and which were skipped and why.
        backbone: measured times are kept for each backbone.
        own: further candidates, made for one model, by name; each with the key under which its time is kept.

    Raises:
        UserError: the engine `wanted` fails, or all engines fail.
    """
    if wanted != AUTO:
        found = _tried(wanted, opened, failure)
        if isinstance(found, str):
            raise UserError("engine-unusable", f"The engine {wanted} cannot be used: {found} Set ENGINE to auto.")
        say(f"Engine: {wanted}.")
        return found
    names = {name: name for name in candidates()} | dict(own or {})
    speeds = _measured(names, opened, _memory(backbone))
    fastest_first = sorted(names, key=lambda name: speeds.get(name, 0))  # unmeasured ones first, to report why
    for name in dict.fromkeys([*fastest_first, TENSORFLOW]):
        found = _tried(name, opened, failure)
        if not isinstance(found, str):
            speed = f", {1 / speeds[name]:.0f} photos a second here" if name in speeds else ""
            say(f"Engine: {name}{speed}.")
            return found
        say(f"Engine {name} is skipped: {found}")
    raise UserError("engine-none", "No engine can run the model here: the lines above say why.")


def _tried(name: str, opened: Callable[[str], Engine], failure: Callable[[Engine], str]) -> Engine | str:
    """Return the engine, or the reason not to use it."""
    try:
        engine = opened(name)
        return failure(engine) or engine
    except EngineUnavailable as unavailable:
        return f"{unavailable} [{unavailable.code}]"


def _measured(names: Mapping[str, str], opened: Callable[[str], Engine], memory: Path) -> dict[str, float]:
    """Return seconds per photo for each engine that can be opened, by name: kept under the keys in `names`, or measured
    now."""
    known = _remembered(memory)
    for name, remembered_as in names.items():
        if remembered_as not in known:
            with contextlib.suppress(EngineUnavailable):
                known[remembered_as] = seconds_per_photo(opened(name))
                files.write_if_possible(memory, lambda file: file.write(json.dumps(known).encode()))
    return {name: known[remembered_as] for name, remembered_as in names.items() if remembered_as in known}


def seconds_per_photo(engine: Engine) -> float:
    """Return the median over three batches of noise, after one to warm up. Noise takes as long as photos."""
    pixels = engine.architecture.pixels
    photos = np.random.default_rng(0).integers(0, 256, (2, pixels, pixels, 3), dtype=np.uint8)
    engine.features(photos)
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        engine.features(photos)
        times.append(time.perf_counter() - began)
    return float(np.median(times)) / len(photos)


def _remembered(memory: Path) -> dict[str, float]:
    """Read seconds per photo by engine, as measured on a machine like this one with the same libraries."""
    try:
        if time.time() - memory.stat().st_mtime > _DAYS_KEPT * 86_400:
            return {}
        found = json.loads(memory.read_text()).items()
        return {name: seconds for name, seconds in found if seconds > 0}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _memory(backbone: Architecture = VGG16) -> Path:
    parts = [f"{backbone.name} {backbone.pixels}", _processor(), str(threads())]
    parts += [f"{name} {_version(name)}" for name in ("openvino", "tensorflow")] + [f"GPU {has_gpu()}"]
    return paths.cache_file("speeds", "\n".join(parts), ".json")


def _processor() -> str:
    """Identify the processor by model and flags: virtual machines often hide the model, but not the flags."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags"))}))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
