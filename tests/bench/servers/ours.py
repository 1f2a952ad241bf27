"""Our backend as notebook 2 starts it, on the engine named in the second argument, with the model whose folder is the
third, or else with the one that ships."""

import sys
import threading
from pathlib import Path

from catdog import paths
from catdog.backend.app import create_app, set_model, start
from catdog.models import bundle
from catdog.models.classifier import load_classifier

if __name__ == "__main__":  # the processes that decode import this file
    app = create_app()
    start(app, int(sys.argv[1]))
    folder = Path(sys.argv[3]) if len(sys.argv) > 3 else paths.SHIPPED_MODEL
    set_model(app, load_classifier(bundle.read(folder), sys.argv[2]))
    threading.Event().wait()
