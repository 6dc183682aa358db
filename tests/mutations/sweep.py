"""Applies each mutation in a scratch copy of the repository and runs the tests that must fail.

Run: ``python tests/mutations/sweep.py [--only TEXT] [--slice K/N] [--verdicts FILE]``. Prints one line per mutation,
and at the end how many of them were killed. A mutation is killed if each of its tests fails in its body; a product that
cannot be imported counts as a survivor, since any test would fail then.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import NoReturn

import pytest
from mutations import ROOT, Mutation, load

PRELOADED = (
    "grpc",
    "hypothesis",
    "jinja2",
    "kfp",
    "kubernetes",
    "msgspec",
    "numpy",
    "pachyderm_sdk",
    "PIL",
    "psutil",
    "rich",
)
"""Libraries that are imported once: the tests of each mutation run in a fork of this process."""

LIMIT = 150
"""Seconds that a test may take before it counts as failed; a process that is stuck beyond that in C code is killed."""

CHEATS = ("SyntaxError", "IndentationError", "ImportError", "ModuleNotFoundError", "NameError", "UnboundLocalError")
"""Errors of code that could not have been shipped: no test deserves credit for them."""


HARMLESS = Mutation(
    name="heartbeats a second rarer",
    guarantee="",
    file="pachyderm/queue/claims.py",
    old="RENEW_EVERY = 30.0",
    new="RENEW_EVERY = 31.0",
    tests=("tests/stages/test_attempts.py::test_an_attempt_of_another_run_does_not_take_a_live_claim_over",),
)
"""Shows that the sweep distinguishes a survivor from a mutation that was killed."""


class Copy:
    """A copy of the repository's files, in which tests run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listed, capture_output=True, check=True).stdout.decode().split("\0"):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)

    def survived(self, mutation: Mutation) -> str:
        """Apply a mutation, run its tests and undo it; return why it counts as a survivor, empty if it was killed."""
        path = self._folder / mutation.file
        original = path.read_text()
        path.write_text(mutation.applied_to(original))
        try:
            return "; ".join(filter(None, (self._verdict(mutation.module, part) for part in parts(mutation.tests))))
        finally:
            path.write_text(original)

    def red(self, tests: Iterable[str]) -> set[str]:
        """Run tests on the unchanged product; return those that do not pass."""
        failed = set()
        for part in parts(tests):
            results, _ = self._run("pix2pix.errors", part)
            failed |= {test for test in part if results.get(test) != {"passed"}}
        return failed

    def _verdict(self, module: str, tests: Sequence[str]) -> str:
        results, output = self._run(module, tests)
        if not results:
            return f"the tests did not run, or did not end: {output[-1000:]}"
        return "; ".join(
            f"{test} is {'/'.join(sorted(results.get(test, {'missing'})))}"
            for test in tests
            if "failed" not in results.get(test, set())
        )

    def _run(self, module: str, tests: Sequence[str]) -> tuple[dict[str, set[str]], str]:
        """Run tests; return test -> its outcomes (several if it is parametrized), and what was printed."""
        report, log = self._folder / "report.xml", self._folder / "output.txt"
        report.unlink(missing_ok=True)
        options = ["-p", "no:cacheprovider", "-q", "-n", "0", "--timeout", str(LIMIT), "-o", "junit_family=xunit1"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # about what was imported before the fork
        child = os.fork()
        if child == 0:
            self._enter(log)
            _import_and_test(module, [*options, f"--junit-xml={report}", *tests])
        killer = threading.Timer((len(tests) + 1) * LIMIT, os.kill, (child, signal.SIGKILL))
        killer.start()
        os.waitpid(child, 0)
        killer.cancel()
        killer.join()
        results: dict[str, set[str]] = {}
        for case in ElementTree.parse(report).iter("testcase") if report.exists() else ():
            name = f"{case.get('file')}::{(case.get('name') or '').partition('[')[0]}"
            results.setdefault(name, set()).add(outcome(case))
        return results, log.read_text(errors="replace")

    def _enter(self, log: Path) -> None:
        """Let a forked process work in the copy, with its output in a file."""
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(self._folder)
        os.environ |= {"PYTHONPATH": str(self._folder), "PYTHONDONTWRITEBYTECODE": "1"}
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(self._folder))


