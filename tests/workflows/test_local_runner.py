"""The local runner: a run is a process that is observed until its end, and nothing outlives it."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from kfp.local import logging_utils
from trivial_pipelines import compile_all, compile_loop

from pachyderm.client.connection import Target
from pachyderm.errors import StorageError
from workflows.errors import RunInputError
from workflows.runners import local, local_child
from workflows.runners.compiled import shipped
from workflows.runners.local import LocalRunner, child_environment
from workflows.runners.local_loops import local_loops, most_at_once
from workflows.runners.log_lines import LogFollower, cause
from workflows.runners.processes import is_alive, start_of
from workflows.runners.run_folder import Request, RunFolder, RunProgress
from workflows.runners.runner import Phase, RunKey, RunState
from workflows.runners.task_exits import TaskExit, observed, oom_kills

SET = "0123456789abcdef0123456789abcdef"
KEY = RunKey("trivial", SET, 1)


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return compile_all(tmp_path_factory.mktemp("compiled"))


@pytest.fixture
def runner(pipelines: dict[str, Path], tmp_path: Path) -> Iterator[LocalRunner]:
    environment = child_environment(Target(store=tmp_path / "store"), tmp_path / "scratch", os.environ)
    local_runner = LocalRunner(tmp_path / "my runs", environment, pipelines)
    yield local_runner
    local_runner.close()


def ended(runner: LocalRunner, key: RunKey = KEY) -> RunState:
    until(lambda: runner.find(key)[0].over)
    return runner.find(key)[0]


def processes_of(mark: Path) -> list[int]:
    return [int(line.split()[1]) for line in mark.read_text().splitlines()] if mark.exists() else []


def alive(pid: int) -> bool:
    return start_of(pid) is not None


def test_a_run_succeeds_and_its_outputs_are_on_disk_per_task(runner: LocalRunner) -> None:
    runner.start(KEY, {"commit_set": SET, "number": "41"})
    state = ended(runner)
    assert (state.phase, state.error) == (Phase.SUCCEEDED, "")
    assert state.outputs == {"say": {"Output": SET}, "echo": {"Output": f"{SET} 42"}}
    assert state.run == f"trivial-{SET}-1"


def test_another_process_reads_the_same_state(runner: LocalRunner, tmp_path: Path) -> None:
    runner.start(KEY, {"hyperparameters": f"wait={tmp_path / 'go'}"})
    elsewhere = LocalRunner(tmp_path / "my runs", {}, {})
    assert elsewhere.find(KEY)[0].phase is Phase.RUNNING
    (tmp_path / "go").touch()
    assert ended(runner).phase is Phase.SUCCEEDED
    assert elsewhere.find(KEY)[0] == runner.find(KEY)[0]


def test_the_same_key_started_twice_is_one_run(runner: LocalRunner, pipelines: dict[str, Path], tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    order = {"hyperparameters": f"mark={mark}"}
    other = LocalRunner(tmp_path / "my runs", child_environment(Target(), tmp_path, os.environ), pipelines)
    assert runner.start(KEY, order).run == other.start(KEY, order).run
    ended(runner)
    runner.start(KEY, order)
    assert len(processes_of(mark)) == 1


def test_a_failed_task_is_a_failed_run_that_names_the_cause(runner: LocalRunner) -> None:
    runner.start(KEY, {"hyperparameters": "fail=nó"})
    state = ended(runner)
    assert state.phase is Phase.FAILED
    assert state.error.startswith("ValueError: told to fail: nó (")
    assert "\x1b" not in state.error


def test_a_task_that_is_killed_is_an_interrupted_run_and_its_last_output_is_not_the_cause(runner: LocalRunner) -> None:
    runner.start(KEY, {"hyperparameters": "die=self"})
    state = ended(runner)
    assert state.phase is Phase.INTERRUPTED
    assert state.error.startswith("killed by SIGKILL (")
    assert "step 1/2" not in state.error


@pytest.mark.parametrize(
    ("code", "out_of_memory", "phase", "error"),
    [
        (-9, False, Phase.INTERRUPTED, "killed by SIGKILL"),
        (137, False, Phase.INTERRUPTED, "killed by SIGKILL"),
        (143, True, Phase.INTERRUPTED, "killed by SIGTERM"),
        (137, True, Phase.FAILED, "out of memory: the kernel killed it"),
        (-11, False, Phase.FAILED, "crashed with SIGSEGV"),
        (134, False, Phase.FAILED, "crashed with SIGABRT"),
        (1, True, Phase.FAILED, ""),
        (255, False, Phase.FAILED, ""),
    ],
)
def test_a_kill_from_outside_is_an_interruption_and_a_crash_or_lack_of_memory_a_failure(
    code: int, out_of_memory: bool, phase: Phase, error: str
) -> None:
    assert TaskExit(code, out_of_memory).verdict() == (phase, error)


def test_out_of_memory_kills_during_a_task_are_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kfp.local import subprocess_task_handler

    group, machine = tmp_path / "memory.events", tmp_path / "vmstat"
    group.write_text("low 0\noom 3\noom_kill 1\noom_group_kill 0\n")

    def kills() -> int:
        return oom_kills((group, machine, tmp_path / "missing"))

    def killed(*args: object) -> int:
        machine.write_text("pgfault 12\noom_kill 1\n")
        return -9

    monkeypatch.setattr(subprocess_task_handler, "run_local_subprocess", killed)
    with observed(kills) as exits:
        assert subprocess_task_handler.run_local_subprocess([]) == -9
        assert subprocess_task_handler.run_local_subprocess([]) == -9
    assert exits == [TaskExit(-9, True), TaskExit(-9, False)]
    assert subprocess_task_handler.run_local_subprocess is killed


def test_a_killed_child_is_a_vanished_run_and_its_task_ends_with_it(runner: LocalRunner, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    runner.start(KEY, {"hyperparameters": f"mark={mark},wait={tmp_path / 'never'}"})
    until(lambda: processes_of(mark))
    child = RunFolder(tmp_path / "my runs" / f"trivial-{SET}-1").progress()
    assert child is not None
    os.kill(child.process[0], signal.SIGKILL)
    state = ended(runner)
    assert state.phase is Phase.VANISHED
    until(lambda: not alive(processes_of(mark)[0]), 5)


def test_closing_the_runner_ends_child_and_task_as_interrupted(runner: LocalRunner, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    runner.start(KEY, {"hyperparameters": f"mark={mark},wait={tmp_path / 'never'}"})
    until(lambda: processes_of(mark))
    (state,) = runner.close()
    assert state.phase is Phase.INTERRUPTED
    until(lambda: not alive(processes_of(mark)[0]), 5)


def test_closing_waits_for_all_children_together_and_not_for_each(
    runner: LocalRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [RunKey("trivial", SET, attempt) for attempt in (1, 2, 3)]
    for key in keys:
        runner.start(key, {"commit_set": SET, "hyperparameters": f"wait={tmp_path / 'never'}"})
    children = list(runner._children.values())
    waits: list[float] = []
    now = [100.0]

    def wait(self: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        """A child that does not react until it is killed; time passes on the test's clock."""
        if timeout is not None:
            waits.append(timeout)
            now[0] += timeout
            raise subprocess.TimeoutExpired("child", timeout)
        return original(self)

    original = subprocess.Popen.wait
    monkeypatch.setattr(subprocess.Popen, "wait", wait)
    monkeypatch.setattr(local.time, "monotonic", lambda: now[0])
    states = runner.close()
    assert waits == [local.ENDS_WITHIN, 0.0, 0.0]
    assert len(states) == len(children) == 3
    assert all(child.process.returncode is not None for child in children)


