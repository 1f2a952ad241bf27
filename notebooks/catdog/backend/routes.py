"""What the service answers to."""

import base64
import binascii
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from apiflask import APIBlueprint
from flask import current_app, g, render_template, request
from werkzeug.datastructures import FileStorage

from .. import link
from ..classifier import Classifier
from ..images import PhotoRefused, read_photo
from . import problems
from .access import access
from .batching import BatchingQueue, QueueFull
from .problems import Problem
from .schemas import Alive, Card, Explanation, OriginalPrediction, Photos, PhotoToExplain, Predictions, State, refusals

# Decoding may take 400 MB a photo, and each thread keeps some of what it once held: few decode, for all requests.
_decoders = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decoder")

_CODE = ("code-missing", "code-wrong")
_PHOTO = ("photo-empty", "photo-pixels", "photo-format", "photo-unreadable")

api = APIBlueprint("api", __name__, template_folder="templates", tag="Photos")


@dataclass(frozen=True)
class Model:
    """What answers: a classifier, and the queue before it."""

    classifier: Classifier
    queue: BatchingQueue


@api.post("/predict")
@api.auth_required(access)
@api.input(Photos, location="files", validation=False)
@api.output(Predictions)
@api.doc(
    responses=refusals(
        "no-photo", *_CODE, "request-too-large", "too-many-photos", "internal", "not-ready", "overloaded"
    )
)
def predict(files_data):
    """Classify photos

    One or more photos in parts named `images`. A photo that cannot be read has an `error` in its place; the others
    are answered all the same.
    """
    uploads = _uploads(most=current_app.config["MAX_PHOTOS"])
    model, g.photos = _model(), len(uploads)
    photos = list(_decoders.map(_photo_or_problem, [upload.read() for upload in uploads]))
    answers = iter(_probabilities(model, [photo for photo in photos if isinstance(photo, np.ndarray)]))
    predictions = [
        {
            "filename": upload.filename,
            **({"error": problems.body(photo)} if isinstance(photo, Problem) else _labelled(model, next(answers))),
        }
        for upload, photo in zip(uploads, photos)
    ]
    return {"model": model.classifier.bundle.id, "predictions": predictions}


@api.post("/explain")
@api.auth_required(access)
@api.input(PhotoToExplain, location="form_and_files", validation=False)
@api.output(Explanation)
@api.doc(
    responses=refusals(
        "no-photo", *_PHOTO, *_CODE, "request-too-large", "too-many-photos", "label-unknown", "internal", "not-ready",
        "overloaded",
    )
)  # fmt: skip
def explain(form_and_files_data):
    """Explain the answer to one photo

    One photo in a part named `images`, and the class that is asked about in a field named `label`. The answer is that
    of `/predict` with a heat map: where in the photo the evidence for the class lies.
    """
    (upload,) = _uploads(most=1)
    model, g.photos = _model(), 1
    wanted, classes = request.form.get("label", ""), model.classifier.bundle.classes
    if wanted and wanted not in classes:
        raise Problem("label-unknown", f"The model does not know this class. It knows {', '.join(classes)}.")
    photo = _decoders.submit(_read, upload.read()).result()
    found = _in_turn(lambda: model.queue.run(lambda: model.classifier.explain(photo, wanted)))
    answer = _labelled(model, _named(model, found.probabilities.tolist()))
    return {
        "model": model.classifier.bundle.id,
        "filename": upload.filename,
        **answer,
        "explained": wanted or answer["label"],
        "heat": [[round(value, 3) for value in row] for row in found.heat.tolist()],
    }


@api.post("/")
@api.auth_required(access)
@api.output(OriginalPrediction)
@api.doc(
    responses=refusals(
        "bad-json",
        *_PHOTO,
        *_CODE,
        "request-too-large",
        "internal",
        "not-ready",
        "overloaded",
    )
)
def predict_original():
    """Classify one photo in base64

    The contract of the project that this suite grew from: the body is JSON whatever its content type says.
    """
    model, g.photos = _model(), 1
    photo = _decoders.submit(_read, _base64_image(request.get_data())).result()
    return {"prediction": _probabilities(model, [photo])[0]}


@api.get("/healthz")
@api.output(Alive)
@api.doc(tags=["Service"])
def healthz():
    """Is the service alive?"""
    return link.alive()


@api.get("/readyz")
@api.output(State)
@api.doc(tags=["Service"], responses=refusals("not-ready"))
def readyz():
    """Is a model loaded?"""
    _model()
    return {"status": "ready"}


@api.get("/model")
@api.auth_required(access)
@api.doc(
    tags=["Service"],
    responses={
        200: {"description": "The card", "content": {"application/json": {"schema": Card}}},
        **refusals(*_CODE, "not-ready"),
    },
)
def card():
    """The card of the model: classes, backbone, training data, metrics"""
    return _model().classifier.bundle.card


def describe_original_body(spec: dict) -> dict:
    """`POST /` takes JSON under any content type, which a decorator cannot say."""
    image = {"type": "string", "description": "The photo's file in base64, with or without a data: prefix."}
    schema = {"type": "object", "properties": {"image": image}, "required": ["image"]}
    spec["paths"]["/"]["post"]["requestBody"] = {"required": True, "content": {"*/*": {"schema": schema}}}
    return spec


@api.get("/docs")
@api.doc(hide=True)
def docs():
    """The description at /openapi.json, to read."""
    return render_template("docs.html", spec=current_app.spec, kinds=problems.KINDS.values())


def _model() -> Model:
    model = current_app.extensions["catdog"]["model"]
    if model is None:
        raise Problem("not-ready", "The model is still being loaded. Try again in a few seconds.")
    return model


def _uploads(most: int) -> list[FileStorage]:
    uploads = request.files.getlist("images")
    if not uploads:
        raise Problem("no-photo", 'Send photos as multipart/form-data in parts named "images".')
    if len(uploads) > most:
        raise Problem("too-many-photos", f"Send at most {most} in one request, not {len(uploads)}.")
    return uploads


def _probabilities(model: Model, photos: list[np.ndarray]) -> list[dict[str, float]]:
    if not photos:
        return []
    rows = _in_turn(lambda: model.queue.predict(np.stack(photos)))
    return [_named(model, row) for row in rows.tolist()]


def _in_turn(ask: Callable[[], object]):
    try:
        return ask()
    except QueueFull:
        raise Problem("overloaded", "Too many photos are waiting. Try again in a few seconds.") from None


def _named(model: Model, row: list[float]) -> dict[str, float]:
    return {label: round(p, 6) for label, p in zip(model.classifier.bundle.classes, row)}


def _labelled(model: Model, probabilities: dict[str, float]) -> dict:
    label = max(probabilities, key=probabilities.get)
    sure = probabilities[label] >= model.classifier.bundle.sure_from
    return {"label": label, "sure": sure, "probabilities": probabilities}


def _photo_or_problem(data: bytes) -> np.ndarray | Problem:
    try:
        return _read(data)
    except Problem as problem:
        return problem


def _read(data: bytes) -> np.ndarray:
    try:
        return read_photo(data)
    except PhotoRefused as refusal:
        raise Problem(f"photo-{refusal.reason}", str(refusal)) from refusal


def _base64_image(body: bytes) -> bytes:
    try:
        text = json.loads(body)["image"]
        if text.startswith("data:"):
            text = text.partition(",")[2]
        return base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise Problem("bad-json", 'Send JSON such as {"image": "<the photo in base64>"}.') from None
