"""Every refusal of the service, in one shape: RFC 9457 `application/problem+json`."""

from dataclasses import dataclass

from flask import Response, jsonify
from werkzeug.http import HTTP_STATUS_CODES

from ..images import FORMATS_IN_WORDS, MAX_PIXELS

PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    """One kind of problem; clients can rely on `slug`, `status` and the type made of it."""

    slug: str
    status: int
    title: str

    @property
    def type(self) -> str:
        """Where /docs says what it means."""
        return f"/docs#{self.slug}"


KINDS = {
    kind.slug: kind
    for kind in (
        Kind("no-photo", 400, "The request holds no photo"),
        Kind("bad-json", 400, 'The body is not {"image": "<base64>"}'),
        Kind("photo-empty", 400, "The file is empty"),
        Kind("code-missing", 401, "The access code is missing"),
        Kind("code-wrong", 401, "The access code is wrong"),
        Kind("not-found", 404, "There is nothing at this address"),
        Kind("method-not-allowed", 405, "This address does not answer this method"),
        Kind("request-too-large", 413, "The request is too large"),
        Kind("too-many-photos", 413, "Too many photos in one request"),
        Kind("photo-pixels", 413, f"The photo has more than {MAX_PIXELS:,} pixels"),
        Kind("photo-format", 415, f"The file is not {FORMATS_IN_WORDS}"),
        Kind("photo-small", 422, "The photo is too small"),
        Kind("photo-unreadable", 422, "The photo is damaged"),
        Kind("label-unknown", 422, "The model does not know this class"),
        Kind("internal", 500, "Something broke in the service"),
        Kind("not-ready", 503, "The model is not loaded yet"),
        Kind("overloaded", 503, "Too many photos are waiting"),
    )
}
_BY_STATUS = {
    404: ("not-found", "Look at /docs for what this service answers to."),
    405: ("method-not-allowed", "Look at /docs for what this address answers to."),
    413: ("request-too-large", "Send fewer or smaller photos at once."),
    500: ("internal", "The photo may be to blame. Try another, and tell the person who gave you the link."),
}


class Problem(Exception):
    """Raise to refuse a request; `detail` says to a person what happened and what to do."""

    def __init__(self, slug: str, detail: str):
        super().__init__(detail)
        self.kind = KINDS[slug]
        self.detail = detail


def body(problem: Problem) -> dict:
    """The members of RFC 9457."""
    return {
        "type": problem.kind.type,
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": problem.detail,
    }


def response(problem: Problem) -> Response:
    answer = _as_response(body(problem))
    if problem.kind.status in (429, 503):
        answer.headers["Retry-After"] = "5"
    if problem.kind.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def http_response(status: int, detail: str, headers: dict) -> Response:
    """The same shape for what Flask refuses by itself."""
    if status in _BY_STATUS:
        answer = response(Problem(*_BY_STATUS[status]))
    else:
        answer = _as_response(
            {"type": "about:blank", "title": HTTP_STATUS_CODES.get(status, "Error"), "status": status, "detail": detail}
        )
    answer.headers.extend((name, value) for name, value in headers.items() if name == "Allow")
    return answer


def _as_response(members: dict) -> Response:
    answer = jsonify(members)
    answer.status_code, answer.mimetype = members["status"], PROBLEM_JSON
    return answer
