"""The processes below another one."""

import psutil


def family(pid: int, *words: str) -> list[psutil.Process]:
    """Those below the process `pid` whose command holds all of `words`."""
    below = psutil.Process(pid).children(recursive=True)
    return [one for one in below if all(word in command(one) for word in words)]


def command(process: psutil.Process) -> str:
    """How it was started, or nothing for one that has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
