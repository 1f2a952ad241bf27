"""Settings of the notebooks: the environment overrides them, and each is checked before anything is computed."""

from collections.abc import MutableMapping
from importlib import import_module
from typing import Any

from ..data.preprocessing import require_preprocessing
from ..errors import UserError
from ..names import require_model_name
from ..settings import environment_first
from ..web import link
from .colab import open_folders

# By notebook, in the order of its forms: each setting's default, and the function that refuses invalid values, which is
# here or in another module, loaded when needed.
SETTINGS: dict[str, dict[str, tuple[Any, str]]] = {
    "fine-tune": {
        "DATA": ("auto", ""),
        "MODEL_NAME": ("", "_model_name"),
        "USE_DRIVE": (False, ""),
        "BACKBONE": ("VGG16", "backbones.architectures:require_backbone"),
        "TARGET_ACCURACY": (0.99, "training.calibration:require_target"),
        "SEED": (0, "training.linear_head:require_seed"),
        "LABELS": ("auto", ""),
        "PIXELS": (224, "_pixels"),
        "FIT": ("crop", "_fit"),
        "ENGINE": ("auto", "engines.selection:require_engine"),
        "COMPARE_NETWORKS": (False, ""),
        "UNFREEZE": ("nothing", "training.fine_tuning:require_unfreeze"),
        "EPOCHS": (10, "training.fine_tuning:require_epochs"),
        "PRUNE": ("no", "training.pruned_models:require_prune"),
        "PRUNE_MAX_DROP": (0.5, "training.pruned_models:require_max_drop"),
        "SAVE_WHEN": ("not worse", "_save_when"),
        "SAVE_KERAS": (False, ""),
        "SAVE_H5": (False, ""),
        "EXPORT": (False, ""),
        "EXPORT_SITE": (False, ""),
        "CORRECTIONS_FROM": ("", "_corrections"),
    },
    "backend": {
        "USE_DRIVE": (False, ""),
        "TUNNEL": ("auto", "tunnels:require_provider"),
        "ACCESS_CODE": ("", "web.link:check_code"),
        "CORRECTIONS": (False, ""),
        "MODEL": ("", ""),
        "ENGINE": ("auto", "engines.selection:require_engine"),
        "PORT": (5000, "_port"),
        "NGROK_DOMAIN": ("", ""),
        "CORS_ORIGINS": ("*", "backend.app:parse_origins"),
        "LIMITS": ("", "backend.limits:parse_limits"),
        "EXAMPLES": ("", "backend.examples:require_examples"),
        "LANGUAGE": ("", "frontend.words:require_language"),
        "TEST_PHOTO": ("", "notebook.smoke_test:photo_or_drawing"),
    },
    "frontend": {
        "USE_DRIVE": (False, ""),
        "BACKEND_URL": ("", "_backend_url"),
        "ACCESS_CODE": ("", "web.link:check_code"),
        "PORT": (8000, "_port"),
        "TUNNEL": ("none", "tunnels:require_provider"),
        "NGROK_DOMAIN": ("", ""),
        "LANGUAGE": ("", "frontend.words:require_language"),
    },
}
_PATHS = ("CORRECTIONS_FROM", "EXAMPLES", "TEST_PHOTO")  # perhaps on Drive: checked once that is mounted
_SAVE_WHEN = ("not worse", "always", "if not worse")  # the last is a former name
_NEED_VGG16 = {"PRUNE": "no", "UNFREEZE": "nothing", "EXPORT_SITE": False}  # and the value that does not need it


def read_settings(notebook: str, cell: MutableMapping[str, Any]) -> None:
    """Override the settings in `cell`, a notebook's `globals()`, from the environment, check them, and open folders.

    Missing settings get their defaults: notebook 1 has a second form for those that few need.

    Args:
        notebook: one of `SETTINGS`.

    Raises UserError for an invalid value, and if folders cannot be used.
    """
    settings = SETTINGS[notebook]
    entered = {name: cell.get(name, default) for name, (default, _) in settings.items()}
    values = dict(zip(settings, environment_first(**entered)))
    _check(values, settings, [name for name in settings if name not in _PATHS])
    _require_vgg16(values)
    open_folders(values["USE_DRIVE"])
    _check(values, settings, [name for name in settings if name in _PATHS])
    cell.update(values)


def check_settings(model_name: str, pixels: int, fit: str) -> None:
    """Check settings for earlier notebooks, which call this. Raises UserError."""
    _model_name(model_name)
    require_preprocessing(pixels, fit)


def _check(values: dict[str, Any], settings: dict[str, tuple[Any, str]], names: list[str]) -> None:
    for name in names:
        if check := settings[name][1]:
            _function(check)(values[name])


def _function(check: str):
    module, _, name = check.rpartition(":")
    return getattr(import_module(f"..{module}", __package__), name) if module else globals()[name]


def _require_vgg16(values: dict[str, Any]) -> None:
    for name, needs_nothing in _NEED_VGG16.items():
        if values.get(name, needs_nothing) != needs_nothing and values["BACKBONE"] != "VGG16":
            raise UserError(
                "setting-needs-vgg16",
                f"{name} works with VGG16 only: set {name} to {needs_nothing}, or BACKBONE to VGG16.",
            )


def _model_name(name: str) -> None:
    require_model_name(name, or_none=True)


def _pixels(pixels: int) -> None:
    require_preprocessing(pixels, "crop")


def _fit(fit: str) -> None:
    require_preprocessing(224, fit)


def _corrections(path: str) -> None:
    if path.strip():
        from ..data.feedback_zip import corrections_zips

        corrections_zips(path)


def _save_when(save_when: str) -> None:
    if save_when not in _SAVE_WHEN:
        raise UserError("setting-save-when", f'SAVE_WHEN must be "not worse" or "always", not "{save_when}".')


def _port(port: int) -> None:
    if not 0 <= port < 1 << 16:
        raise UserError("setting-port", f"PORT must be a number from 1 to 65535, or 0 for any free one, not {port}.")


def _backend_url(url: str) -> None:
    if url and not link.origin(url):
        raise UserError("setting-backend-url", f'BACKEND_URL must be the link of notebook 2, not "{url}".')
