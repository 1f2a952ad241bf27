"""Training of VGG16's last block, by Keras."""

import tempfile
from pathlib import Path

import numpy as np

from .. import paths
from ..backbones.architectures import Backbone
from ..backbones.keras_model import pooled
from ..backbones.vgg16_weights import Weights
from ..data.dataset import Dataset, Photo
from ..data.folders import TRAIN, VALID
from ..engines.base import BATCH
from ..models.head import Head
from ..progress import bar
from ..quiet_keras import keras, tf
from .engine_selection import EngineSelection
from .features import decoded_ahead, features_by_split
from .linear_head import class_weights, fit_head

_LAYERS = ("block5_conv1", "block5_conv2", "block5_conv3")
_BEFORE = "block4_pool"
_LEARNING_RATE, _PATIENCE = 1e-5, 2


def train_block5(frozen: EngineSelection, dataset: Dataset, seed: int, epochs: int) -> Weights:
    """Train block 5 on the dataset's training photos, and return its arrays.

    Adam with a low learning rate and balanced class weights, until the validation loss stops improving, for at most
    `epochs`. The last layer starts as fitted for the frozen backbone (Kumar et al. 2022,
    https://arxiv.org/abs/2202.10054).
    """
    keras.utils.set_random_seed(seed)
    classes, data = len(dataset.classes), features_by_split(dataset, frozen.chosen, frozen.store)
    network = _end(frozen.backbone, fit_head(data, classes, seed=seed, frozen=False).head)
    with tempfile.TemporaryDirectory(dir=paths.cache_dir()) as folder:
        train, valid = (_Batches(split, frozen, dataset, Path(folder), seed) for split in (TRAIN, VALID))
        watched = "val_loss" if len(valid) else "loss"
        with bar(what="Training block 5", unit="batches", total=epochs * len(train)) as progress:
            shown = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: progress.update(1))
            stop = keras.callbacks.EarlyStopping(watched, patience=_PATIENCE, restore_best_weights=True)
            network.fit(
                train, validation_data=valid if len(valid) else None, epochs=epochs, callbacks=[shown, stop],
                class_weight=class_weights(data[TRAIN][1], classes), verbose=0,
            )  # fmt: skip
            progress.total = progress.n  # early stopping is complete, not interrupted
    return {
        name: array for layer in _LAYERS for name, array in zip(_names(layer), network.get_layer(layer).get_weights())
    }


def _end(backbone: Backbone, head: Head) -> keras.Model:
    """Build the end of the network: outputs of block 4, float (n, cells, cells, 512), → probabilities (n, classes)."""
    values = entry = keras.Input(_shape(backbone))
    for layer in _LAYERS:
        width = backbone.weights[f"{layer}/bias"].size
        values = keras.layers.Conv2D(width, 3, padding="same", activation="relu", name=layer)(values)
    last = keras.layers.Dense(len(head.bias), activation="softmax")
    network = keras.Model(entry, last(pooled(values, backbone.architecture)))
    for layer in _LAYERS:
        network.get_layer(layer).set_weights([backbone.weights[name] for name in _names(layer)])
    last.set_weights([head.kernel, head.bias])
    network.compile(keras.optimizers.Adam(_LEARNING_RATE), "sparse_categorical_crossentropy")
    return network


def _shape(backbone: Backbone) -> tuple[int, int, int]:
    """Return the shape of block 4's output: (14, 14, 512) for photos of 224×224 pixels."""
    grid_size = backbone.architecture.grid_size
    return grid_size, grid_size, backbone.weights[f"{_LAYERS[0]}/kernel"].shape[2]


def _names(layer: str) -> tuple[str, str]:
    return f"{layer}/kernel", f"{layer}/bias"


class _Batches(keras.utils.PyDataset):
    """Outputs of block 4 for the photos of one split, computed once, kept in a file, and reshuffled each epoch."""

    def __init__(self, split: str, frozen: EngineSelection, dataset: Dataset, folder: Path, seed: int):
        super().__init__()
        photos = sorted(dataset.of(split), key=lambda photo: photo.digest)
        self._targets, self._chance = dataset.targets(photos), np.random.default_rng(seed)
        self._order, self._preprocessing = np.arange(len(photos)), frozen.backbone.architecture.preprocessing
        if photos:
            self._kept = np.lib.format.open_memmap(
                folder / split, "w+", np.float16, (len(photos), *_shape(frozen.backbone))
            )
            self._fill(photos, frozen.reference.model, f"Outputs of block 4 ({split})")

    def _fill(self, photos: list[Photo], model: keras.Model, what: str) -> None:
        before = tf.function(keras.Model(model.input, model.get_layer(_BEFORE).output), reduce_retracing=True)
        with bar(what=what, unit="photos", total=len(photos)) as progress:
            for batch, pixels in decoded_ahead(photos, self._preprocessing):
                self._kept[progress.n : progress.n + len(batch)] = before(pixels.astype(np.float32)).numpy()
                progress.update(len(batch))

    def __len__(self) -> int:
        return -(-len(self._order) // BATCH)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        some = np.sort(self._order[number * BATCH : (number + 1) * BATCH])
        return self._kept[some].astype(np.float32), self._targets[some]

    def on_epoch_end(self) -> None:
        self._chance.shuffle(self._order)