def test_a_terminated_run_records_that_and_why(runner: LocalRunner, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    runner.start(KEY, {"hyperparameters": f"mark={mark},wait={tmp_path / 'never'}"})
    until(lambda: processes_of(mark))
    runner.terminate(f"trivial-{SET}-1", "its commits are gone")
    state = runner.find(KEY)[0]
    assert (state.phase, state.error) == (Phase.TERMINATED, "its commits are gone")
    until(lambda: not alive(processes_of(mark)[0]), 5)


STARTER = """
import os, sys, time
from pathlib import Path
from workflows.runners.local import LocalRunner
from workflows.runners.runner import RunKey
runner = LocalRunner(Path(sys.argv[1]), dict(os.environ), {"trivial": Path(sys.argv[2])})
runner.start(RunKey("trivial", sys.argv[3], 1), {"hyperparameters": sys.argv[4]})
time.sleep(600)
"""


def starter(tmp_path: Path, package: Path, order: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path / "my runs"), str(package), SET, order])


def test_the_end_of_a_run_ends_no_run_of_the_same_id_in_another_folder(
    runner: LocalRunner, pipelines: dict[str, Path], tmp_path: Path
) -> None:
    environment = child_environment(Target(store=tmp_path / "store"), tmp_path / "scratch", os.environ)
    other = LocalRunner(tmp_path / "other runs", environment, pipelines)
    other.start(KEY, {"hyperparameters": f"mark={tmp_path / 'mark'},wait={tmp_path / 'go'}"})
    until((tmp_path / "mark").exists)
    runner.start(KEY, {"hyperparameters": "fail=no"})
    until(runner.poll)
    assert runner.find(KEY)[0].phase is Phase.FAILED
    (tmp_path / "go").touch()
    assert ended(other).phase is Phase.SUCCEEDED
    other.close()


