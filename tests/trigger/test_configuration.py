"""The trigger's settings: names, checks and one clear line for each mistake; metrics, health endpoints, JSON logs."""

from __future__ import annotations

import json
import logging
import re
import urllib.error
import urllib.request
from io import StringIO
from pathlib import Path
from typing import get_args

import pytest

from workflows.daemon.json_logs import log_json
from workflows.errors import RunInputError
from workflows.settings.configuration import ARGUMENTS, Configuration, RunnerName, load, with_runner
from workflows.settings.policy import Policy, changed, of_parameters_file
from workflows.trigger.metrics import ALIVE_WITHIN, READY_WITHIN, Metrics, MetricsServer
from workflows.trigger.snapshot import Snapshot
from workflows.trigger.wiring import RUNNERS

EXAMPLE = """
runner = "kubeflow"
max_concurrent_runs = 4
poll_interval = 5
[kubeflow]
endpoint = "http://ml-pipeline.kubeflow:8888"
[lease]
seconds = 30
[policy.training_and_export]
attempts = 5
minimum_interval = 600
"""


def test_without_file_and_variables_the_defaults_are_used() -> None:
    assert load(None, {"HOME": "/"}) == Configuration()


def test_the_environment_overrides_the_file_setting_by_setting(tmp_path: Path) -> None:
    file = tmp_path / "trigger.toml"
    file.write_text(EXAMPLE)
    settings = load(
        file,
        {
            "PIX2PIX_TRIGGER_MAX_CONCURRENT_RUNS": "7",
            "PIX2PIX_TRIGGER_KUBEFLOW_EXPERIMENT": "mine",
            "PIX2PIX_TRIGGER_POLICY_TRAINING_AND_EXPORT_BACKOFF": "1.5",
        },
    )
    assert (settings.runner, settings.max_concurrent_runs, settings.poll_interval, settings.lease.seconds) == (
        "kubeflow",
        7,
        5.0,
        30.0,
    )
    assert (settings.kubeflow.endpoint, settings.kubeflow.experiment) == ("http://ml-pipeline.kubeflow:8888", "mine")
    assert settings.policy["training_and_export"] == Policy("latest", attempts=5, backoff=1.5, minimum_interval=600)
    assert settings.policy["preprocessing_and_generation"] == Policy("every")


