"""Schemas of requests and responses, for the description at /openapi.json."""

from apiflask import Schema
from apiflask.fields import Boolean, Dict, File, Float, Integer, List, Nested, String
from apiflask.validators import Length
from flask import current_app
from marshmallow import INCLUDE

from ..data.images import THUMBNAIL_SIDE
from . import problems


def _old(now: str) -> dict:
    """Return the arguments of a field that repeats `now` under its former name; it goes with the next release."""
    metadata = {"deprecated": True, "description": f"`{now}` by its name of before."}
    return {"attribute": now, "dump_only": True, "metadata": metadata}


def says_yes(text: str) -> bool:
    """Whether a form's field means true, as `Boolean` reads it."""
    return text in Boolean.truthy


class Photos(Schema):
    images = List(
        File(),
        required=True,
        validate=Length(min=1),
        metadata={"description": "One or more photos, each a part of this name."},
    )


class PhotosToPredict(Photos):
    thumbnails = Boolean(
        metadata={"description": "`1` for a small picture of each photo, such as HEIC, which few browsers show."}
    )


class PhotoToExplain(Photos):
    images = List(
        File(), required=True, validate=Length(equal=1), metadata={"description": "One photo, in a part of this name."}
    )
    label = String(metadata={"description": "The class to explain; without it, the most probable one."})


class PhotoToCorrect(PhotoToExplain):
    label = String(metadata={"description": "The class that it really is; without it, none of them."})


class Correction(Schema):
    label = String(required=True, metadata={"description": "What is kept of the tester's word."})
    kept = String(required=True, **_old("label"))


class ProblemSchema(Schema):
    type = String(required=True)
    title = String(required=True)
    status = Integer(required=True)
    detail = String(required=True)


class Probabilities(Dict):
    """Probabilities by class, sent as they are: looking at each of a thousand takes longer than the network."""

    def _serialize(self, value, attr, obj, **kwargs):
        return value


class Prediction(Schema):
    filename = String(required=True)
    label = String(metadata={"description": "The most probable class; absent where there is an error."})
    confident = Boolean(
        metadata={"description": "False where the model is not sure: by its threshold, or not `in_distribution`."}
    )
    in_distribution = Boolean(
        metadata={"description": "False where the photo is unlike all that the model was trained on."}
    )
    sure = Boolean(**_old("confident"))
    familiar = Boolean(**_old("in_distribution"))
    probabilities = Probabilities(
        keys=String(), values=Float(), metadata={"description": "Every class with its probability."}
    )
    thumbnail = String(
        metadata={
            "description": f"A JPEG of {THUMBNAIL_SIDE} pixels a side in base64, where `thumbnails` asked for it: the "
            "photo as the model sees it."
        }
    )
    error = Nested(ProblemSchema, metadata={"description": "Why this photo has no answer."})


class Predictions(Schema):
    model = String(required=True, metadata={"description": "<name>/<version> of the model that answered."})
    corrections = Boolean(metadata={"description": "There, and true, where `POST /corrections` keeps corrections."})
    predictions = List(Nested(Prediction), required=True, metadata={"description": "One for each photo, in order."})


class Explanation(Schema):
    model = String(required=True, metadata={"description": "<name>/<version> of the model that answered."})
    filename = String(required=True)
    label = String(required=True, metadata={"description": "The most probable class."})
    confident = Boolean(required=True)
    in_distribution = Boolean(required=True)
    sure = Boolean(required=True, **_old("confident"))
    familiar = Boolean(required=True, **_old("in_distribution"))
    probabilities = Probabilities(keys=String(), values=Float(), required=True)
    target = String(required=True, metadata={"description": "The class that the heat map is about."})
    explained = String(required=True, **_old("target"))
    fit = String(
        required=True,
        metadata={
            "description": "The part of the upright photo that the model looks at, which the heat map covers: `crop`, "
            "the middle square; `squeeze`, the whole photo."
        },
    )
    heatmap = List(
        List(Float()),
        required=True,
        metadata={
            "description": "Where in the photo the evidence for it lies (Grad-CAM): rows from the top of as many "
            "numbers from 0 to 1, stretched over that part: for 224 pixels 14 of VGG16, 7 of other backbones."
        },
    )
    heat = List(List(Float()), required=True, **_old("heatmap"))


