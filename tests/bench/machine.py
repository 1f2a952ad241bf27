"""On what a run measured: the processor, what it can compute with, and what else was at work."""

import os
import platform
from pathlib import Path

import psutil

_DECISIVE = ("avx2", "avx512_vnni", "avx512_bf16", "amx_int8")  # for the speed of int8 and bfloat16
_LOOK_SECONDS = 1
_BUSY = 5  # percent of one core


def describe() -> dict:
    """Look for a second at the machine, before anything is measured.

    `other_load` is the share of all cores that is in use; `others` are the programs that use them most.
    """
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **_at_work(),
    }


def in_words(machine: dict) -> str:
    others = ", ".join(machine["others"]) or "nothing else"
    return f"{machine['processor']}, {machine['cores']} cores; also at work ({machine['other_load']:.0%}): {others}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    parts = (line.split(":", 1) for line in lines if ":" in line)
    found = {key.strip(): value.strip() for key, value in parts}
    abilities = [name for name in _DECISIVE if name in found.get("flags", "").split()]
    return f"{found.get('model name', platform.machine())} ({', '.join(abilities) or 'without AVX2'})"


def _at_work() -> dict:
    others = [one for one in psutil.process_iter(["name"]) if one.pid != os.getpid()]
    for one in others:
        _percent(one)  # psutil counts from the first call
    load = psutil.cpu_percent(_LOOK_SECONDS) / 100
    busy = sorted(((_percent(one), one.info["name"]) for one in others), reverse=True)
    return {"other_load": load, "others": [name for percent, name in busy if percent >= _BUSY]}


def _percent(process: psutil.Process) -> float:
    try:
        return process.cpu_percent()
    except psutil.Error:  # it has ended, or is another user's
        return 0.0
