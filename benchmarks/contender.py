"""Runs one contender of `model.py` in its own process: requests on standard input, seconds on standard output.

Contenders with different environments can thus take turns on the same machine.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
replies = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print must not get into the replies
if sys.argv[1] == "ours":
    from pix2pix.tensorflow import configure_tensorflow

    configure_tensorflow()  # the others run with the defaults of their framework
module = importlib.import_module(f"peers.{sys.argv[1]}")
runs = {}
warm_up = 0.0
for line in sys.stdin:
    function, count, arguments = json.loads(line)
    key = (function, json.dumps(arguments))
    try:
        if key not in runs:
            if os.environ.get("ONE_RUN"):  # so that the memory of one is not counted for the next
                runs.clear()
                gc.collect()
            start = time.perf_counter()
            runs[key] = getattr(module, function)(**arguments)
            for _ in range(2):
                runs[key]()
            warm_up = time.perf_counter() - start
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            runs[key]()
            seconds.append(time.perf_counter() - start)
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        reply = {"seconds": seconds, "megabytes": megabytes, "warm_up": warm_up}
        if hasattr(module, "peak_megabytes"):
            reply["gpu_megabytes"] = module.peak_megabytes()
    except Exception as error:  # noqa: BLE001 - a contender that cannot run is a line in the table
        reply = {"error": f"{type(error).__name__}: {error}"[:200]}
    replies.write(json.dumps(reply) + "\n")
    replies.flush()
