"""What the service says of itself is so: Schemathesis sends what the description allows, and what it does not."""

import os
import re
import subprocess
import sys

import pytest
from catdog.backend.app import create_app
from catdog.backend.limits import Limits
from catdog.data.feedback import Feedback
from catdog.web.server import Server
from conftest import drawing
from hypothesis import settings

CODE = "for-testers"
EXAMPLES = settings().max_examples
PHASES = "examples,coverage,fuzzing" if EXAMPLES >= 200 else "examples,fuzzing"  # coverage is always of hundreds
CASES = 10 * EXAMPLES
# One worker: several share Hypothesis, and then some stop after their first cases without saying so.
# Left out: no schema says which bytes are a photo, and what is one is taken under any name and content type.
CHECKS = "all", "positive_data_acceptance,negative_data_rejection,missing_required_header"


@pytest.fixture(scope="module")
def asked(classifier, tmp_path_factory):
    """Schemathesis' report on the service."""
    app = create_app(
        classifier, limits=Limits(wrong_codes=10**6), feedback=Feedback("fuzzed", most=10), examples=[drawing()],
        ACCESS_CODE=CODE,
    )  # fmt: skip
    server = Server(app, "127.0.0.1", 0, app_refuses=True)
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json",
        "--checks", CHECKS[0], "--exclude-checks", CHECKS[1], "--header", f"Authorization: Bearer {CODE}",
        "--phases", PHASES, "--max-examples", str(16 * EXAMPLES // 5), "--workers", "1",
        "--continue-on-failure", "--generation-deterministic", "--no-color",
    ]  # fmt: skip
    same_each_time = {**os.environ, "PYTHONHASHSEED": "0"}
    folder = tmp_path_factory.mktemp("openapi")
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=same_each_time)
    server.stop()
    return done


def test_nothing_breaks_and_every_answer_is_documented(asked):
    assert not asked.returncode, asked.stdout[-6000:] + asked.stderr[-2000:]


def test_every_operation_was_asked_and_often(asked):
    assert int(re.search(r"(\d+) generated", asked.stdout)[1]) >= CASES
    assert re.search(r"Selected: (\d+)/\1\s+Tested: \1\s", asked.stdout)
