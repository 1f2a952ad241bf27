"""Errors that a person can do something about."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


def first_line(error: Exception, most: int = 120) -> str:
    """Return what somebody else's error says, for the end of a sentence of ours: at most so many characters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:most]


# What can go wrong, by its code. Codes stay as they are, for whoever looks one up; sentences may change.
CODES = {
    "backbone-unknown": "There is no backbone of this name",
    "backend-not-public": "Testers cannot reach the backend",
    "cluster-folder-unseen": "A machine of the cluster cannot see the folder",
    "cluster-unreachable": "The cluster does not answer",
    "decision-invalid": "A decision cannot be understood",
    "decision-photo-unknown": "A decision names an unknown photo",
    "decisions-damaged": "The file of decisions is damaged",
    "drive-not-mounted": "Google Drive was not mounted",
    "engine-no-params": "The model lacks parameters that the engine needs",
    "engine-none": "No engine can run the model here",
    "engine-not-installed": "A package that the engine needs is not installed",
    "engine-processor": "The processor does not support the engine",
    "engine-unknown": "There is no engine of this name",
    "engine-unusable": "The engine cannot be used",
    "engine-vgg16-only": "The engine does not run this backbone",
    "export-answers-differ": "The exported file answers differently from the model",
    "features-damaged": "The file of features was damaged",
    "features-not-writable": "Features cannot be saved",
    "folder-holds-photos": "The folder for the table holds the photos",
    "folder-not-writable": "The folder is not writable",
    "folder-other-files": "The folder for the table holds other files",
    "folder-other-table": "The folder holds a table that was made differently",
    "folder-unusable": "The folder cannot be used",
    "install-failed": "A package could not be installed",
    "keras-backend": "Keras was started with another backend",
    "language-unknown": "The page does not speak this language",
    "link-leads-elsewhere": "The link leads to another service",
    "link-name-unknown": "The link's name is not known yet",
    "link-no-network": "The machine is not in a local network",
    "link-not-downloaded": "The tunnel's program could not be downloaded",
    "link-port": "The service cannot listen in the local network",
    "link-program": "The path is not that of a tunnel's program",
    "link-refused": "The tunnel's provider refused the link",
    "link-silent": "Nothing answers at the link",
    "link-timeout": "The tunnel's provider gave no address in time",
    "link-unreachable": "The tunnel's provider could not be reached",
    "model-answers-changed": "The model no longer gives the answers that were saved with it",
    "model-damaged": "The saved model is damaged",
    "model-file-not-written": "A file for other tools was not written",
    "model-missing": "There is no such model",
    "model-name": "The model's name cannot be used",
    "model-name-taken": "A model of another kind has this name",
    "model-not-saved": "The model was not saved",
    "model-other-release": "The model was saved by another release",
    "model-other-weights": "The model was trained on other weights",
    "model-unsafe": "The file is never loaded, since it can run code",
    "ngrok-address-taken": "Another notebook uses the account's only address",
    "ngrok-agent-running": "Another ngrok agent already runs",
    "ngrok-certificate": "The certificate for ngrok's server cannot be read",
    "ngrok-not-installed": "ngrok's SDK is not installed",
    "ngrok-token-missing": "ngrok needs an authtoken",
    "photo-class-gone": "You gave the photo a class that no longer exists",
    "photo-copy": "The photo is a copy of another one",
    "photo-empty": "The file is empty",
    "photo-format": "The file is not a photo in a known format",
    "photo-left-out": "You decided to leave the photo out",
    "photo-name": "The file's name cannot be read",
    "photo-pixels": "The photo has too many pixels",
    "photo-small": "The photo is too small",
    "photo-two-classes": "The photo is in several classes",
    "photo-unreadable": "The photo cannot be read",
    "photos-address": "DATA is an address, not a path",
    "photos-archive-kind": "The archive needs another program",
    "photos-class-empty": "A class lacks photos to train on",
    "photos-few-classes": "There are fewer than two classes",
    "photos-layout": "The layout of the photo folders is unclear",
    "photos-missing": "There are no photos at the given path",
    "photos-not-a-folder": "The path leads to neither a folder nor an archive",
    "photos-not-downloaded": "The public photos could not be downloaded",
    "photos-zip-damaged": "The zip could not be unpacked",
    "ray-not-installed": "Ray is not installed",
    "runtime-too-old": "Colab's runtime has an older TensorFlow",
    "runtime-without-tensorflow": "Colab's runtime has no TensorFlow",
    "service-no-room": "The machine has no room for the service",
    "service-refused": "The service refused the test photo",
    "service-unreachable": "The service does not answer",
    "setting-access-code": "ACCESS_CODE cannot be used",
    "setting-backend-url": "BACKEND_URL cannot be used",
    "setting-corrections": "CORRECTIONS_FROM is not a zip of corrections",
    "setting-examples": "EXAMPLES cannot be used",
    "setting-lan-address": "LAN_ADDRESS cannot be used",
    "setting-limits": "LIMITS cannot be used",
    "setting-needs-vgg16": "Only VGG16 can be pruned, unfrozen, or written as a site",
    "setting-origins": "CORS_ORIGINS cannot be used",
    "setting-port": "PORT cannot be used",
    "setting-preprocessing": "PIXELS or FIT cannot be used",
    "setting-prune": "PRUNE or PRUNE_MAX_DROP cannot be used",
    "setting-save-when": "SAVE_WHEN cannot be used",
    "setting-target-accuracy": "TARGET_ACCURACY cannot be used",
    "setting-training": "EPOCHS or SEED cannot be used",
    "setting-tunnel": "TUNNEL cannot be used",
    "setting-type": "A setting has the wrong type",
    "setting-unfreeze": "UNFREEZE cannot be used",
    "setting-unknown": "There is no setting of this name",
    "site-answers-differ": "No network for a browser answers as the model does",
    "site-folder-not-ours": "The folder for the site holds other files",
    "site-needs-vgg16": "A site needs a model on VGG16",
    "site-runtime-missing": "The browser's runtime could not be fetched",
    "table-places-missing": "The command lacks the folders of photos and table",
    "test-photo-unreadable": "The photo named by TEST_PHOTO cannot be read",
    "version-kept": "The version is kept, so it cannot be deleted",
    "version-label": "The version cannot have this label",
    "version-missing": "There is no such version of a model",
    "version-no-earlier": "There is no earlier version to go back to",
    "version-none-waiting": "No other version waits to take over",
    "version-not-changed": "The version's folder cannot be changed",
    "version-not-ours": "The folder is not one that notebook 1 made",
    "version-served": "The version is serving testers now",
    "version-shipped": "The version comes with the suite",
    "weights-missing": "The network's weights could not be loaded",
}


class UserError(Exception):
    """Something a user can put right.

    Args:
        code: one of `CODES`.
        message: says to a person what happened and what to do next; it is what `str` gives.

    Raises:
        KeyError: the code is not in the table.
    """

    def __init__(self, code: str, message: str):
        CODES[code]
        super().__init__(message)
        self.code = code
        self.add_note(f"[{code}]")  # in tracebacks, too, which are all that some ways from other machines leave of it

    def __reduce__(self):
        return type(self), (self.code, str(self))  # or it cannot come back from another process

    def shown(self) -> str:
        """Return what a person gets to see in the place of a traceback."""
        return f"⚠ {self} [{self.code}]"

    def _render_traceback_(self):
        """Show IPython the message alone."""
        return [self.shown()]


@contextmanager
def for_the_command_line(stopped: str) -> Iterator[None]:
    """End a command with the message of a UserError, or with `stopped` after Ctrl-C, instead of a traceback."""
    try:
        yield
    except UserError as error:
        sys.exit(error.shown())
    except KeyboardInterrupt:
        sys.exit(stopped)
