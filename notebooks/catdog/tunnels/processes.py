"""Programs that run beside the notebook."""

import subprocess

_POLITE_SECONDS = 3


def end(process: subprocess.Popen) -> None:
    """Terminate a process, and kill it if it does not end. Idempotent."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_POLITE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
