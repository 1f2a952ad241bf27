"""The original's way: full VGG16 with its dense layers, `model.predict` for each request, Flask's own server.

Its weights are random: they take as long as trained ones, and 553 MB need not be downloaded.
"""

import base64
import io
import sys

import numpy as np
from catdog.quiet_keras import keras
from flask import Flask, jsonify, request
from PIL import Image

app = Flask(__name__)
whole = keras.applications.VGG16(weights=None)
model = keras.Sequential(whole.layers[:-1])
for layer in model.layers:
    layer.trainable = False
model.add(keras.layers.Dense(2, activation="softmax"))


def preprocess_image(image, target_size):
    if image.mode != "RGB":
        image = image.convert("RGB")
    image = image.resize(target_size)
    return np.expand_dims(keras.utils.img_to_array(image), axis=0)


@app.post("/")
def predict():
    message = request.get_json(force=True)
    image = Image.open(io.BytesIO(base64.b64decode(message["image"])))
    prediction = model.predict(preprocess_image(image, (224, 224)), verbose=0).tolist()
    return jsonify({"prediction": {"dog": prediction[0][0], "cat": prediction[0][1]}})


if __name__ == "__main__":
    app.run(port=int(sys.argv[1]))
