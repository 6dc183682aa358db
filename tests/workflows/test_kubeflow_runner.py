"""The Kubeflow runner, against a server with the semantics of a real one."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from trivial_pipelines import compile_all

sys.path.append(str(Path(__file__).parent.parent / "trigger"))
from fake_kubeflow import FakeKubeflow

from pachyderm.client.connection import Target
from workflows.errors import RunInputError, RunnerUnreachableError, UnclearAnswerError
from workflows.runners.kubeflow import SETTLES_WITHIN, KubeflowRunner
from workflows.runners.kubeflow_api import Access, Api
from workflows.runners.runner import Phase, RunKey
from workflows.settings.configuration import Configuration, KubeflowSettings
from workflows.trigger.wiring import TriggerContext, runner_for

SET = "0123456789abcdef0123456789abcdef"
KEY = RunKey("trivial", SET, 1)
ARGUMENTS = {"commit_set": SET}


class Time:
    """A clock that moves on request, or when it is waited on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def only(path: str, *faults: str) -> Callable[[str, str], str | None]:
    """Inject each fault once, for requests such as `POST /runs`, in order."""
    left = list(faults)
    return lambda method, path_asked: left.pop(0) if left and f"{method} {path_asked}".endswith(path) else None


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return compile_all(tmp_path_factory.mktemp("compiled"))


@pytest.fixture
def kubeflow() -> Iterator[FakeKubeflow]:
    with FakeKubeflow() as fake:
        yield fake


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def runner(kubeflow: FakeKubeflow, pipelines: dict[str, Path], time: Time) -> KubeflowRunner:
    return made(kubeflow, pipelines, time)


def made(
    kubeflow: FakeKubeflow,
    pipelines: dict[str, Path],
    time: Time,
    arguments: Mapping[str, Mapping[str, str]] | None = None,
    token_file: str = "",
) -> KubeflowRunner:
    api = Api(Access(endpoint=kubeflow.url, timeout=2.0, token_file=token_file), time.pause)
    return KubeflowRunner(api, ui="https://ui/pipeline", pipelines=pipelines, steady=time, arguments=arguments)


def test_a_run_has_the_deterministic_name_the_declared_parameters_and_a_link(
    runner: KubeflowRunner, kubeflow: FakeKubeflow
) -> None:
    state = runner.start(KEY, {"commit_set": SET, "number": "7"})
    (run,) = kubeflow.runs.values()
    assert run["display_name"] == f"trivial {SET} 1"
    assert run["runtime_config"]["parameters"] == {"commit_set": SET, "number": 7}
    assert (state.key, state.phase) == (KEY, Phase.RUNNING)
    assert state.link == f"https://ui/pipeline/#/runs/details/{state.run}"
    assert state.ended is None


