"""Routes of the service."""

import base64
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from apiflask import APIBlueprint
from flask import Response, current_app, render_template, request

from ..data.feedback import FeedbackFull
from ..data.images import as_thumbnail
from ..data.preprocessing import PREPROCESSING, Preprocessing
from ..models.card import public_part
from ..models.card_before import with_names_of_before
from ..models.classifier import Answer
from ..web import link
from . import problems
from .auth import access
from .batching import DeadlinePassed, NotBegun, PhotoQueue, QueueFull, Reservation
from .decoders import DECODERS
from .problems import Problem
from .readiness import try_a_photo
from .schemas import (  # fmt: skip
    Alive,
    Card,
    Correction,
    Examples,
    Explanation,
    OriginalPrediction,
    PhotosToPredict,
    PhotoToCorrect,
    PhotoToExplain,
    Predictions,
    State,
    described_calls,
    refusals,
    says_yes,
)
from .service import Answerer, asked, service
from .uploads import decoded, decoded_alone, photo_in_base64, photos_in_parts

_CODE = ("code-missing", "code-wrong", "too-many-requests")
_PHOTO = ("photo-empty", "photo-too-large", "photo-pixels", "photo-format", "photo-unreadable", "photo-slow")
_PARTS = ("no-photo", "too-many-photos")
_CORRECTIONS = ("corrections-off", "corrections-full")
_MODEL = ("not-ready", "overloaded", "deadline")

api = APIBlueprint("api", __name__, template_folder="templates", tag="Photos")


@dataclass(frozen=True)
class Model:
    """A classifier, and the queue in front of it."""

    classifier: Answerer
    queue: PhotoQueue

    @property
    def preprocessing(self) -> Preprocessing:
        """How photos are read for it."""
        return getattr(self.classifier.bundle, "preprocessing", PREPROCESSING)  # a classifier of one's own may say none


@api.post("/predict")
@api.auth_required(access)
@api.input(PhotosToPredict, location="form_and_files", validation=False)
@api.output(Predictions)
@api.doc(responses=refusals(*_PARTS, *_CODE, *_MODEL, with_body=True))
def predict(form_and_files_data):
    """Classify photos

    One or more photos in parts named `images`. A photo that cannot be read has an `error` in its place; the others
    are answered all the same. With the field `thumbnails` set to `1`, each answer brings a small JPEG of its photo.
    """
    uploads = photos_in_parts(most=service().limits.photos)
    model, asked().photos = _model(), len(uploads)
    with _reserved(model, len(uploads)) as reservation:
        photos = decoded([upload.read() for upload in uploads], model.preprocessing)
        answers = iter(_answers(reservation, [photo for photo in photos if isinstance(photo, np.ndarray)]))
    outcomes = [photo if isinstance(photo, Problem) else next(answers) for photo in photos]
    shown = says_yes(request.form.get("thumbnails", ""))
    predictions = [
        {
            "filename": upload.filename,
            **({"error": problems.body(found)} if isinstance(found, Problem) else _labelled(model, found)),
            **(_thumbnail(photo) if shown and not isinstance(found, Problem) else {}),
        }
        for upload, photo, found in zip(uploads, photos, outcomes)
    ]
    kept = {"corrections": True} if service().feedback else {}
    return {"model": model.classifier.bundle.id, **kept, "predictions": predictions}


