"""What the trigger's settings promise: one name, one check, one clear line for each mistake."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from io import StringIO
from pathlib import Path

import pytest

from workflows.daemon.json_logs import log_json
from workflows.errors import RunInputError
from workflows.settings.configuration import ARGUMENTS, Configuration, load
from workflows.settings.policy import Policy, changed, of_parameters_file
from workflows.trigger.metrics import ALIVE_WITHIN, READY_WITHIN, Metrics, MetricsServer
from workflows.trigger.snapshot import Snapshot

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


def test_without_anything_the_defaults_are_used() -> None:
    assert load(None, {"HOME": "/"}) == Configuration()


def test_file_and_environment_meet_and_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / "trigger.toml"
    file.write_text(EXAMPLE)
    made = load(
        file,
        {
            "PIX2PIX_TRIGGER_MAX_CONCURRENT_RUNS": "7",
            "PIX2PIX_TRIGGER_KUBEFLOW_EXPERIMENT": "mine",
            "PIX2PIX_TRIGGER_POLICY_TRAINING_AND_EXPORT_BACKOFF": "1.5",
        },
    )
    assert (made.runner, made.max_concurrent_runs, made.poll_interval, made.lease.seconds) == ("kubeflow", 7, 5.0, 30.0)
    assert (made.kubeflow.endpoint, made.kubeflow.experiment) == ("http://ml-pipeline.kubeflow:8888", "mine")
    assert made.policy["training_and_export"] == Policy("latest", attempts=5, backoff=1.5, minimum_interval=600)
    assert made.policy["preprocessing_and_generation"] == Policy("every")


def test_arguments_of_runs_come_from_the_file_and_the_environment_parameter_by_parameter(tmp_path: Path) -> None:
    file = tmp_path / "trigger.toml"
    file.write_text("[kubeflow.arguments.training_and_export]\ngpus = '0'\nmemory = '8Gi'")
    places = '{"gpu": "a100"}'
    made = load(
        file,
        {
            f"{ARGUMENTS}TRAINING_AND_EXPORT_GPUS": "2",
            f"{ARGUMENTS}TRAINING_AND_EXPORT_NODE_SELECTOR": places,
            f"{ARGUMENTS}PREPROCESSING_AND_GENERATION_IMAGE": "registry.example.org/worker:1",
        },
    )
    assert made.kubeflow.arguments == {
        "training_and_export": {"gpus": "2", "memory": "8Gi", "node_selector": places},
        "preprocessing_and_generation": {"image": "registry.example.org/worker:1"},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("at_one = 4", "unknown setting at_one; there are runner, max_concurrent_runs"),
        ("max_concurrent_runs = 0", "max_concurrent_runs = 0 is too little; it is at least 1"),
        ("max_concurrent_runs = 1.5", "max_concurrent_runs = 1.5 is no whole number"),
        ("max_concurrent_runs = true", "max_concurrent_runs = True is no whole number"),
        ('runner = "airflow"', "runner = 'airflow' is not allowed; it is local or kubeflow"),
        ('kubeflow = "x"', r"kubeflow is a section, \[kubeflow\]"),
        ("[kubeflow]\nendpont = 'x'", "unknown setting kubeflow.endpont"),
        ("[lease]\nseconds = 5", "it must be retry < renew_within < seconds"),
        ("[policy.training]\nattempts = 1", "no pipeline training; there are training_and_export"),
        ("[policy.training_and_export]\nattempt = 1", "unknown setting attempt; there are policy, attempts"),
        ("[policy.training_and_export]\nattempts = 0", "attempts = 0 is not allowed; it is a whole number from 1"),
        ("[policy.training_and_export]\npolicy = 'some'", "policy = 'some' is not allowed; it is every or latest"),
        ("max_concurrent_runs =", "is no TOML"),
        ("kubeflow.arguments = 'x'", r"arguments stand in sections, \[kubeflow\.arguments\.training_and_export\]"),
        ("[kubeflow.arguments]\ngpus = '1'", "arguments stand in sections"),
        ("[kubeflow.arguments.training]\ngpus = '1'", r"no pipeline training in .*; there are training_and_export"),
        (
            "[kubeflow.arguments.training_and_export]\ngpu = '1'",
            r"unknown setting kubeflow\.arguments\.training_and_export\.gpu; there are cpu, gpu_type, gpus, image",
        ),
        (
            "[kubeflow.arguments.preprocessing_and_generation]\ngpus = '1'",
            r"preprocessing_and_generation\.gpus; there are image$",
        ),
        (
            "[kubeflow.arguments.training_and_export]\ncommit_set = 'new'",
            r"training_and_export\.commit_set belongs to the commit set; there are cpu",
        ),
        (
            "[kubeflow.arguments.training_and_export]\nhyperparameters = 'x'",
            "hyperparameters belongs",
        ),
        ("poll_interval = nan", "poll_interval = nan is no number of use"),
        ("[kubeflow]\ntimeout = inf", "timeout = inf is no number of use"),
        (f"poll_interval = {'9' * 5000}", "is no TOML"),
        ("[kubeflow.arguments.training_and_export]\ngpus = 1", "gpus = 1 is no text"),
        ("[kubeflow.arguments.training_and_export]\nimage = ''", "image is empty; leave it out"),
        ("[kubeflow.arguments.training_and_export]\nnode_selector = 'a100'", "node_selector=a100 is not of the type"),
    ],
)
def test_a_mistake_in_the_file_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "trigger.toml"
    file.write_text(text)
    with pytest.raises(RunInputError, match=said):
        load(file, {})


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PIX2PIX_TRIGGER_AT_ONE", "1", "unknown variable PIX2PIX_TRIGGER_AT_ONE; there are "),
        (
            "PIX2PIX_TRIGGER_MAX_CONCURRENT_RUNS",
            "many",
            "PIX2PIX_TRIGGER_MAX_CONCURRENT_RUNS='many' is no whole number",
        ),
        ("PIX2PIX_TRIGGER_LOG", "xml", "log = 'xml' is not allowed"),
        (f"{ARGUMENTS}TRAINING_AND_EXPORT_GPU", "1", "unknown variable .*TRAINING_AND_EXPORT_GPU; there are .*_GPUS"),
        (f"{ARGUMENTS}TRAINING_AND_EXPORT_COMMIT_SET", "new", "unknown variable"),
        (f"{ARGUMENTS}TRAINING_AND_EXPORT_TOLERATIONS", "{}", "tolerations={} is not of the type LIST"),
    ],
)
def test_a_mistake_in_the_environment_is_one_clear_line(variable: str, value: str, said: str) -> None:
    with pytest.raises(RunInputError, match=said):
        load(None, {variable: value})


def test_a_configuration_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunInputError, match=r"none\.toml cannot be read: No such file"):
        load(tmp_path / "none.toml", {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trigger = 1", "trigger is a section"),
        ("[trigger]\npolcy = 'every'", "unknown setting polcy"),
        ("[", "not TOML: line 1"),
        (f"x = {'[' * 5000}", "not TOML"),
        (f"x = {'9' * 5000}", "not TOML"),
    ],
)
def test_a_mistake_in_an_inputs_own_file_is_one_clear_line(text: str, said: str) -> None:
    with pytest.raises(RunInputError, match=said):
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
        metrics.looked(Snapshot(), (), 0.01, True)
        assert get(server.address, "/readyz") == (200, "ok\n")
        now[0] += READY_WITHIN
        metrics.troubled()
        assert get(server.address, "/readyz")[0] == 503
        assert get(server.address, "/healthz")[0] == 200
        now[0] += ALIVE_WITHIN
        assert get(server.address, "/healthz")[0] == 503
        status, text = get(server.address, "/metrics")
        assert status == 200
        for line in (
            "pix2pix_trigger_looks_total 1.0",
            "pix2pix_trigger_troubles_total 1.0",
            "pix2pix_trigger_leads 1.0",
        ):
            assert line in text
        assert get(server.address, "/x")[0] == 404


@pytest.mark.parametrize("listen", ["nowhere", "127.0.0.1:x", "256.0.0.1:80", "127.0.0.1:99999", "127.0.0.1:²"])
def test_an_address_that_cannot_be_listened_on_is_said(listen: str) -> None:
    with pytest.raises(RunInputError):
        MetricsServer(Metrics(lambda: 0.0, lambda: 0.0), listen)


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


def test_variables_that_kubernetes_sets_beside_our_service_are_none_of_ours() -> None:
    links = {"PIX2PIX_TRIGGER_PORT": "tcp://10.0.0.1:9090", "PIX2PIX_TRIGGER_SERVICE_HOST": "10.0.0.1"}
    assert load(None, links) == Configuration()
