"""What goes in and out, for the description at /openapi.json."""

from apiflask import Schema
from apiflask.fields import Boolean, Dict, File, Float, Integer, List, Nested, String

from . import problems


class Photos(Schema):
    images = List(File(), required=True, metadata={"description": "One or more photos, each a part of this name."})


class ProblemSchema(Schema):
    type = String(required=True)
    title = String(required=True)
    status = Integer(required=True)
    detail = String(required=True)


class Prediction(Schema):
    filename = String(required=True)
    label = String(metadata={"description": "The most probable class; absent where there is an error."})
    probabilities = Dict(keys=String(), values=Float(), metadata={"description": "Every class with its probability."})
    error = Nested(ProblemSchema, metadata={"description": "Why this photo has no answer."})


class Predictions(Schema):
    model = String(required=True, metadata={"description": "<name>/<version> of the model that answered."})
    predictions = List(Nested(Prediction), required=True, metadata={"description": "One for each photo, in order."})


class OriginalPrediction(Schema):
    prediction = Dict(keys=String(), values=Float(), required=True)


class State(Schema):
    status = String(required=True)


class Alive(State):
    instance = String(required=True, metadata={"description": "Another one after each start."})


class Card(Schema):
    """Of a model's card only what every card has."""

    name = String(required=True)
    version = String(required=True)
    classes = List(String(), required=True)
    drawings = Boolean()
    metrics = Dict()


def refusals(*slugs: str) -> dict[int, dict]:
    """OpenAPI's `responses` for the problems that an operation may answer with."""
    kinds = [problems.KINDS[slug] for slug in slugs]
    return {
        status: {
            "description": "; ".join(kind.title for kind in kinds if kind.status == status),
            "content": {problems.PROBLEM_JSON: {"schema": ProblemSchema}},
        }
        for status in sorted({kind.status for kind in kinds})
    }
