"""Programs that run beside the notebook."""

import subprocess

_POLITE_SECONDS = 3


def end(process: subprocess.Popen) -> None:
    """Ask it to end, then make it. Ending twice is fine."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_POLITE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
