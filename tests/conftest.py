"""Settings of every test process, as the command line makes them, and the rotation of the long tests."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from long_slices import chosen, durations

from pix2pix.tensorflow import configure_tensorflow

configure_tensorflow()

OWN_LEVELS = ("pachyderm", "pix2pix", "components", "workflows", "workflows.trigger", "workflows.daemon")
"""Loggers whose levels commands and tasks set."""

_ENDS = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("long tests")
    group.addoption("--slice-of", default="", metavar="COMMIT", help="of the long tests, run a commit's slice alone")
    group.addoption("--budget", type=float, default=90.0, metavar="SECONDS", help="that the slice may take  [90]")
    group.addoption("--volume", type=float, default=1.0, metavar="FRACTION", help="of what the long tests do  [1]")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Take back what a command in this process sets up: levels of our loggers, and handlers of the root logger."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
    for package in OWN_LEVELS:
        logging.getLogger(package).setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def eager() -> Iterator[None]:
    """Run TensorFlow's functions without compiling them, which takes longer than a few steps of a tiny network."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def volume(pytestconfig: pytest.Config) -> Callable[[int, int], int]:
    """Return a function that scales a number of repetitions: ``volume(all of them, at least)``."""
    fraction: float = pytestconfig.getoption("volume")
    return lambda whole, least: max(least, round(whole * fraction)) if fraction < 1 else whole


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    commit, budget = config.getoption("slice_of"), config.getoption("budget")
    if not commit:
        return
    by_name = {item.nodeid: item for item in items if item.get_closest_marker("long")}
    names = set(chosen(by_name, commit, budget, durations()))
    left_out = by_name.keys() - names
    config.hook.pytest_deselected(items=[by_name[name] for name in left_out])
    items[:] = [item for item in items if item.nodeid not in left_out]
    for name in names:
        by_name[name].add_marker(pytest.mark.timeout(2 * budget), append=False)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if not item.config.getoption("slice_of") or not item.get_closest_marker("long"):
        return
    now = time.monotonic()
    if now > item.config.stash.setdefault(_ENDS, now + item.config.getoption("budget")):
        pytest.skip("the seconds of the slice are used up")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print which long tests ran, when, and for how long."""
    kinds = ("passed", "failed")
    reports = [report for kind in kinds for report in terminalreporter.getreports(kind)]
    long = sorted((r for r in reports if r.when == "call" and "long" in r.keywords), key=lambda report: report.start)
    if long:
        terminalreporter.section("long tests, in UTC")
    for report in long:
        began = datetime.fromtimestamp(report.start, UTC).strftime("%Y-%m-%d %H:%M:%S")
        terminalreporter.line(f"{began}  {report.duration:8.1f} s  {report.outcome}  {report.nodeid}")