@api.post("/explain")
@api.auth_required(access)
@api.input(PhotoToExplain, location="form_and_files", validation=False)
@api.output(Explanation)
@api.doc(responses=refusals(*_PARTS, *_PHOTO, *_CODE, "label-unknown", *_MODEL, with_body=True))
def explain(form_and_files_data):
    """Explain the answer to one photo

    One photo in a part named `images`, and the class that is asked about in a field named `label`. The answer is that
    of `/predict` with a heat map: where in the photo the evidence for the class lies.
    """
    (upload,) = photos_in_parts(most=1)
    model, asked().photos = _model(), 1
    wanted = _known(model, request.form.get("label", ""))
    with _reserved(model, 1) as reservation:
        photo = decoded_alone(upload.read(), model.preprocessing)
        with _network_time():
            found, heat = reservation.run(lambda: model.classifier.explain(photo, wanted), asked().left)
    answer = _labelled(model, found)
    return {
        "model": model.classifier.bundle.id,
        "filename": upload.filename,
        **answer,
        "target": wanted or answer["label"],
        "fit": model.preprocessing.fit,
        "heatmap": [[round(value, 3) for value in row] for row in heat.tolist()],
    }


@api.post("/corrections")
@api.auth_required(access)
@api.input(PhotoToCorrect, location="form_and_files", validation=False)
@api.output(Correction, status_code=201)
@api.doc(responses=refusals(*_PARTS, *_PHOTO, *_CODE, *_CORRECTIONS, "label-unknown", *_MODEL, with_body=True))
def correct(form_and_files_data):
    """Correct the class of a photo

    One photo in a part named `images`, and its class in a field named `label`; without one, it is none of the model's
    classes. The photo is kept as the network sees it, with the model's answer, until the author looks at it.
    """
    feedback = service().feedback
    if not feedback:
        raise Problem("corrections-off", "The author of this service has not asked for corrections.")
    admission = service().admission
    admission.check_corrections()
    (upload,) = photos_in_parts(most=1)
    model, asked().photos = _model(), 1
    label = _known(model, request.form.get("label", "")) or None
    with _reserved(model, 1) as reservation:
        photo = decoded_alone(upload.read(), model.preprocessing)
        (answer,) = _answers(reservation, [photo])
    if isinstance(answer, Problem):
        raise answer
    try:
        if feedback.add(photo, label, {"model": model.classifier.bundle.id, **_labelled(model, answer)}):
            admission.note_correction()
    except FeedbackFull:
        raise Problem("corrections-full", "So many corrections wait for the author that no more are taken.") from None
    except OSError as error:
        current_app.logger.warning("correction not kept", extra={"facts": {"why": str(error.strerror or error)}})
        raise Problem(
            "corrections-full", "The correction could not be kept: tell the person who sent you the link."
        ) from None
    return {"label": label or "none of these"}


@api.post("/")
@api.auth_required(access)
@api.output(OriginalPrediction)
@api.doc(responses=refusals("bad-json", *_PHOTO, *_CODE, *_MODEL, with_body=True))
def predict_original():
    """Classify one photo in base64

    The interface of the project that this suite grew from. The body is JSON, whatever its content type says.
    """
    model, asked().photos = _model(), 1
    with _reserved(model, 1) as reservation:
        (answer,) = _answers(reservation, [decoded_alone(photo_in_base64(), model.preprocessing)])
    if isinstance(answer, Problem):
        raise answer
    return {"prediction": _labelled(model, answer)["probabilities"]}


@api.get("/examples")
@api.auth_required(access)
@api.output(Examples)
@api.doc(responses=refusals(*_CODE))
def examples():
    """Show example photos

    The author of the service may offer up to four photos to testers who have none at hand. They carry no place, no time
    and not the names of their files. Where the author offers none, the list is empty.
    """
    if not current_app.config["ACCESS_CODE"]:  # where there is one, `access` has counted the request
        service().admission.count()
    return {
        "examples": [
            {"filename": f"example-{number}.jpg", "image": base64.b64encode(photo).decode()}
            for number, photo in enumerate(service().examples, 1)
        ]
    }


@api.get("/healthz")
@api.output(Alive)
@api.doc(tags=["Service"])
def healthz():
    """Check that the service is alive"""
    return link.alive()


