"""Secrets: COLAB_SECRETS is JSON, names to values; COLAB_SECRETS_ERROR names the error that is raised instead."""

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


def get(key):
    if error := os.environ.get("COLAB_SECRETS_ERROR"):
        raise globals()[error](key)
    secrets = json.loads(os.environ.get("COLAB_SECRETS", "{}"))
    if key not in secrets:
        raise SecretNotFoundError(key)
    return secrets[key]
