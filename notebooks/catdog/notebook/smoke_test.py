"""The service tries itself, as a tester would: one photo over HTTP."""

import io
from pathlib import Path

import requests

from ..data.synthetic import draw
from ..errors import UserError
from ..web import link

_ANSWER_SECONDS = 60


def photo_or_drawing(path: str = "") -> bytes:
    """The file at `path`, or without one a drawing of a cat as PNG. Raises UserError when there is no such file."""
    if path:
        try:
            return Path(path).expanduser().read_bytes()
        except OSError as error:
            raise UserError(
                "test-photo-unreadable",
                f"{path} cannot be read ({error.strerror}): set TEST_PHOTO to the path of a photo, or to nothing.",
            ) from error
    file = io.BytesIO()
    draw("cat", seed=7).save(file, "PNG")
    return file.getvalue()


def predict(url: str, photo: bytes, code: str = "") -> dict:
    """What the service at `url` predicts for `photo`: "label" and "probabilities".

    Args:
        code: the service's access code, if it has one.

    Raises UserError when it cannot be reached or refuses the photo, with the reason that it gives.
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
        raise UserError("service-refused", f"The service refused: {problem.get('detail', response.status_code)}")
    return answer["predictions"][0]
