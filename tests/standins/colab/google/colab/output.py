"""What Colab evaluates in, or shows in, its browser tab.

COLAB_TAB says what is there: "open"; "closed", which nobody answers: Colab's package then gives None (its
_message.read_reply_from_input); "error", whose answer is one; "vscode", VS Code's extension and the CLI, which answer
nothing but Drive's question and show no page.
"""

import os
import re

_callbacks = {}


class MessageError(Exception):
    pass


def _tab():
    return os.environ.get("COLAB_TAB", "open")


def eval_js(script, ignore_result=False, timeout_sec=None):
    if _tab() in ("closed", "vscode"):
        return None
    if _tab() == "error":
        raise MessageError("TypeError: Failed to fetch")
    port = re.fullmatch(r"google\.colab\.kernel\.proxyPort\((\d+)\)", script)[1]
    return f"https://{port}-colab.example/"


def serve_kernel_port_as_iframe(port, path="/", width="100%", height="400", cache_in_notebook=False):
    if _tab() == "error":
        raise MessageError("TypeError: Failed to fetch")
    if _tab() != "vscode":
        print(f"An iframe of port {port}, {path}")


def register_callback(function_name, callback):
    _callbacks[function_name] = callback
