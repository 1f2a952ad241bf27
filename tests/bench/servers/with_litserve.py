"""A peer: LitServe with its batching around the same network in Keras."""

import base64
import sys

import litserve
import numpy as np
from catdog import paths
from catdog.data.images import read_photo
from catdog.models import bundle


class Classify(litserve.LitAPI):
    def setup(self, device):
        from catdog.backbones.architectures import load_backbone
        from catdog.engines.tensorflow import TensorFlowEngine

        self.model = bundle.read(paths.SHIPPED_MODEL)
        self.engine = TensorFlowEngine(load_backbone())

    def decode_request(self, request):
        return read_photo(base64.b64decode(request["image"]))

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, photos):
        return self.model.head.probabilities(self.engine.features(photos))

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return {"prediction": dict(zip(self.model.classes, output.tolist()))}


if __name__ == "__main__":
    server = litserve.LitServer(Classify(max_batch_size=16, batch_timeout=0.005), accelerator="cpu")
    server.run(port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False, log_level="error")