@api.get("/readyz")
@api.output(State)
@api.doc(tags=["Service"], responses=refusals("not-ready"))
def readyz():
    """Check that photos are answered"""
    model = _model()
    if not service().readiness.check(lambda: try_a_photo(model)):
        raise Problem("not-ready", "Photos cannot be answered at the moment. Try again in a few seconds.")
    return {"status": "ready"}


@api.get("/model")
@api.auth_required(access)
@api.doc(
    tags=["Service"],
    responses={
        200: {"description": "The card, and the number of examples", "content": {"application/json": {"schema": Card}}},
        **refusals(*_CODE, "not-ready"),
    },
)
def card():
    """Show the model's card: classes, backbone, training data, metrics; and what the service offers beside"""
    public = public_part(with_names_of_before(_model().classifier.bundle.card.as_json()))
    return public | {"corrections": service().feedback is not None, "examples": len(service().examples)}


@api.get("/metrics")
@api.auth_required(access)
@api.doc(
    tags=["Service"],
    responses={
        200: {"description": "In Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **refusals(*_CODE),
    },
)
def metrics() -> Response:
    """Show metrics for Prometheus: requests, photos, seconds, batches, queue, refusals, model"""
    return service().metrics.response()


@api.get("/docs")
@api.doc(hide=True)
def docs():
    """Show the description at /openapi.json as a page."""
    address = f"{request.headers.get('X-Forwarded-Proto', request.scheme)}://{request.host}"
    calls = described_calls(current_app.spec)
    return render_template(
        "docs.html", spec=current_app.spec, calls=calls, address=address, kinds=problems.KINDS.values()
    )


def _known(model: Model, label: str) -> str:
    classes = model.classifier.bundle.classes
    if label and label not in classes:
        raise Problem("label-unknown", f"The model does not know this class. It knows {', '.join(classes)}.")
    return label


def _model() -> Model:
    model = service().model
    if model is None:
        raise Problem("not-ready", "The model is still being loaded. Try again in a few seconds.")
    return model


@contextlib.contextmanager
def _reserved(model: Model, photos: int) -> Iterator[Reservation]:
    asked().spent.observe = lambda seconds: model.queue.note_decoding(seconds / DECODERS, 1)
    try:
        waiting = service().admission.photos(photos, model.queue.in_time)
        with waiting, model.queue.reserve(photos) as reservation:
            yield reservation
    except (QueueFull, NotBegun):
        raise Problem("overloaded", "Too many photos are waiting. Try again in a few seconds.") from None
    except DeadlinePassed:
        raise Problem("deadline", "There was no answer in time. Try again later, with fewer photos at once.") from None


@contextlib.contextmanager
def _network_time() -> Iterator[None]:
    """Note the time spent in the network and in its queue, for the log."""
    began = time.perf_counter()
    try:
        yield
    finally:
        asked().spent.network += time.perf_counter() - began


def _answers(reservation: Reservation, photos: list[np.ndarray]) -> list[Answer | Problem]:
    with _network_time():
        outcomes = reservation.predict(np.stack(photos), asked().left) if photos else []
    if outcomes and not isinstance(outcomes[-1], BaseException):
        service().readiness.note_answer()
    return [_broken(found) if isinstance(found, BaseException) else found for found in outcomes]


def _broken(error: BaseException) -> Problem:
    current_app.logger.error("the network broke on a photo", exc_info=error)
    return problems.of_status(500)


def _thumbnail(photo: np.ndarray) -> dict[str, str]:
    """From the pixels that the network saw: no photo is decoded for it."""
    return {"thumbnail": base64.b64encode(as_thumbnail(photo)).decode()}


def _labelled(model: Model, answer: Answer) -> dict:
    found = zip(model.classifier.bundle.classes, answer.probabilities.tolist())
    probabilities = {label: round(probability, 6) for label, probability in found}
    label = max(probabilities, key=probabilities.__getitem__)
    confident, known = answer.confident, answer.in_distribution
    return {"label": label, "confident": confident, "in_distribution": known, "probabilities": probabilities}