def test_arguments_of_runs_come_from_the_file_and_the_environment_parameter_by_parameter(tmp_path: Path) -> None:
    file = tmp_path / "trigger.toml"
    file.write_text("[kubeflow.arguments.training_and_export]\ngpus = '0'\nmemory = '8Gi'")
    selector = '{"gpu": "a100"}'
    settings = load(
        file,
        {
            f"{ARGUMENTS}TRAINING_AND_EXPORT_GPUS": "2",
            f"{ARGUMENTS}TRAINING_AND_EXPORT_NODE_SELECTOR": selector,
            f"{ARGUMENTS}PREPROCESSING_AND_GENERATION_IMAGE": "registry.example.org/worker:1",
        },
    )
    assert settings.kubeflow.arguments == {
        "training_and_export": {"gpus": "2", "memory": "8Gi", "node_selector": selector},
        "preprocessing_and_generation": {"image": "registry.example.org/worker:1"},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo = 4", "trigger.toml: unknown setting foo; allowed: runner, max_concurrent_runs"),
        ("pol_interval = 4", r"unknown setting pol_interval \(did you mean poll_interval\?\); allowed: runner"),
        ("at_once = 4", r"unknown setting at_once \(did you mean max_concurrent_runs\?\)"),
        ("look_every = 4", r"unknown setting look_every \(did you mean poll_interval\?\)"),
        ("listen = ':80'", r"unknown setting listen \(did you mean metrics_address\?\)"),
        ("max_concurrent_runs = 0", "max_concurrent_runs = 0 is not allowed; it must be a whole number, at least 1"),
        ("max_concurrent_runs = 1.5", "max_concurrent_runs = 1.5 is not allowed; it must be a whole number"),
        ("max_concurrent_runs = true", "max_concurrent_runs = True is not allowed; it must be a whole number"),
        ("log = 1", "log = 1 is not allowed; it must be text or json"),
        ("metrics_address = 8080", "metrics_address = 8080 is not allowed; it must be text in quotes"),
        ('runner = "airflow"', "runner = 'airflow' is not allowed; it must be local or kubeflow"),
        ('kubeflow = "x"', r"kubeflow = 'x' is not allowed; it is a section, \[kubeflow\]"),
        ("[kubeflow]\nendpont = 'x'", r"unknown setting kubeflow\.endpont \(did you mean endpoint\?\)"),
        ("[lease]\nseconds = 5", "must satisfy retry < renew_within < seconds"),
        ("[lease]\nseconds = 0", r"lease\.seconds = 0 is not allowed; it must be a finite number, at least 1"),
        ("[policy.training]\nattempts = 1", r"unknown pipeline training in \[policy\]; allowed: training_and_export"),
        (
            "[policy.training_and_export]\nattempt = 1",
            r"trigger\.toml \[policy\.training_and_export\]: unknown setting attempt \(did you mean attempts\?\)",
        ),
        (
            "[policy.training_and_export]\nattempts = 0",
            "attempts = 0 is not allowed; it must be a whole number from 1 to 100",
        ),
        (
            "[policy.training_and_export]\nbackoff = -1",
            "backoff = -1 is not allowed; it must be a finite number from 0 to 86400",
        ),
        ("[policy.training_and_export]\npolicy = 'some'", "policy = 'some' is not allowed; it must be every or latest"),
        ("max_concurrent_runs =", "is not TOML: line 1"),
        (
            "kubeflow.arguments = 'x'",
            r"arguments must be in sections such as \[kubeflow\.arguments\.training_and_export\]",
        ),
        ("[kubeflow.arguments]\ngpus = '1'", "arguments must be in sections"),
        ("[kubeflow.arguments.training]\ngpus = '1'", r"unknown pipeline training in .*; allowed: training_and_export"),
        (
            "[kubeflow.arguments.training_and_export]\ngpu = '1'",
            r"unknown setting kubeflow\.arguments\.training_and_export\.gpu \(did you mean gpus\?\); allowed: cpu, gpu",
        ),
        (
            "[kubeflow.arguments.preprocessing_and_generation]\ngpus = '1'",
            r"preprocessing_and_generation\.gpus; allowed: image, shard_cpu, ",
        ),
        (
            "[kubeflow.arguments.training_and_export]\ncommit_set = 'new'",
            r"training_and_export\.commit_set belongs to the commit set; allowed: cpu",
        ),
        (
            "[kubeflow.arguments.training_and_export]\nhyperparameters = 'x'",
            "hyperparameters belongs",
        ),
        ("[kubeflow.arguments.training_and_export]\nsize = '64'", "training_and_export.size belongs to the commit set"),
        ("[kubeflow.arguments.preprocessing_and_generation]\nsize = '64'", "unknown setting .*size; allowed: image, "),
        ("poll_interval = nan", "poll_interval = nan is not allowed; it must be a finite number, at least 0.1"),
        ("[kubeflow]\ntimeout = inf", "kubeflow.timeout = inf is not allowed; it must be a finite number, at least 1"),
        (f"poll_interval = {'9' * 5000}", "is not TOML"),
        ("[kubeflow.arguments.training_and_export]\ngpus = 1", "gpus = 1 is not text; put it in quotes"),
        ("[kubeflow.arguments.training_and_export]\nimage = ''", "image is empty; leave it out"),
        ("[kubeflow.arguments.training_and_export]\nnode_selector = 'a100'", "node_selector=a100 is not of the type"),
    ],
)
def test_a_mistake_in_the_file_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "trigger.toml"
    file.write_text(text)
    with pytest.raises(RunInputError, match=message) as raised:
        load(file, {})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PIX2PIX_TRIGGER_FOO", "1", "unknown variable PIX2PIX_TRIGGER_FOO; allowed: "),
        (
            "PIX2PIX_TRIGGER_AT_ONCE",
            "1",
            r"unknown variable PIX2PIX_TRIGGER_AT_ONCE \(did you mean PIX2PIX_TRIGGER_MAX_CONCURRENT_RUNS\?\)",
        ),
        ("PIX2PIX_TRIGGER_LISTEN", ":80", r"\(did you mean PIX2PIX_TRIGGER_METRICS_ADDRESS\?\)"),
        (
            "PIX2PIX_TRIGGER_MAX_CONCURRENT_RUNS",
            "many",
            "PIX2PIX_TRIGGER_MAX_CONCURRENT_RUNS='many' is not allowed; it must be a whole number",
        ),
        ("PIX2PIX_TRIGGER_LOG", "xml", "log = 'xml' is not allowed"),
        (
            f"{ARGUMENTS}TRAINING_AND_EXPORT_GPU",
            "1",
            r"unknown variable .*TRAINING_AND_EXPORT_GPU \(did you mean .*_GPUS\?\)",
        ),
        (f"{ARGUMENTS}TRAINING_AND_EXPORT_COMMIT_SET", "new", "unknown variable"),
        (f"{ARGUMENTS}TRAINING_AND_EXPORT_TOLERATIONS", "{}", "tolerations={} is not of the type LIST"),
    ],
)
def test_a_mistake_in_the_environment_is_one_clear_line(variable: str, value: str, message: str) -> None:
    with pytest.raises(RunInputError, match=message):
        load(None, {variable: value})