class Example(Schema):
    filename = String(required=True, metadata={"description": "A number; not the name of the author's file."})
    image = String(
        required=True,
        metadata={"description": "The file of a JPEG in base64, upright, of at most 512 pixels on its longer side."},
    )


class Examples(Schema):
    examples = List(Nested(Example), required=True, metadata={"description": "At most four, always the same."})


class OriginalPrediction(Schema):
    prediction = Dict(keys=String(), values=Float(), required=True)


class State(Schema):
    status = String(required=True)


class Alive(State):
    instance = String(required=True, metadata={"description": "Another one after each start."})


class Card(Schema):
    """The part of a model's card that every card has, and what the service adds."""

    class Meta:
        unknown = INCLUDE

    name = String(required=True)
    version = String(required=True)
    classes = List(String(), required=True)
    synthetic = Boolean()
    drawings = Boolean(metadata={"deprecated": True, "description": "Called `synthetic` now."})
    metrics = Dict()
    corrections = Boolean(required=True, metadata={"description": "Whether `POST /corrections` stores corrections."})
    examples = Integer(required=True, metadata={"description": "How many photos `GET /examples` shows."})


_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds after which to ask again.", "schema": {"type": "integer", "minimum": 1}}
}


def refusals(*slugs: str, with_body: bool = False) -> dict[int, dict]:
    """Return OpenAPI's `responses` for the problems that an operation may answer with.

    Args:
        with_body: whether the operation reads a body, which adds some problems.
    """
    always = ("bad-request", "header-too-large", "internal", "not-implemented", "overloaded")
    body = ("too-slow", "request-too-large", "too-many-requests") if with_body else ()
    kinds = [kind for kind in problems.KINDS.values() if kind.slug in (*always, *body, *slugs)]
    return {
        status: {
            "description": "; ".join(kind.title for kind in kinds if kind.status == status),
            "content": {problems.PROBLEM_JSON: {"schema": ProblemSchema}},
            **({"headers": _RETRY_AFTER} if status in problems.WITH_RETRY_AFTER else {}),
        }
        for status in sorted({kind.status for kind in kinds})
    }


def described_calls(spec: dict) -> list[tuple[str, str, dict]]:
    """Return (path, method, operation) of each call in the description at /openapi.json: `POST /predict`, the other
    calls that take a photo, those that show one, and those about the service."""
    calls = [
        (path, method, operation)
        for path, operations in spec["paths"].items()
        for method, operation in operations.items()
        if isinstance(operation, dict)
    ]
    return sorted(calls, key=_place_in_the_docs)


def _place_in_the_docs(call: tuple[str, str, dict]) -> tuple[bool, bool, bool]:
    path, method, operation = call
    return path != "/predict", "Photos" not in operation["tags"], method != "post"


def complete_description(spec: dict) -> dict:
    """Add what decorators cannot: `POST /` takes JSON under any content type, `GET /` is the page, and the access code
    is asked for only where one is set."""
    image = {"type": "string", "description": "The photo's file in base64, with or without a data: prefix."}
    schema = {"type": "object", "properties": {"image": image}, "required": ["image"]}
    spec["paths"]["/"]["post"]["requestBody"] = {"required": True, "content": {"*/*": {"schema": schema}}}
    page = {"description": "The page", "content": {"text/html": {"schema": {"type": "string"}}}}
    spec["paths"]["/"]["get"] = {"summary": "The page for testers", "tags": ["Service"], "responses": {"200": page}}
    if not current_app.config["ACCESS_CODE"]:
        for operations in spec["paths"].values():
            for operation in operations.values():
                operation.pop("security", None)
    return spec
