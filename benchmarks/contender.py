"""One contender in a process of its own: told on standard input what to run how often, answers with seconds each.

It exists so that contenders with different environments can take turns on the same machine.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # whatever libraries print must not get into the answers
module = importlib.import_module(f"peers.{sys.argv[1]}")
runs = {}
for line in sys.stdin:
    what, count, arguments = json.loads(line)
    key = (what, json.dumps(arguments))
    try:
        if key not in runs:
            runs[key] = getattr(module, what)(**arguments)
            for _ in range(2):
                runs[key]()
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            runs[key]()
            seconds.append(time.perf_counter() - start)
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answer = {"seconds": seconds, "megabytes": megabytes}
    except Exception as error:  # noqa: BLE001 - a contender that cannot run is a line in the table
        answer = {"error": f"{type(error).__name__}: {error}"[:200]}
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
