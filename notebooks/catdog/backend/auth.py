"""The access code: with one set, the service answers only those whose link carries it."""

import hmac

from apiflask import HTTPTokenAuth
from flask import current_app, request

from .problems import Problem
from .service import service


class _AccessCode(HTTPTokenAuth):
    """Asks nothing where no code is set, and says whether a code is missing or wrong."""

    def authenticate(self, auth, stored_password) -> bool:
        admission = service().admission
        wanted, code = current_app.config["ACCESS_CODE"], getattr(auth, "token", None) or ""
        if not wanted:
            return True
        if request.method == "GET":  # `Admission.enter` has counted a POST
            admission.count()
        # The right code lets in whatever others at the same address try: a class shares one.
        if hmac.compare_digest(code.encode(), wanted.encode()):
            return True
        if code:
            admission.note_wrong_code()
            raise Problem("code-wrong", "This access code is not the right one. Ask the person who sent you the link.")
        raise Problem("code-missing", "This service asks for an access code. It is in the link that you were sent.")


access = _AccessCode(description="The access code of the link (`#code=…`), where the service asks for one.")
