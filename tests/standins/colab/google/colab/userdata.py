"""Secrets: COLAB_SECRETS is JSON, names to values; COLAB_SECRETS_ERROR names the error that is raised instead.

With COLAB_SECRETS_LATE somebody still reads Colab's question when it is asked for the first time, which it gives ten
seconds for. VS Code's extension never answers.
"""

import json
import os


class SecretNotFoundError(Exception):
    def __init__(self, key):
        super().__init__(f"Secret {key} does not exist.")


class NotebookAccessError(Exception):
    def __init__(self, key):
        super().__init__(f"Notebook does not have access to secret {key}")


class TimeoutException(Exception):
    def __init__(self, key):
        super().__init__(f"Requesting secret {key} timed out.")


_asked = []


def get(key):
    _asked.append(key)
    late = os.environ.get("COLAB_SECRETS_LATE") and _asked.count(key) == 1
    if late or os.environ.get("COLAB_TAB") == "vscode":
        raise TimeoutException(key)
    if error := os.environ.get("COLAB_SECRETS_ERROR"):
        raise globals()[error](key)
    secrets = json.loads(os.environ.get("COLAB_SECRETS", "{}"))
    if key not in secrets:
        raise SecretNotFoundError(key)
    return secrets[key]
