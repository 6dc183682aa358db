"""Runs that are forked from a prepared process are like those of a process of their own, and end like them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from trivial_pipelines import compile_all

from pachyderm.client.connection import Target
from workflows.runners.local import MARK, LocalRunner, child_environment
from workflows.runners.prepared import prepared_process
from workflows.runners.prepared.prepared_process import LIFETIME, PreparedProcess
from workflows.runners.prepared.prepared_run import prepare
from workflows.runners.prepared.task_forks import arguments_of
from workflows.runners.processes import kill_marked, start_of
from workflows.runners.runner import Phase, RunKey, RunState

SET = "0123456789abcdef0123456789abcdef"


def until(condition: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    return child_environment(Target(store=folder / "store"), folder / "scratch", os.environ)


@pytest.fixture(scope="module")
def prepared(environment: dict[str, str]) -> Iterator[PreparedProcess]:
    """A prepared process with Kubeflow's libraries alone: TensorFlow takes seconds to import."""
    own = {**environment, "OF_THE_PREPARED_PROCESS": "alone"}
    process = PreparedProcess(own, MARK, modules=("kfp.local", "kfp.dsl.executor_main"))
    until(process.is_ready)
    yield process
    process.close()


@pytest.fixture(scope="module")
def runner(folder: Path, environment: dict[str, str], prepared: PreparedProcess) -> Iterator[LocalRunner]:
    pipelines = compile_all(folder)
    made = LocalRunner(folder / "my runs", environment, pipelines, prepared=prepared)
    yield made
    made.close()


def started(runner: LocalRunner, attempt: int, **arguments: str) -> tuple[RunKey, psutil.Process]:
    """A run, and its process, which is forked."""
    key = RunKey("trivial", SET, attempt)
    runner.start(key, arguments)
    (child,) = (child for run, child in runner._children.items() if run.endswith(f"-{attempt}"))
    assert "prepared_run" in " ".join(psutil.Process(child.process.pid).cmdline())
    return key, psutil.Process(child.process.pid)


def ended(runner: LocalRunner, key: RunKey) -> RunState:
    until(lambda: runner.find(key)[0].over)
    until(lambda: runner.poll() or not any(run.endswith(f"-{key.attempt}") for run in runner._children))
    return runner.find(key)[0]


def task(mark: Path) -> int:
    """The process of the task that waits."""
    until(lambda: mark.exists() and mark.read_text().endswith("\n"))
    return int(mark.read_text().split()[-1])


def gone(pid: int) -> None:
    until(lambda: start_of(pid) is None)


def test_a_forked_run_has_the_outputs_the_log_and_the_folders_of_one_in_a_process_of_its_own(
    runner: LocalRunner, folder: Path, environment: dict[str, str]
) -> None:
    other = LocalRunner(folder / "other runs", environment, runner._pipelines)
    key, _ = started(runner, 1, commit_set=SET, number="41")
    other.start(key, {"commit_set": SET, "number": "41"})
    states = [ended(made, key) for made in (runner, other)]
    assert states[0].phase is Phase.SUCCEEDED and states[0].outputs == states[1].outputs
    lines = [len(Path(state.link).read_text().splitlines()) for state in states]
    assert lines[0] == lines[1]
    assert not list((folder / "my runs" / states[0].run).glob("tmp*"))


def test_a_forked_task_has_the_environment_of_one_in_a_process_of_its_own(
    runner: LocalRunner, folder: Path, environment: dict[str, str]
) -> None:
    other = LocalRunner(folder / "runs with an environment", environment, runner._pipelines)
    key, _ = started(runner, 8, hyperparameters=f"environment={folder / 'forked'}")
    other.start(key, {"hyperparameters": f"environment={folder / 'fresh'}"})
    assert [ended(made, key).phase for made in (runner, other)] == [Phase.SUCCEEDED] * 2
    forked, fresh = (set((folder / name).read_text().split()) for name in ("forked", "fresh"))
    assert forked == fresh