def _import_and_test(module: str, arguments: list[str]) -> NoReturn:
    """Import the mutated module, so that a mutation that breaks the import is not taken for killed; then test."""
    code = 1
    try:
        importlib.import_module("pix2pix.tensorflow").configure_tensorflow()
        importlib.import_module(module)
        code = pytest.main(arguments)
    except BaseException:  # noqa: BLE001 - nothing of this process may return into the sweep
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def outcome(case: ElementTree.Element) -> str:
    """Return how a test ended: passed, failed, skipped, error (outside its body), or cheated (see `CHEATS`)."""
    failure = case.find("failure")
    if failure is not None:
        return "cheated" if (failure.get("message") or "").startswith(CHEATS) else "failed"
    return next((kind for kind in ("error", "skipped") if case.find(kind) is not None), "passed")


def parts(tests: Iterable[str]) -> list[list[str]]:
    """Group tests by folder: modules of two folders may have the same name."""
    return [list(part) for _, part in groupby(sorted(tests), key=lambda test: test.split("::")[0].rpartition("/")[0])]


class Verdicts:
    """A file of the mutations that were killed, each as its digest and name: a sweep goes on where it stopped."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path is not None and path.exists() else []
        self._killed = {line.partition(" ")[0] for line in lines}

    def __contains__(self, mutation: Mutation) -> bool:
        return self._digest(mutation) in self._killed

    def add(self, mutation: Mutation) -> None:
        """Note that a mutation was killed."""
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(f"{self._digest(mutation)} {mutation.name}\n")

    @staticmethod
    def _digest(mutation: Mutation) -> str:
        """Return a digest that changes with the mutation itself."""
        return hashlib.sha256(repr(mutation).encode()).hexdigest()[:16]


def sweep(chosen: Sequence[Mutation], verdicts: Verdicts, trusted: bool = False) -> list[str]:
    """Apply the mutations one by one; return the names of those that survived.

    Args:
        chosen: the mutations.
        verdicts: those that were killed before, which are not tried again.
        trusted: whether the tests are known to pass on the unchanged product; otherwise each mutation's are run on it
            before it is applied.
    """
    for library in PRELOADED:
        importlib.import_module(library)
    survivors = []
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy = Copy(Path(folder))
        green: set[str] = set()
        for mutation in chosen:
            if mutation in verdicts:
                continue
            began = time.monotonic()
            red = set() if trusted else copy.red(set(mutation.tests) - green)
            green |= set(mutation.tests) - red
            useless = ", ".join(sorted(red))
            why = f"{useless} fails without any mutation" if useless else copy.survived(mutation)
            seconds = time.monotonic() - began
            print(f"{'SURVIVED' if why else 'killed'} {seconds:6.1f} s  {mutation.name}", flush=True)  # noqa: T201
            if why:
                print(f"    {mutation.file}: {why}", flush=True)  # noqa: T201
                survivors.append(mutation.name)
            else:
                verdicts.add(mutation)
    return survivors


def main(arguments: Sequence[str]) -> int:
    """Run the sweep; return 0 if every mutation was killed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="names of mutations; all without")
    parser.add_argument("--only", default="", metavar="TEXT", help="mutations whose name or file contains TEXT")
    parser.add_argument("--slice", default="1/1", metavar="K/N", help="every N-th mutation, from the K-th")
    parser.add_argument(
        "--verdicts", type=Path, metavar="FILE", help="skip the killed ones that FILE names; add others"
    )
    parser.add_argument("--harmless", action="store_true", help="also a change that breaks nothing and must survive")
    parser.add_argument("--trusted", action="store_true", help="do not run the tests on the unchanged product first")
    options = parser.parse_args(arguments)
    number, count = map(int, options.slice.split("/"))
    named = [
        mutation
        for mutation in load()
        if mutation.name in (options.names or [mutation.name])
        and (options.only in mutation.name or options.only in mutation.file)
    ]
    chosen = [*named[number - 1 :: count], *[HARMLESS] * options.harmless]
    survivors = sweep(chosen, Verdicts(options.verdicts), options.trusted)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} killed", flush=True)  # noqa: T201
    return bool(survivors)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
