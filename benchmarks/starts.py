"""Measures what commands of the command line cost before they do any work: their start on an almost empty store.

    python -m benchmarks.starts [--rounds 15]

Prints the least processor seconds (user and system) of each command over the rounds, in which the commands take turns,
beside those of an interpreter that imports only Pachyderm's SDK, which every command on a store needs.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

COMMANDS = {
    "python, nothing imported": ["-c", ""],
    "import grpc": ["-c", "import grpc"],
    "import pachyderm_sdk": ["-c", "import pachyderm_sdk"],
    "pix2pix --help": ["-m", "cli.main", "--help"],
    "pix2pix status": ["-m", "cli.main", "status"],
    "pix2pix log training": ["-m", "cli.main", "log", "training"],
    "pix2pix models": ["-m", "cli.main", "models"],
}


def processor_seconds(arguments: list[str], folder: Path) -> float:
    """Run Python once in a folder, and return its user and system time."""
    root = str(Path(__file__).resolve().parents[1])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": root}
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        processor_seconds(["-m", "cli.main", "setup"], folder)
        least = dict.fromkeys(COMMANDS, float("inf"))
        for _ in range(rounds):
            for name, arguments in COMMANDS.items():
                least[name] = min(least[name], processor_seconds(arguments, folder))
    print("| command | processor seconds |\n|---|---|")
    for name, seconds in least.items():
        print(f"| `{name}` | {seconds:.2f} |")


if __name__ == "__main__":
    main()
