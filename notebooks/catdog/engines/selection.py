"""Which engine? The fastest on this machine that proves itself."""

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
_DAYS_KEPT = 7  # should something else have slowed a measurement down


def require_engine(name: str) -> None:
    """Raises UserError where there is no engine of this name, today or before."""
    require_known(name, AUTO, *BEFORE)


def select(
    wanted: str,
    opened: Callable[[str], Engine],
    failure: Callable[[Engine], str],
    say: Callable[[str], object] = print,
    backbone: Architecture = VGG16,
    own: Mapping[str, str] | None = None,
) -> Engine:
    """Open the engine `wanted`, or for "auto" the fastest here that proves itself; say which, and which not and why.

    TensorFlow, where it is no candidate for its speed, is what is left when the others fail.

    Args:
        opened: opens an engine by its name; may raise EngineUnavailable.
        failure: "" for an engine whose answers can be trusted, else the reason against it.
        say: told which one, and which not and why.
        backbone: times are remembered for each.
        own: further candidates that are made for one model, by name, each with what tells its time from others'.

    Raises:
        UserError: the engine that was wanted fails, or all do.
    """
    if wanted != AUTO:
        found = _tried(wanted, opened, failure)
        if isinstance(found, str):
            raise UserError("engine-unusable", f"The engine {wanted} cannot be used: {found} Set ENGINE to auto.")
        say(f"Engine: {wanted}.")
        return found
    names = {name: name for name in candidates()} | dict(own or {})
    speeds = _measured(names, opened, _memory(backbone))
    fastest_first = sorted(names, key=lambda name: speeds.get(name, 0))  # unmeasured ones first: it is said why
    for name in dict.fromkeys([*fastest_first, TENSORFLOW]):
        found = _tried(name, opened, failure)
        if not isinstance(found, str):
            speed = f", {1 / speeds[name]:.0f} photos a second here" if name in speeds else ""
            say(f"Engine: {name}{speed}.")
            return found
        say(f"Engine {name} is skipped: {found}")
    raise UserError("engine-none", "No engine can run the model here: the lines above say why.")


def _tried(name: str, opened: Callable[[str], Engine], failure: Callable[[Engine], str]) -> Engine | str:
    """The engine, or the reason against it."""
    try:
        engine = opened(name)
        return failure(engine) or engine
    except EngineUnavailable as unavailable:
        return f"{unavailable} [{unavailable.code}]"


def _measured(names: Mapping[str, str], opened: Callable[[str], Engine], memory: Path) -> dict[str, float]:
    """Seconds per photo of the engines that can be opened, by name: as remembered by what `names` calls them, or
    measured now."""
    known = _remembered(memory)
    for name, remembered_as in names.items():
        if remembered_as not in known:
            with contextlib.suppress(EngineUnavailable):
                known[remembered_as] = seconds_per_photo(opened(name))
                files.write_if_possible(memory, lambda file: file.write(json.dumps(known).encode()))
    return {name: known[remembered_as] for name, remembered_as in names.items() if remembered_as in known}


def seconds_per_photo(engine: Engine) -> float:
    """Median of three batches of noise, after one to warm up. Noise takes as long as photos."""
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
    """Seconds per photo by engine, as they were measured on a machine like this one with these libraries."""
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
    """Model and abilities; virtual machines often hide the model but not what it can do."""
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
