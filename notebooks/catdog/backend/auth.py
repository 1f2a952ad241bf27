"""The access code: if one is set, the service answers only clients whose link contains it."""

import hmac

from apiflask import HTTPTokenAuth
from flask import current_app, request

from .problems import Problem
from .service import service


class _AccessCode(HTTPTokenAuth):
    """Token authentication that lets everybody in if no code is set, and tells a missing code from a wrong one."""

    def authenticate(self, auth, stored_password) -> bool:
        admission = service().admission
        wanted, code = current_app.config["ACCESS_CODE"], getattr(auth, "token", None) or ""
        if not wanted:
            return True
        if request.method == "GET":  # `Admission.enter` has counted a POST
            admission.count()
        # The right code always works, whatever others at the same address have tried: a school class shares one.
        if hmac.compare_digest(code.encode(), wanted.encode()):
            return True
        if code:
            admission.note_wrong_code()
            raise Problem("code-wrong", "This access code is wrong. Ask the person who sent you the link.")
        raise Problem("code-missing", "This service requires an access code. It is part of the link you were sent.")


access = _AccessCode(description="The access code in the link (`#code=…`), if the service requires one.")
