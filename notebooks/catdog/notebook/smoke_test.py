"""Smoke test: send the service one photo over HTTP, as a tester would."""

import io
from pathlib import Path

import requests

from ..data.synthetic import draw
from ..errors import UserError
from ..web import link

_ANSWER_SECONDS = 60


def photo_or_drawing(path: str = "") -> bytes:
    """Read the file at `path`, or draw a cat as PNG if it is empty. Raises UserError if the file cannot be read."""
    if path:
        try:
            return Path(path).expanduser().read_bytes()
        except OSError as error:
            raise UserError(
                "test-photo-unreadable",
                f"{path} cannot be read ({error.strerror}): set TEST_PHOTO to the path of a photo, or leave it empty.",
            ) from error
    file = io.BytesIO()
    draw("cat", seed=7).save(file, "PNG")
    return file.getvalue()


def predict(url: str, photo: bytes, code: str = "") -> dict:
    """Return what the service at `url` predicts for `photo`, with "label" and "probabilities".

    Args:
        code: the service's access code, if it has one.

    Raises UserError if the service cannot be reached, or refuses the photo, with its reason.
    """
    try:
        with link.session(url) as session:
            response = session.post(
                f"{url}/predict",
                files={"images": ("trial", photo)},
                headers=link.headers(code),
                timeout=_ANSWER_SECONDS,
            )
        answer = response.json()
    except (requests.RequestException, ValueError) as error:
        raise UserError(
            "service-unreachable",
            f"The service at {url} does not answer: run the cells above again. ({type(error).__name__})",
        ) from error
    problem = answer if not response.ok else answer["predictions"][0].get("error")
    if problem:
        raise UserError("service-refused", f"The service refused it: {problem.get('detail', response.status_code)}")
    return answer["predictions"][0]
