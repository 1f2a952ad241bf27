"""The original's training: five epochs of all photos through the frozen network, ten at a time.

Measured on a few steps and extrapolated to the whole: prints the seconds. Median of three, since a few steps are soon
disturbed. usage: training_original.py FOLDER
"""

import statistics
import sys
import time
from pathlib import Path

from catdog.frameworks import keras, tf

BATCH, EPOCHS = 10, 5
TRAIN_STEPS, VALID_STEPS, TRIALS = 8, 4, 3


def batches(folder: Path):
    generator = tf.keras.preprocessing.image.ImageDataGenerator(
        preprocessing_function=keras.applications.vgg16.preprocess_input
    )
    return generator.flow_from_directory(folder, target_size=(224, 224), classes=["cat", "dog"], batch_size=BATCH)


def seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main(folder: Path) -> None:
    whole = keras.applications.VGG16(weights=None)
    model = keras.Sequential(whole.layers[:-1])
    for layer in model.layers:
        layer.trainable = False
    model.add(keras.layers.Dense(2, activation="softmax"))
    model.compile(keras.optimizers.Adam(1e-4), loss="categorical_crossentropy", metrics=["accuracy"])
    sys.stdout, out = sys.stderr, sys.stdout
    train, valid = batches(folder / "train"), batches(folder / "valid")
    model.fit(train, steps_per_epoch=1, epochs=1, validation_data=valid, validation_steps=1, verbose=0)
    found = []
    for _ in range(TRIALS):
        step = seconds(lambda: model.fit(train, steps_per_epoch=TRAIN_STEPS, epochs=1, verbose=0)) / TRAIN_STEPS
        look = seconds(lambda: model.evaluate(valid, steps=VALID_STEPS, verbose=0)) / VALID_STEPS
        found.append(EPOCHS * (step * train.n + look * valid.n) / BATCH)
    print(statistics.median(found), file=out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