def test_without_the_address_of_a_ui_there_is_no_link(
    kubeflow: FakeKubeflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KF_PIPELINES_UI_ENDPOINT", raising=False)
    settings = Configuration(runner="kubeflow", kubeflow=KubeflowSettings(endpoint=kubeflow.url))
    context = TriggerContext(Target(store=tmp_path), tmp_path, "tests:1", lambda line: None)
    runner = runner_for(context, settings)
    key = RunKey("preprocessing_and_generation", SET, 1)
    state = runner.start(key, {"commit_set": SET})
    assert state.link == ""


def test_configured_arguments_go_into_the_creation_typed_under_those_of_the_start(
    kubeflow: FakeKubeflow, pipelines: dict[str, Path], time: Time
) -> None:
    given = {"trivial": {"number": "7", "hyperparameters": "configured"}, "other": {"gpus": "1"}}
    state = made(kubeflow, pipelines, time, arguments=given).start(KEY, {**ARGUMENTS, "hyperparameters": "own"})
    (run,) = kubeflow.runs.values()
    assert run["runtime_config"]["parameters"] == {"commit_set": SET, "number": 7, "hyperparameters": "own"}
    assert run["display_name"] == KEY.display_name
    changed = made(kubeflow, pipelines, time, arguments={"trivial": {"number": "8"}})
    assert changed.start(KEY, ARGUMENTS).run == state.run
    assert len(kubeflow.workflows) == 1


def test_the_same_key_started_twice_is_one_workflow(runner: KubeflowRunner, kubeflow: FakeKubeflow) -> None:
    assert runner.start(KEY, ARGUMENTS).run == runner.start(KEY, ARGUMENTS).run
    assert len(kubeflow.workflows) == 1


def test_the_pipeline_is_uploaded_once_per_content_by_whoever_comes_first(
    runner: KubeflowRunner, kubeflow: FakeKubeflow, pipelines: dict[str, Path], time: Time
) -> None:
    runner.start(KEY, ARGUMENTS)
    made(kubeflow, pipelines, time).start(RunKey("trivial", SET, 2), ARGUMENTS)
    assert len(kubeflow.pipelines) == len(kubeflow.versions) == 1
    (version,) = kubeflow.versions.values()
    assert version["name"].startswith("trivial-")


@pytest.mark.parametrize("fault", ["after", "500-after", "truncated", "hang"])
def test_a_create_whose_answer_is_lost_is_found_and_not_repeated(
    runner: KubeflowRunner, kubeflow: FakeKubeflow, fault: str
) -> None:
    kubeflow.faults = only("POST /apis/v2beta1/runs", fault)
    state = runner.start(KEY, ARGUMENTS)
    assert [run["run_id"] for run in kubeflow.workflows] == [state.run]


@pytest.mark.parametrize("fault", ["before", "after", "500", "500-after", "503", "429", "409", "truncated"])
def test_a_create_is_sent_once_whatever_the_answer(runner: KubeflowRunner, kubeflow: FakeKubeflow, fault: str) -> None:
    inject = only("POST /apis/v2beta1/runs", fault)
    creates: list[str] = []

    def path_asked(method: str, path: str) -> str | None:
        creates.extend([method] if (method, path) == ("POST", "/apis/v2beta1/runs") else [])
        return inject(method, path)

    kubeflow.faults = path_asked
    with contextlib.suppress(UnclearAnswerError):
        runner.start(KEY, ARGUMENTS)
    assert creates == ["POST"]


@pytest.mark.parametrize("fault", ["before", "500", "503", "429", "409"])
def test_a_create_without_effect_is_repeated_only_after_it_could_have_appeared(
    runner: KubeflowRunner, kubeflow: FakeKubeflow, time: Time, fault: str
) -> None:
    kubeflow.faults = only("POST /apis/v2beta1/runs", fault)
    with pytest.raises(UnclearAnswerError):
        runner.start(KEY, ARGUMENTS)
    if fault != "409":
        with pytest.raises(UnclearAnswerError, match="not known yet whether"):
            runner.start(KEY, ARGUMENTS)
        assert kubeflow.workflows == []
        time.now += SETTLES_WITHIN
    assert runner.start(KEY, ARGUMENTS).phase is Phase.RUNNING
    assert len(kubeflow.workflows) == 1


@pytest.mark.parametrize("fault", ["before", "after", "429", "500", "503", "truncated", "wrong-token", "slow", "hang"])
def test_a_read_is_retried_with_growing_pauses(
    runner: KubeflowRunner, kubeflow: FakeKubeflow, time: Time, fault: str
) -> None:
    runner.start(KEY, ARGUMENTS)
    kubeflow.faults = only("GET /apis/v2beta1/runs", fault, fault)
    assert len(runner.find(KEY)) == 1
    assert time.pauses == ([] if fault in ("wrong-token", "slow") else [0.5, 1.0])


def test_an_api_that_stays_away_is_reported_after_a_few_attempts(
    runner: KubeflowRunner, kubeflow: FakeKubeflow, time: Time
) -> None:
    runner.start(KEY, ARGUMENTS)
    kubeflow.faults = lambda method, path: "503"
    with pytest.raises(RunnerUnreachableError, match="answers 503: injected 503"):
        runner.find(KEY)
    assert time.pauses == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("states", "phase"),
    [
        (["RUNNING"], Phase.RUNNING),
        (["RUNNING", "SUCCEEDED"], Phase.SUCCEEDED),
        (["RUNNING", "FAILED"], Phase.FAILED),
        (["RUNNING", "CANCELING"], Phase.RUNNING),
        (["RUNNING", "CANCELING", "FAILED"], Phase.TERMINATED),
        (["RUNNING", "CANCELED"], Phase.TERMINATED),
        (["SKIPPED"], Phase.FAILED),
    ],
)
def test_states_are_interpreted_as_a_real_server_means_them(
    runner: KubeflowRunner, kubeflow: FakeKubeflow, states: list[str], phase: Phase
) -> None:
    run = runner.start(KEY, ARGUMENTS).run
    for state in states:
        kubeflow.advance(run, state, "out of memory" if state == "FAILED" else "")
    (state,) = runner.find(KEY)
    assert state.phase is phase
    assert state.over is (phase is not Phase.RUNNING)
    assert (state.ended is not None) is state.over
    if phase is Phase.FAILED and "FAILED" in states:
        assert state.error.startswith("out of memory; see https://ui/pipeline/#/runs/details/")


