"""Our backend as notebook 2 starts it, on the engine named in the second argument."""

import sys
import threading

from catdog import bundle, places
from catdog.backend.app import create_app, start, use
from catdog.classifier import load_classifier

if __name__ == "__main__":  # the processes that decode import this file
    app = create_app()
    start(app, int(sys.argv[1]))
    use(app, load_classifier(bundle.read(places.SHIPPED_MODEL), sys.argv[2]))
    threading.Event().wait()