def test_a_run_does_not_outlive_a_starter_that_is_killed(
    runner: LocalRunner, pipelines: dict[str, Path], tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    process = starter(tmp_path, pipelines["trivial"], f"mark={mark},wait={tmp_path / 'never'}")
    until(lambda: processes_of(mark))
    process.kill()
    process.wait()
    until(lambda: not alive(processes_of(mark)[0]), 5)
    assert runner.find(KEY)[0].phase is Phase.INTERRUPTED


def test_what_is_left_when_starter_and_child_are_killed_at_once_is_ended_by_the_next_query(
    runner: LocalRunner, pipelines: dict[str, Path], tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    process = starter(tmp_path, pipelines["trivial"], f"mark={mark},wait={tmp_path / 'never'}")
    until(lambda: processes_of(mark))
    child = RunFolder(tmp_path / "my runs" / f"trivial-{SET}-1").progress()
    assert child is not None
    os.kill(child.process[0], signal.SIGSTOP)  # it cannot notice its starter's end
    process.kill()
    process.wait()
    os.kill(child.process[0], signal.SIGKILL)
    (task,) = processes_of(mark)
    until(lambda: not is_alive(*child.process))
    assert alive(task)
    assert runner.find(KEY)[0].phase is Phase.VANISHED
    until(lambda: not alive(task), 5)


def temporary(tmp_path: Path) -> Path:
    return tmp_path / "my runs" / f"trivial-{SET}-1" / "tmp"


@pytest.mark.parametrize("fails", [False, True])
def test_the_temporary_files_of_a_run_are_in_its_own_folder_and_go_with_it(
    runner: LocalRunner, tmp_path: Path, fails: bool
) -> None:
    order = f"wait={tmp_path / 'go'}" + (",fail=it" if fails else "")
    runner.start(KEY, {"hyperparameters": order})
    until(lambda: any(temporary(tmp_path).iterdir()))
    (tmp_path / "go").touch()
    assert ended(runner).phase is (Phase.FAILED if fails else Phase.SUCCEEDED)
    until(lambda: runner.find(KEY) and not temporary(tmp_path).exists())


def test_the_temporary_files_of_a_terminated_run_are_removed(runner: LocalRunner, tmp_path: Path) -> None:
    runner.start(KEY, {"hyperparameters": f"wait={tmp_path / 'never'}"})
    until(lambda: any(temporary(tmp_path).iterdir()))
    runner.terminate(f"trivial-{SET}-1", "its commits are gone")
    assert not temporary(tmp_path).exists()


def test_the_temporary_files_of_killed_runs_are_removed_by_the_next_start_and_those_of_live_runs_are_not(
    pipelines: dict[str, Path], tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    process = starter(tmp_path, pipelines["trivial"], f"mark={mark},wait={tmp_path / 'never'}")
    until(lambda: processes_of(mark))
    LocalRunner(tmp_path / "my runs", {}, {}).sweep()
    assert any(temporary(tmp_path).iterdir()), "the run is alive"
    process.kill()
    process.wait()
    until(lambda: not alive(processes_of(mark)[0]), 5)
    assert any(temporary(tmp_path).iterdir()), "nobody is left to remove them"
    LocalRunner(tmp_path / "my runs", {}, {}).sweep()
    assert not temporary(tmp_path).exists()


def test_a_recycled_process_id_is_not_a_live_run(runner: LocalRunner, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "my runs" / f"trivial-{SET}-1")
    me = (os.getpid(), "started before the reboot")
    folder.create(Request(f"trivial-{SET}-1", "trivial", "x", {}, KEY.display_name, 1.0, me))
    folder.write(RunProgress(Phase.RUNNING, me))
    assert runner.find(KEY)[0].phase is Phase.VANISHED
    assert alive(os.getpid())


def test_a_step_of_the_wall_clock_does_not_change_the_identity_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    before, boot_time = start_of(os.getpid()), psutil._psplatform.boot_time
    monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: boot_time() + 3600.0)
    assert start_of(os.getpid()) == before
    assert start_of(1) != before, "processes that started at different times differ"


def test_a_folder_whose_creator_died_before_the_child_began_is_interrupted(runner: LocalRunner, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "my runs" / f"trivial-{SET}-1")
    folder.create(Request(f"trivial-{SET}-1", "trivial", "x", {}, KEY.display_name, 1.0, (2**22 + 5, "gone")))
    assert runner.find(KEY)[0].phase is Phase.INTERRUPTED


def test_a_run_works_below_a_path_that_kfp_would_rewrite(
    pipelines: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    runner = LocalRunner(tmp_path / "python3 {{" / "runs", dict(os.environ), pipelines)
    runner.start(KEY, {"commit_set": SET})
    assert ended(runner).outputs is not None
    assert ended(runner).outputs["echo"] == {"Output": f"{SET} 2"}  # type: ignore[index]
    runner.close()
    assert not any((tmp_path / "python3 {{" / "runs").rglob("tmp"))
    assert not list(Path(tempfile.gettempdir()).glob("pix2pix-run-*"))


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        ({"comit_set": "x"}, "has no parameter comit_set; it has commit_set, hyperparameters, number"),
        ({"number": "many"}, "number=many is not of the type NUMBER_INTEGER"),
        ({"number": "true"}, "number=true is not of the type"),
        ({"hyperparameters": "python3"}, "kfp.local 2.17 corrupts"),
        ({"hyperparameters": "{{x}}"}, "kfp.local 2.17 corrupts"),
        ({"hyperparameters": "x" * 140_000}, "put them into /pix2pix.toml"),
    ],
)
def test_arguments_that_cannot_work_are_refused_before_anything_starts(
    runner: LocalRunner, tmp_path: Path, arguments: dict[str, str], messages: str
) -> None:
    with pytest.raises(RunInputError, match=messages.replace("(", r"\(")):
        runner.start(KEY, arguments)
    assert not (tmp_path / "my runs").exists()


def test_a_pipeline_that_does_not_exist_is_refused_with_the_names_of_those_that_do(runner: LocalRunner) -> None:
    with pytest.raises(RunInputError, match="unknown pipeline 'trivia'; available: trivial"):
        runner.start(RunKey("trivia", SET, 1), {})


def test_the_follower_shows_the_tasks_output_and_no_kfp_noise(runner: LocalRunner, tmp_path: Path) -> None:
    messages: list[str] = []
    showing = LocalRunner(tmp_path / "shown", runner._environment, runner._pipelines, messages.append)
    showing.start(KEY, {"commit_set": SET})
    until(showing.poll)
    assert messages == [
        f"trivial: {line}" for line in ("say: begins", "say: step 1/2", "say: success", "echo: begins", "echo: success")
    ]


def test_the_follower_waits_for_complete_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    follower = LogFollower(log)
    assert follower.lines() == []
    log.write_bytes(b"10:00:00.000 - INFO - Executing task \x1b[96m'train'\x1b[0m\n    loss 0.")
    assert follower.lines() == ["train: begins"]
    with log.open("ab") as file:
        file.write(b"5\n    a\r    b\n")
    assert follower.lines() == ["train: loss 0.5", "train: a", "train: b"]


def test_the_output_of_an_iteration_is_shown_after_another_one_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    begins = "10:00:00.000 - INFO - Executing task 'shard'\n"
    ends = "10:00:00.000 - INFO - Task 'shard' finished with status SUCCESS\n"
    log.write_text(f"{begins}{begins}    1 of 2\n{ends}    2 of 2\n{ends}    nobody's\n")
    assert LogFollower(log).lines() == [
        "shard: begins",
        "shard: begins",
        "shard: 1 of 2",
        "shard: success",
        "shard: 2 of 2",
        "shard: success",
    ]


def test_a_tasks_input_is_printed_in_one_piece_whatever_other_tasks_print(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, printed = threading.Event(), threading.Event()
    first = ["[KFP Executor 2026-11-28 10:00:00,000 INFO]: Got executor_input:\n", "{\n", '    "inputs": {}\n']

    def reading() -> None:
        with logging_utils.indented_print():
            for line in first:
                print(line, end="")  # noqa: T201
            begun.set()
            printed.wait(30)
            for line in ("}\n", "my line\n", *first):  # the second input never ends
                print(line, end="")  # noqa: T201

    def working() -> None:
        begun.wait(30)
        with logging_utils.indented_print():
            print("line 9\n", end="")  # noqa: T201
        printed.set()

    with local_loops(2):
        threads = [threading.Thread(target=target) for target in (reading, working)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    whole = "".join(f"    {line}" for line in first)
    output = capsys.readouterr().out
    assert output == f"    line 9\n{whole}    }}\n    my line\n{whole}"
    log = tmp_path / "log"
    log.write_text(f"10:00:00.000 - INFO - Executing task 'shard'\n{output}")
    assert LogFollower(log).lines() == ["shard: begins", "shard: line 9", "shard: my line"]


def test_iterations_that_begin_and_end_replace_no_log_handler_of_each_other() -> None:
    before = logging.getLogger().handlers[:]
    with local_loops(2), logging_utils.local_logger_context():
        (handler,) = logging.getLogger().handlers
        with logging_utils.local_logger_context():
            assert logging.getLogger().handlers == [handler]
        assert logging.getLogger().handlers == [handler]
    assert logging.getLogger().handlers == before


def test_the_cause_is_the_end_of_the_last_traceback_of_the_task_that_failed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    begins = "10:00:00.000 - INFO - Executing task 'train'\n"
    fails = "10:00:00.000 - ERROR - Task 'train' finished with status FAILURE\n"
    log.write_text(
        f"{begins}    Traceback (most recent call last):\n      File x\n    KeyError: 'a'\n    \n"
        "    During handling of the above exception, another exception occurred:\n    \n"
        "    Traceback (most recent call last):\n      File y\n    pachyderm.errors.RequestError: no such: b\n"
        f"    a last word\n    \n{fails}"
    )
    assert cause(log) == "pachyderm.errors.RequestError: no such: b"
    log.write_text(f"{begins}    step 3\n    train: the pair a.png is of odd width; crop it\n    \n{fails}")
    assert cause(log) == "train: the pair a.png is of odd width; crop it"
    log.write_text("Traceback (most recent call last):\n  File z\nMemoryError: all is used\n")
    assert cause(log) == "MemoryError: all is used"
    log.write_text("all is well\n")
    assert cause(log) == ""
    assert cause(tmp_path / "none") == ""


@pytest.mark.parametrize("items", [["a", "b", "c"], ["a", "fail", "c"]])
def test_iterations_of_a_loop_run_at_once_and_each_line_of_theirs_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, items: list[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    # Each of the three waits for the other two, on a machine of any size.
    (tmp_path / "sitecustomize.py").write_text("import os\nos.sched_getaffinity = lambda _: range(3)\n")
    environment = child_environment(Target(store=tmp_path / "store"), tmp_path / "scratch", os.environ)
    shown: list[str] = []
    looping = LocalRunner(tmp_path / "my runs", environment, compile_loop(tmp_path), shown.append)
    (tmp_path / "met").mkdir()
    looping.begin("run", "loop", "run", {"items": json.dumps(items), "folder": str(tmp_path / "met")})
    until(looping.poll)
    state = looping.state("run")
    assert state is not None
    for item in items:
        for number in range(10):
            assert shown.count(f"loop: meet: line {number} of {item} met 3") == 1
    assert not any("{" in line for line in shown), "kfp's own output is not shown"
    if "fail" in items:
        assert state.phase is Phase.FAILED
        assert "fail is hopeless" in state.error
    else:
        assert state.phase is Phase.SUCCEEDED, state.error


@pytest.mark.parametrize(("cores", "gigabytes", "most"), [(2, 64.0, 2), (16, 4.5, 4), (8, 0.1, 1), (1, 64.0, 1)])
def test_iterations_at_once_are_bounded_by_cores_and_memory(cores: int, gigabytes: float, most: int) -> None:
    assert most_at_once(cores, int(gigabytes * (1 << 30))) == most


def test_the_tasks_find_their_pachyderm_in_the_environment(tmp_path: Path) -> None:
    before = {"PACHD_ADDRESS": "grpc://elsewhere:1", "PIX2PIX_STORE": "old", "HOME": "/h"}
    local = child_environment(Target(store=tmp_path / "s"), tmp_path / "scratch", before)
    assert local["PIX2PIX_STORE"] == str((tmp_path / "s").resolve())
    assert "PACHD_ADDRESS" not in local
    cluster = child_environment(Target(pachd="grpc://p:30650", token="t"), tmp_path, before)
    assert (cluster["PACHD_ADDRESS"], cluster["PACH_TOKEN"]) == ("grpc://p:30650", "t")
    assert "PIX2PIX_STORE" not in cluster
    assert json.dumps(local)


def test_a_local_run_has_no_retries_since_they_are_the_triggers() -> None:
    for package in shipped().values():
        assert "retryPolicy" in package.read_text()
        document = local_child._without_retries(package)
        assert "retryPolicy" not in document
        assert "deploymentSpec" in document and len(list(yaml.safe_load_all(document))) == 2


def test_a_full_disk_is_reported_and_the_run_can_be_requested_again(
    runner: LocalRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for owner, name in ((tempfile, "mkdtemp"), (Path, "write_text"), (subprocess, "Popen")):
        with monkeypatch.context() as patch, pytest.raises(StorageError, match=r"my runs: No space left on device"):
            patch.setattr(owner, name, full)
            runner.start(KEY, {})
        assert runner.find(KEY) == ()
    runner.start(KEY, {})
    assert ended(runner).phase is Phase.SUCCEEDED