@pytest.mark.parametrize(
    ("messages", "phase", "certain", "error"),
    [
        ((), Phase.FAILED, False, "task say failed, and Kubeflow reports no cause; see "),
        (("Error (exit code 1)",), Phase.FAILED, True, "task say failed: Error (exit code 1); see "),
        (("OOMKilled (exit code 137)",), Phase.FAILED, True, "task say ran out of memory: OOMKilled (exit code 137); "),
        (("pod deleted", "pod deleted"), Phase.INTERRUPTED, True, "task say was killed: pod deleted"),
        (("Error (exit code 137)",), Phase.INTERRUPTED, True, "task say was killed: Error (exit code 137)"),
        (("Error (exit code 143)",), Phase.INTERRUPTED, True, "task say was killed: Error (exit code 143)"),
        (("The node was low on resource: memory.",), Phase.INTERRUPTED, True, "task say was killed: The node was low "),
        (("pod deleted", "Error (exit code 2)"), Phase.FAILED, True, "task say failed: Error (exit code 2); see "),
    ],
)
def test_a_failure_names_the_task_and_its_cause_and_none_of_argos_nodes(
    runner: KubeflowRunner,
    kubeflow: FakeKubeflow,
    messages: tuple[str, ...],
    phase: Phase,
    certain: bool,
    error: str,
) -> None:
    run = runner.start(KEY, ARGUMENTS).run
    kubeflow.fail(run, "say", *messages, retried=2)
    (state,) = runner.find(KEY)
    assert (state.phase, state.certain) == (phase, certain)
    assert state.error.startswith(error)
    for name in ("executor", "root", "x7k2p", "driver", "child"):
        assert name not in state.error
    if error.endswith("see "):
        log = f"kubectl logs -n kubeflow -l pipeline/runid={run} -c main --tail=50"
        assert state.error.endswith(f"see https://ui/pipeline/#/runs/details/{run} or {log}")


def test_a_pipeline_with_a_memory_setting_names_it_when_a_task_runs_out_of_memory(
    kubeflow: FakeKubeflow, time: Time
) -> None:
    api = Api(Access(endpoint=kubeflow.url, timeout=2.0), time.pause)
    runner = KubeflowRunner(api, namespace="team-a", steady=time)
    key = RunKey("training_and_export", SET, 1)
    run = runner.start(key, ARGUMENTS).run
    kubeflow.fail(run, "train", "OOMKilled (exit code 137)")
    (state,) = runner.find(key)
    assert state.error == (
        "task train ran out of memory: OOMKilled (exit code 137); "
        "raise `memory` in [kubeflow.arguments.training_and_export]"
    )
    assert state.link == ""


def test_a_failed_shard_is_reported_as_one_of_its_stage(kubeflow: FakeKubeflow, time: Time) -> None:
    runner = KubeflowRunner(Api(Access(endpoint=kubeflow.url, timeout=2.0), time.pause), namespace="a", steady=time)
    run = runner.start(RunKey("preprocessing_and_generation", SET, 1), ARGUMENTS).run
    kubeflow.fail(run, "for-loop-1", "Error (exit code 1)")
    state = runner.state(run)
    assert state is not None
    assert state.error.startswith("task resize-shards failed: Error (exit code 1); see ")


def test_two_installations_are_two_locations_whatever_their_addresses_and_two_runners_of_one_are_one(
    kubeflow: FakeKubeflow, pipelines: dict[str, Path], time: Time
) -> None:
    with FakeKubeflow() as other:
        places = [made(server, pipelines, time).location() for server in (kubeflow, kubeflow, other)]
    assert places[0] == places[1] != places[2]


def test_live_runs_are_those_of_a_trigger_that_are_not_over(runner: KubeflowRunner, kubeflow: FakeKubeflow) -> None:
    runs = [runner.start(RunKey("trivial", SET, number), ARGUMENTS).run for number in (1, 2, 3)]
    kubeflow.advance(runs[0], "RUNNING")
    kubeflow.advance(runs[1], "SUCCEEDED")
    kubeflow.runs["foreign"] = {**kubeflow.runs[runs[0]], "run_id": "foreign", "display_name": "somebody's"}
    assert {state.run for state in runner.live()} == {runs[0], runs[2]}


def test_an_archived_run_is_still_the_run_of_its_key(runner: KubeflowRunner, kubeflow: FakeKubeflow) -> None:
    run = runner.start(KEY, ARGUMENTS).run
    kubeflow.archive(run)
    assert runner.start(KEY, ARGUMENTS).run == run
    assert len(kubeflow.workflows) == 1


def test_a_deleted_run_is_unknown(runner: KubeflowRunner, kubeflow: FakeKubeflow) -> None:
    run = runner.start(KEY, ARGUMENTS).run
    kubeflow.delete(run)
    assert runner.state(run) is None
    assert runner.find(KEY) == ()


def test_lists_longer_than_a_page_are_read_completely(runner: KubeflowRunner, kubeflow: FakeKubeflow) -> None:
    for number in range(1, 8):
        runner.start(RunKey("trivial", SET, number), ARGUMENTS)
    kubeflow.page_size = 2
    assert len(runner.live()) == 7


def test_terminating_twice_or_a_deleted_run_does_nothing(runner: KubeflowRunner, kubeflow: FakeKubeflow) -> None:
    run = runner.start(KEY, ARGUMENTS).run
    for _ in range(2):
        runner.terminate(run, "its commits are gone")
    runner.terminate("nobody", "x")
    assert kubeflow.runs[run]["state"] == "CANCELING"


def test_parameters_that_the_pipeline_does_not_have_never_reach_the_server(
    runner: KubeflowRunner, kubeflow: FakeKubeflow
) -> None:
    with pytest.raises(RunInputError, match="has no parameter gpus"):
        runner.start(KEY, {"gpus": "1"})
    assert kubeflow.requests == []


def test_a_deleted_experiment_is_created_again(runner: KubeflowRunner, kubeflow: FakeKubeflow) -> None:
    runner.start(KEY, ARGUMENTS)
    kubeflow.experiments.clear()
    assert runner.start(RunKey("trivial", SET, 2), ARGUMENTS).phase is Phase.RUNNING
    assert len(kubeflow.experiments) == 1


def test_a_refused_token_is_reported_as_such(pipelines: dict[str, Path], time: Time, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("good")
    with FakeKubeflow(token="good") as fake:
        good = made(fake, pipelines, time, token_file=str(token))
        assert good.start(KEY, ARGUMENTS).phase is Phase.RUNNING
        token.write_text("bad")
        with pytest.raises(RunnerUnreachableError, match=r"refuses the token \(401: the token is refused\)"):
            good.find(KEY)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if the kfp client sleeps."""

    def sleep(seconds: float) -> None:
        raise AssertionError(f"the kfp client sleeps for {seconds} s")

    monkeypatch.setattr("kfp.client.client.time", SimpleNamespace(sleep=sleep))


def first_contact(fake: FakeKubeflow, pipelines: dict[str, Path], time: Time, token_file: str = "") -> str:
    """Return the error of the first contact, which must come at once."""
    with pytest.raises(RunnerUnreachableError) as seen:
        made(fake, pipelines, time, token_file=token_file).check()
    assert time.pauses == []
    return str(seen.value)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_at_the_first_contact_is_one_line_at_once(
    pipelines: dict[str, Path],
    time: Time,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    status: int,
) -> None:
    token = tmp_path / "token"
    token.write_text("bad")
    with FakeKubeflow(token="good", refuses_with=status) as fake:
        messages = first_contact(fake, pipelines, time, str(token))
        assert fake.requests == ["GET /apis/v2beta1/healthz"]
    assert messages.startswith(f"Kubeflow at {fake.url} refuses the token ({status}: the token is refused); check")
    assert "\n" not in messages
    assert caplog.records == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("impatient")
def test_a_token_that_cannot_be_read_is_one_line_at_once(
    kubeflow: FakeKubeflow, pipelines: dict[str, Path], time: Time, tmp_path: Path
) -> None:
    messages = first_contact(kubeflow, pipelines, time, str(tmp_path / "none"))
    assert "No such file" in messages
    assert kubeflow.requests == []


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_missing_is_one_line_at_once(
    pipelines: dict[str, Path], time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    with FakeKubeflow() as fake:
        pass
    messages = first_contact(fake, pipelines, time)
    assert messages.startswith(f"Kubeflow at {fake.url} does not answer: ")
    assert "KF_PIPELINES_ENDPOINT" in messages
    assert caplog.records == []


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("fault", "expected"),
    [("hang", "timed out"), ("503", "answers 503"), ("before", "no clear answer"), ("html", "login")],
)
def test_a_server_that_misbehaves_at_the_first_contact_is_reported_within_the_time_limit(
    kubeflow: FakeKubeflow, pipelines: dict[str, Path], time: Time, fault: str, expected: str
) -> None:
    kubeflow.faults = only("GET /apis/v2beta1/healthz", fault)
    assert expected in first_contact(kubeflow, pipelines, time)


def test_a_server_that_goes_away_and_comes_back(runner: KubeflowRunner, kubeflow: FakeKubeflow) -> None:
    runner.start(KEY, ARGUMENTS)
    kubeflow.faults = lambda method, path: "before"
    with pytest.raises(RunnerUnreachableError):
        runner.live()
    kubeflow.faults = lambda method, path: None
    assert len(runner.live()) == 1


def test_a_login_page_in_place_of_an_answer_is_not_an_answer(runner: KubeflowRunner, kubeflow: FakeKubeflow) -> None:
    run = runner.start(KEY, ARGUMENTS).run
    kubeflow.faults = lambda method, path: "html"
    for ask in (lambda: runner.find(KEY), runner.live, lambda: runner.state(run)):
        with pytest.raises(RunnerUnreachableError, match="perhaps a login page"):
            ask()
    with pytest.raises(RunnerUnreachableError, match="perhaps a login page"):
        runner.start(RunKey("trivial", SET, 2), ARGUMENTS)
    kubeflow.faults = only("POST /apis/v2beta1/runs", "html")
    assert runner.start(RunKey("trivial", SET, 3), ARGUMENTS).run == kubeflow.workflows[-1]["run_id"]
    assert [entry["display_name"] for entry in kubeflow.workflows] == [f"trivial {SET} {number}" for number in (1, 3)]


def test_a_version_that_somebody_deleted_is_uploaded_again(
    runner: KubeflowRunner, kubeflow: FakeKubeflow, time: Time
) -> None:
    runner.start(KEY, ARGUMENTS)
    kubeflow.versions.clear()
    kubeflow.specs.clear()
    with pytest.raises(UnclearAnswerError):
        runner.start(RunKey("trivial", SET, 2), ARGUMENTS)
    time.now += SETTLES_WITHIN
    assert runner.start(RunKey("trivial", SET, 2), ARGUMENTS).phase is Phase.RUNNING
    assert len(kubeflow.versions) == 1
