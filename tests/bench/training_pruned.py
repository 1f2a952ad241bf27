"""Our training with a pruned model, as notebook 1 makes it with PRUNE=auto. Prints a JSON object.

usage: training_pruned.py FOLDER   (MODELS_DIR and CATDOG_CACHE are empty)
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
    *_, trade_off, model = fine_tune(folder, AUTO)
    seconds = time.perf_counter() - began
    taken = trade_off.chosen and trade_off.chosen.macs_reduction
    print(json.dumps({"seconds": seconds, "said": str(trade_off), "taken": taken, "model": str(model.folder)}))
