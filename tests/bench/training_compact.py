"""Our training with a compact twin, as notebook 1 makes it with COMPACT=auto. Prints a JSON object.

usage: training_compact.py FOLDER   (MODELS_DIR and CATDOG_CACHE are empty)
"""

import json
import sys
import time
from pathlib import Path

from catdog.training.pruned_models import AUTO
from training_ours import fine_tune

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    fine_tune(folder)  # what is kept from this is not what is measured
    began = time.perf_counter()
    *_, dial, model = fine_tune(folder, AUTO)
    seconds = time.perf_counter() - began
    taken = dial.chosen and dial.chosen.times
    print(json.dumps({"seconds": seconds, "said": str(dial), "taken": taken, "model": str(model.folder)}))
