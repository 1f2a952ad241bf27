"""Every refusal of the service, in one format: RFC 9457 `application/problem+json`."""

from dataclasses import dataclass

from flask import Response, jsonify

from ..data.images import FORMATS_IN_WORDS
from .service import asked

PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    """One kind of problem. Clients can rely on `slug`, `status` and `type`."""

    slug: str
    status: int
    title: str

    @property
    def type(self) -> str:
        """Address of its explanation on /docs."""
        return f"/docs#{self.slug}"


KINDS = {
    kind.slug: kind
    for kind in (
        Kind("bad-request", 400, "The request is malformed"),
        Kind("no-photo", 400, "The request contains no photo"),
        Kind("bad-json", 400, 'The body is not {"image": "<base64>"}'),
        Kind("photo-empty", 400, "The file is empty"),
        Kind("code-missing", 401, "The access code is missing"),
        Kind("code-wrong", 401, "The access code is wrong"),
        Kind("corrections-off", 403, "Corrections are not stored here"),
        Kind("not-found", 404, "There is nothing at this address"),
        Kind("method-not-allowed", 405, "This address does not support this method"),
        Kind("too-slow", 408, "The request arrived too slowly"),
        Kind("request-too-large", 413, "The request is too large"),
        Kind("too-many-photos", 413, "Too many photos in one request"),
        Kind("photo-too-large", 413, "The photo's file is too large"),
        Kind("photo-pixels", 413, "The photo has too many pixels"),
        Kind("photo-format", 415, f"The file is not {FORMATS_IN_WORDS}"),
        Kind("photo-small", 422, "The photo is too small"),
        Kind("photo-unreadable", 422, "The photo is damaged"),
        Kind("photo-slow", 422, "The photo takes too long to read"),
        Kind("label-unknown", 422, "The model does not know this class"),
        Kind("too-many-requests", 429, "Too many requests from one client"),
        Kind("header-too-large", 431, "The request's header is too large"),
        Kind("internal", 500, "Something went wrong in the service"),
        Kind("not-implemented", 501, "The service does not support the request's encoding"),
        Kind("not-ready", 503, "The model is not loaded yet"),
        Kind("overloaded", 503, "The service is busy"),
        Kind("deadline", 504, "There was no answer in time"),
        Kind("corrections-full", 507, "There is no room for more corrections"),
    )
}
_BY_STATUS = {
    400: ("bad-request", "The request cannot be understood. See /docs for what this service offers."),
    404: ("not-found", "See /docs for what this service offers."),
    405: ("method-not-allowed", "See /docs for the methods of this address."),
    408: ("too-slow", "The connection was too slow. Try again with fewer photos at once."),
    413: ("request-too-large", "Send fewer or smaller photos at once."),
    429: ("too-many-requests", "Too many of your requests are in progress. Try again in a few seconds."),
    431: ("header-too-large", "Send shorter headers and a shorter address."),
    500: ("internal", "The photo may be to blame. Try another, and tell the person who gave you the link."),
    501: ("not-implemented", "Send the body as it is, or in chunks."),
    503: ("overloaded", "Many people are sending photos. Try again in a few seconds."),
}
WITH_RETRY_AFTER = (429, 503)
_RETRY_SECONDS = 5


class Problem(Exception):
    """The refusal of a request. `detail` tells a person what happened and what to do.

    Args:
        retry_after: seconds to wait before trying again, sent with statuses in `WITH_RETRY_AFTER`.
    """

    def __init__(self, slug: str, detail: str, retry_after: int = _RETRY_SECONDS):
        super().__init__(detail)
        self.kind = KINDS[slug]
        self.detail = detail
        self.retry_after = retry_after


def of_status(status: int) -> Problem:
    """Return the Problem for a request that Flask, Werkzeug or the server itself refuses."""
    known = status if status in _BY_STATUS else 400 if status < 500 else 500
    return Problem(*_BY_STATUS[known])


def body(problem: Problem) -> dict:
    """Return the members of RFC 9457, and note the problem for the metrics."""
    asked().refusals.append(problem.kind.slug)
    return {
        "type": problem.kind.type,
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": problem.detail,
    }


def response(problem: Problem) -> Response:
    answer = jsonify(body(problem))
    answer.status_code, answer.mimetype = problem.kind.status, PROBLEM_JSON
    if problem.kind.status in WITH_RETRY_AFTER:
        answer.headers["Retry-After"] = str(problem.retry_after)
    if problem.kind.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer
