"""The original's training: five epochs of all photos through the frozen network, ten at a time.

Measured on a few steps and extrapolated to the whole: prints the seconds. Of the trials the fastest counts, in the
original's favour: in some, TensorFlow keeps to one core. usage: training_original.py FOLDER TRIALS
"""

import sys
import time
from pathlib import Path

from catdog.quiet_keras import keras, tf

BATCH, EPOCHS = 10, 5
TRAIN_STEPS, VALID_STEPS = 6, 3


def batches(folder: Path):
    generator = tf.keras.preprocessing.image.ImageDataGenerator(
        preprocessing_function=keras.applications.vgg16.preprocess_input
    )
    return generator.flow_from_directory(folder, target_size=(224, 224), classes=["cat", "dog"], batch_size=BATCH)


def fastest(work, trials: int) -> float:
    """Seconds."""
    found = []
    for _ in range(trials):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def main(folder: Path, trials: int) -> None:
    whole = keras.applications.VGG16(weights=None)
    model = keras.Sequential(whole.layers[:-1])
    for layer in model.layers:
        layer.trainable = False
    model.add(keras.layers.Dense(2, activation="softmax"))
    model.compile(keras.optimizers.Adam(1e-4), loss="categorical_crossentropy", metrics=["accuracy"])
    sys.stdout, out = sys.stderr, sys.stdout
    train, valid = batches(folder / "train"), batches(folder / "valid")
    model.fit(train, steps_per_epoch=1, epochs=1, validation_data=valid, validation_steps=1, verbose=0)
    step = fastest(lambda: model.fit(train, steps_per_epoch=TRAIN_STEPS, epochs=1, verbose=0), trials) / TRAIN_STEPS
    look = fastest(lambda: model.evaluate(valid, steps=VALID_STEPS, verbose=0), trials) / VALID_STEPS
    print(EPOCHS * (step * train.n + look * valid.n) / BATCH, file=out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