def test_a_forked_task_that_fails_or_is_killed_is_the_runs_end_with_its_cause(runner: LocalRunner) -> None:
    failing, _ = started(runner, 2, hyperparameters="fail=no")
    killed, _ = started(runner, 3, hyperparameters="die=self")
    state = ended(runner, failing)
    assert state.phase is Phase.FAILED and state.error.startswith("ValueError: told to fail: no")
    state = ended(runner, killed)
    assert state.phase is Phase.INTERRUPTED and state.error.startswith("killed by SIGKILL")


def test_a_forked_run_ends_with_its_tasks_however_it_is_ended(runner: LocalRunner, folder: Path) -> None:
    runs = {}
    for number, how in enumerate(("terminated", "killed", "marked"), 4):
        key, process = started(runner, number, hyperparameters=f"mark={folder / how},wait=never")
        runs[how] = key, process, task(folder / how)
    key, _, work = runs["terminated"]
    runner.terminate(runner.find(key)[0].run, "enough")
    assert ended(runner, key).phase is Phase.TERMINATED
    gone(work)
    key, process, work = runs["killed"]
    process.send_signal(signal.SIGKILL)
    assert ended(runner, key).phase is Phase.VANISHED
    gone(work)
    key, process, work = runs["marked"]
    assert {process.pid, work} <= set(kill_marked(MARK, str(runner._folder / runner.find(key)[0].run))), (
        "found by the run's mark"
    )
    gone(work)
    assert ended(runner, key).phase is Phase.VANISHED


def test_a_forked_run_ends_with_its_starter(
    folder: Path, environment: dict[str, str], runner: LocalRunner, prepared: PreparedProcess
) -> None:
    starter = LocalRunner(folder / "its runs", environment, runner._pipelines, prepared=prepared)
    key, process = started(starter, 7, hyperparameters=f"mark={folder / 'its'},wait=never")
    work = task(folder / "its")
    for child in starter._children.values():
        child.close_lifeline()  # as the end of the process does
    gone(process.pid)
    gone(work)
    assert ended(starter, key).phase is Phase.INTERRUPTED


def test_changed_code_age_and_the_end_of_the_process_lead_to_fresh_processes(
    environment: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    process = PreparedProcess(environment, MARK, lambda: now[0], modules=())

    def refused() -> None:
        first = process._current
        assert process.start(folder, 1, {**environment, MARK: "run"}) is None
        assert process._current is not first
        until(process.is_ready)

    until(process.is_ready)
    now[0] += LIFETIME + 1
    refused()
    monkeypatch.setattr(prepared_process, "_stamp", lambda: "changed")
    refused()
    assert process._current is not None
    process._current.process.kill()
    process._current.process.wait()
    refused()
    long = {**environment, MARK: "x" * 1000}
    assert process.start(folder, 1, long) is None, "the mark does not fit"
    process.close()


def test_a_process_whose_forks_would_lack_a_thread_serves_none(environment: dict[str, str], folder: Path) -> None:
    source = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    (folder / "threaded.py").write_text(source)
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    process = PreparedProcess({**environment, "PYTHONPATH": path}, MARK, modules=("threaded",))
    process.begin()
    until(lambda: process.is_ready() or process._current is None)
    assert process._current is None
    assert process.start(folder, 1, {**environment, MARK: "run"}) is None
    assert process._current is None, "no other one is tried"


def test_no_fork_is_made_on_a_machine_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search for GPUs has initialized CUDA, which no fork can use."""
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    for devices in ([], ["GPU:0"]):
        config = SimpleNamespace(list_physical_devices=lambda kind, found=devices: found)
        monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(config=config))
        assert prepare(()) is not bool(devices)


def test_only_commands_of_a_component_are_executed_in_a_fork() -> None:
    script = 'printf "%s" "$0" > "$program_path/ephemeral_component.py"; python3 -m kfp.dsl.executor_main "$@"'
    assert arguments_of(["sh", "-ec", script, "source", "--executor_input", "{}"]) == [
        "source",
        "--executor_input",
        "{}",
    ]
    assert arguments_of(["sh", "-ec", "python3 -m pip install x", "source"]) is None
