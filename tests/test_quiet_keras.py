"""Keras as the suite needs it, whatever a person's own settings are."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

SAYS = """
from catdog.errors import UserError
try:
    from catdog.quiet_keras import keras
    print(keras.backend.backend(), keras.config.image_data_format(), keras.config.floatx())
except UserError as error:
    print(error.code)
"""
TAKEN = """
import sys, types
sys.modules["keras"] = types.ModuleType("keras")
sys.modules["keras"].backend = types.SimpleNamespace(backend=lambda: "torch")
"""
AS_NEEDED = "tensorflow channels_last float32"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "settings", "before", "said"),
    [
        ({"KERAS_BACKEND": "torch"}, {}, "", AS_NEEDED),
        ({}, {"backend": "jax", "image_data_format": "channels_first", "floatx": "float16"}, "", AS_NEEDED),
        ({}, {}, TAKEN, "keras-backend"),
    ],
)
def test_what_keras_is_set_to_does_not_matter_or_is_told(tmp_path, variables, settings, before, said):
    (tmp_path / "keras.json").write_text(json.dumps({"epsilon": 1e-7, **settings}))
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "notebooks"), **variables}
    done = subprocess.run([sys.executable, "-c", before + SAYS], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == said, done.stderr
