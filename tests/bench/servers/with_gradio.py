"""A peer: Gradio with `batch=True` around the same network in Keras. Photos come as base64 text."""

import base64
import os
import sys

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio
import numpy as np
from catdog import paths
from catdog.backbones.architectures import load_backbone
from catdog.data.images import read_photo
from catdog.engines.tensorflow import TensorFlowEngine
from catdog.models import bundle

model = bundle.read(paths.SHIPPED_MODEL)
engine = TensorFlowEngine(load_backbone())


def classify(images):
    photos = np.stack([read_photo(base64.b64decode(image)) for image in images])
    rows = model.head.probabilities(engine.features(photos)).tolist()
    return [[dict(zip(model.classes, row)) for row in rows]]


if __name__ == "__main__":
    page = gradio.Interface(classify, "text", "json", batch=True, max_batch_size=16, api_name="predict")
    page.queue(default_concurrency_limit=1).launch(
        server_port=int(sys.argv[1]), server_name="127.0.0.1", quiet=True, show_error=True
    )
