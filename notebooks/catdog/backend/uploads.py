"""Photos of a request, in parts or in base64. They are never written to disk; files that are not photos are refused."""

import base64
import binascii
import io
import json
import re

import numpy as np
from flask import Request, current_app, request
from werkzeug.datastructures import FileStorage

from ..data.preprocessing import Preprocessing
from . import decoding
from .problems import Problem
from .service import asked, service

# An object, perhaps with other texts and numbers before its "image". Anything else is never parsed: 66 MB of brackets
# would block the whole process for ten seconds.
_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_VALUE = _TEXT + rb"|[-+.\w]++"
_IMAGE = re.compile(
    rb"\s*+\{(?:\s*+" + _TEXT + rb"\s*+:\s*+(?:" + _VALUE + rb")\s*+,){0,100}?"
    rb'\s*+"image"\s*+:\s*+(' + _TEXT + rb")\s*+[,}]",
    re.DOTALL,
)
_ESCAPED = {"%2B": "+", "%2F": "/", "%3D": "=", "%20": " ", "%0A": "\n", "%0D": "\r"}
_OTHER_LETTERS = str.maketrans("-_", "+/", "\r\n\t")


class InMemoryRequest(Request):
    """A request whose uploads stay in memory. Werkzeug would write those over 500 kB to temporary files."""

    def _get_file_stream(self, total_content_length, content_type, filename=None, content_length=None):
        return io.BytesIO()


def photos_in_parts(most: int) -> list[FileStorage]:
    """Return the parts named `images`. Raises Problem if there are none, or too many."""
    uploads = request.files.getlist("images")
    if not uploads:
        raise Problem("no-photo", 'Send photos as multipart/form-data in parts named "images".')
    if len(uploads) > most:
        raise Problem("too-many-photos", f"Send at most {most} in one request, not {len(uploads)}.")
    return uploads


def photo_in_base64() -> bytes:
    """Return the photo of the original's `{"image": "<base64>"}`. Raises Problem if the body is anything else."""
    limits = service().limits
    body = request.get_data()
    if len(body) > 2 * limits.photo_bytes:  # base64 takes a third more, and line ends and escapes some
        raise Problem("photo-too-large", f"The photo's file has more than {limits.photo_bytes >> 20} MB.")
    found = _IMAGE.match(body)
    try:
        text = json.loads(found[1] if found else b"")
    except ValueError:
        raise Problem("bad-json", 'Send JSON such as {"image": "<the photo in base64>"}.') from None
    try:
        return _in_base64(text.partition(",")[2] if text.startswith("data:") else text)
    except (ValueError, binascii.Error):
        raise Problem("bad-json", 'The text in "image" is not base64: encode the bytes of the file.') from None


def _in_base64(text: str) -> bytes:
    """Decode base64: also without padding, URL-safe, percent-encoded, or with a space for each plus, as forms send it.
    In text with line ends, spaces are ignored. Raises ValueError or binascii.Error."""
    if not text.isascii():
        raise ValueError("not base64")
    for escaped, letter in _ESCAPED.items():  # urllib's takes seconds and gigabytes for megabytes of percent signs
        text = text.replace(escaped, letter).replace(escaped.lower(), letter)
    text = text.strip()
    letters = text.translate(_OTHER_LETTERS).replace(" ", "" if "\n" in text else "+").rstrip("=")
    return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)


def decoded(files: list[bytes], preprocessing: Preprocessing) -> list[np.ndarray | Problem]:
    """Decode each file to what the model sees, within the service's limits. Raises DeadlinePassed."""
    limits = service().limits
    refused = Problem("photo-too-large", f"The photo's file has more than {limits.photo_bytes >> 20} MB.")
    small = [file for file in files if len(file) <= limits.photo_bytes]
    admission = service().admission
    try:
        outcomes = decoding.decode(
            small, limits.pixels, limits.decode_seconds, asked().left, current_app.config["READ_PHOTO"],
            preprocessing=preprocessing, spent=asked().spent,
        )  # fmt: skip
    finally:
        admission.note_slow_photos(asked().spent.slow)
    found = iter(outcomes)
    return [next(found) if len(file) <= limits.photo_bytes else refused for file in files]


def decoded_alone(file: bytes, preprocessing: Preprocessing) -> np.ndarray:
    """Decode one file as `decoded` does. Raises Problem if it is refused."""
    (found,) = decoded([file], preprocessing)
    if isinstance(found, Problem):
        try:
            raise found
        finally:
            del found  # or it holds this frame, and that the request, until the next garbage collection
    return found