def test_a_missing_configuration_file_is_reported_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(RunInputError, match=r"none\.toml cannot be read: No such file"):
        load(tmp_path / "none.toml", {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trigger = 1", "training:/pix2pix.toml: trigger = 1 is not allowed; it must be a section"),
        ("[trigger]\npolcy = 'every'", r"unknown setting polcy \(did you mean policy\?\)"),
        ("[", "not TOML: line 1"),
        (f"x = {'[' * 5000}", "not TOML"),
        (f"x = {'9' * 5000}", "not TOML"),
    ],
)
def test_a_mistake_in_an_inputs_own_file_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(RunInputError, match=message):
        of_parameters_file(Policy(), text, "training:/pix2pix.toml")
    assert of_parameters_file(Policy(), "[train]\nx = 1", "file") == Policy()
    assert changed(Policy(), {"attempts": 1}, "x").attempts == 1


def get(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_readiness_and_metrics_follow_the_loop() -> None:
    now = [0.0]
    metrics = Metrics(lambda: now[0], lambda: 1_700_000_000.0)
    with MetricsServer(metrics, "127.0.0.1:0") as server:
        assert get(server.address, "/healthz") == (200, "ok\n")
        assert get(server.address, "/readyz")[0] == 503
        metrics.record_poll(Snapshot(), (), 0.01, True)
        assert get(server.address, "/readyz") == (200, "ok\n")
        now[0] += READY_WITHIN
        metrics.record_unreachable()
        assert get(server.address, "/readyz")[0] == 503
        assert get(server.address, "/healthz")[0] == 200
        now[0] += ALIVE_WITHIN
        assert get(server.address, "/healthz")[0] == 503
        status, text = get(server.address, "/metrics")
        assert status == 200
        for line in (
            "pix2pix_trigger_polls_total 1.0",
            "pix2pix_trigger_unreachable_total 1.0",
            "pix2pix_trigger_leader 1.0",
        ):
            assert line in text
        assert get(server.address, "/x")[0] == 404


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:x", "256.0.0.1:80", "127.0.0.1:99999", "127.0.0.1:²"])
def test_an_address_that_cannot_be_bound_is_refused_with_its_value(address: str) -> None:
    with pytest.raises(RunInputError, match=re.escape(address)):
        MetricsServer(Metrics(lambda: 0.0, lambda: 0.0), address)


def test_json_logs_are_one_object_a_line_and_name_commit_set_and_run() -> None:
    stream, root = StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        log_json(stream, lambda: 1_700_000_000.0)
        logging.getLogger("workflows.trigger").info("run %s\nstarted", "r", extra={"commit_set": "c", "run": "r"})
        logging.getLogger("a").error("bad", exc_info=ValueError("x"))
    finally:
        root.handlers[:], root.level = before, level
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first == {
        "time": "2023-11-14T22:13:20.000Z",
        "level": "info",
        "logger": "workflows.trigger",
        "message": "run r\nstarted",
        "commit_set": "c",
        "run": "r",
    }
    assert second["traceback"].endswith("ValueError: x")


def test_every_runner_that_may_be_configured_can_be_made_and_no_other() -> None:
    assert set(RUNNERS) == set(get_args(RunnerName))


def test_an_unknown_runner_of_the_command_line_is_refused_with_the_names_that_exist() -> None:
    assert with_runner(Configuration(), "kubeflow", "--runner").runner == "kubeflow"
    with pytest.raises(RunInputError, match="--runner = 'airflow' is not allowed; it must be local or kubeflow"):
        with_runner(Configuration(), "airflow", "--runner")


def test_variables_that_kubernetes_sets_for_the_service_are_ignored() -> None:
    links = {"PIX2PIX_TRIGGER_PORT": "tcp://10.0.0.1:9090", "PIX2PIX_TRIGGER_SERVICE_HOST": "10.0.0.1"}
    assert load(None, links) == Configuration()
