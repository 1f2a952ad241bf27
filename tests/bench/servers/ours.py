"""Our backend as notebook 2 starts it, on the engine named in the second argument."""

import sys
import threading

from catdog import bundle, places
from catdog.backend.app import create_app, use
from catdog.classifier import load_classifier
from catdog.serving import serve

app = create_app()
serve(app, "backend", int(sys.argv[1]))
use(app, load_classifier(bundle.read(places.SHIPPED_MODEL), sys.argv[2]))
threading.Event().wait()
