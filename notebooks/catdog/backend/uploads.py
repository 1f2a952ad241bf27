"""What a request brings: photos in parts or in base64, never written to disk, and refused where they are no photos."""

import base64
import binascii
import io
import json

import numpy as np
from flask import Request, current_app, g, request
from werkzeug.datastructures import FileStorage

from ..preprocessing import Preprocessing
from . import decoding
from .problems import Problem


class InMemoryRequest(Request):
    """Werkzeug writes uploads of over 500 kB to temporary files; ours are small enough to be kept in memory."""

    def _get_file_stream(self, total_content_length, content_type, filename=None, content_length=None):
        return io.BytesIO()


def photos_in_parts(most: int) -> list[FileStorage]:
    """The parts named `images`. Raises Problem where there are none, or too many."""
    uploads = request.files.getlist("images")
    if not uploads:
        raise Problem("no-photo", 'Send photos as multipart/form-data in parts named "images".')
    if len(uploads) > most:
        raise Problem("too-many-photos", f"Send at most {most} in one request, not {len(uploads)}.")
    return uploads


def photo_in_base64() -> bytes:
    """The photo of the original's `{"image": "<base64>"}`. Raises Problem where the body is none."""
    try:
        text = json.loads(request.get_data())["image"]
        if text.startswith("data:"):
            text = text.partition(",")[2]
        return base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise Problem("bad-json", 'Send JSON such as {"image": "<the photo in base64>"}.') from None


def decoded(files: list[bytes], preprocessing: Preprocessing) -> list[np.ndarray | Problem]:
    """Each file as the model sees it, within the service's limits. Raises DeadlinePassed."""
    limits = current_app.extensions["catdog"]["limits"]
    refused = Problem("photo-too-large", f"The photo's file has more than {limits.photo_bytes >> 20} MB.")
    small = [file for file in files if len(file) <= limits.photo_bytes]
    admission = current_app.extensions["catdog"]["admission"]
    outcomes = decoding.decode(
        small, limits.pixels, limits.decode_seconds, g.left, current_app.config["READ_PHOTO"],
        preprocessing=preprocessing, spent=g.spent,
    )  # fmt: skip
    admission.note_slow_photos(sum(map(decoding.is_slow, outcomes)))
    found = iter(outcomes)
    return [next(found) if len(file) <= limits.photo_bytes else refused for file in files]


def decoded_alone(file: bytes, preprocessing: Preprocessing) -> np.ndarray:
    """Like `decoded`, for one. Raises Problem where it is refused."""
    (found,) = decoded([file], preprocessing)
    if isinstance(found, Problem):
        raise found
    return found
