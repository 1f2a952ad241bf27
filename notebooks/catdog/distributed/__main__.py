"""`make ray-label` and `make ray-train`, with settings from the environment."""

import os
import sys

from ..backbones.architectures import VGG16
from ..data.layout import AUTO as AUTO_LABELS
from ..engines.selection import AUTO
from ..errors import UserError, for_the_command_line
from ..settings import environment_first, in_environment


def _label() -> None:
    photos, out, model, engine = environment_first(LABEL_PHOTOS="", LABELS_OUT="", MODEL="", ENGINE=AUTO)
    if not photos or not out:
        raise UserError(
            "table-places-missing",
            "Set the folders of the photos and of the result: make ray-label LABEL_PHOTOS=… LABELS_OUT=….parquet.",
        )
    from .label import label

    print(label(photos, out, model, engine))


def _train() -> None:
    photos, features, name, engine, settings = _settings()
    if not photos or not features:
        raise UserError(
            "table-places-missing",
            "Set the folders of the photos and of the features: make ray-train DATA=… FEATURES=….parquet.",
        )
    from .train import fine_tune

    model = fine_tune(photos, features, name, engine=engine, **settings)
    print(f"{model.id} is in {model.folder}")


def _settings() -> tuple[str, str, str, str, dict]:
    photos = in_environment("DATA", old="PHOTOS") or ""
    if os.environ.get("PHOTOS", photos) != photos:
        raise UserError("table-places-missing", "DATA and PHOTOS name different folders: set DATA alone.")
    features, name, engine = environment_first(FEATURES="", MODEL_NAME="", ENGINE=AUTO)
    backbone, pixels, how = environment_first(BACKBONE=VGG16.name, PIXELS=VGG16.pixels, FIT=VGG16.preprocessing.fit)
    seed, target, labels = environment_first(SEED=0, TARGET_ACCURACY=0.99, LABELS=AUTO_LABELS)
    settings = {"labels": labels, "backbone": backbone, "pixels": pixels, "how": how, "seed": seed, "target": target}
    (settings["save_keras"],) = environment_first(SAVE_KERAS=False)
    return photos, features, name, engine, settings


def main() -> None:
    with for_the_command_line("Stopped. Finished work is kept: run the same command again to continue."):
        {"label": _label, "train": _train}[sys.argv[1]]()


if __name__ == "__main__":
    main()
