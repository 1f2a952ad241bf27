"""`make site`: a saved model as a website of static files."""

from pathlib import Path

from ..errors import for_the_command_line
from ..models.bundle import read_newest
from ..settings import environment_first
from .export import export_site

if __name__ == "__main__":
    model, out, language = environment_first(MODEL="", OUT="", LANGUAGE="")
    with for_the_command_line("Stopped: the folder keeps what it has."):
        print(export_site(read_newest(model), Path(out).expanduser() if out else None, language))
