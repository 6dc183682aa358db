"""Every parser of text that others write: how it is called, which errors it may raise, and valid inputs."""

from __future__ import annotations

import functools
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.append(str(Path(__file__).parent.parent / "unit"))

from pachyderm.errors import PermanentError, RequestError
from pachyderm.store.status_errors import StatusError
from pix2pix.errors import HyperparameterError, InputError
from workflows.errors import RunInputError, WorkflowError

SCRATCH = Path(tempfile.mkdtemp(prefix="pix2pix-fuzz-"))
"""For parsers that read files; one file per parser, replaced by each input."""

COMMIT_ID = "a" * 32


@dataclass(frozen=True)
class Parser:
    """A parser under test.

    Attributes:
        parse: called with the input; what it returns does not matter.
        refuses: errors that mean "this input is not valid"; any other error is a defect.
        seeds: valid inputs.
    """

    parse: Callable[[bytes], object]
    refuses: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]


def text(data: bytes) -> str:
    """Return bytes as text that a protobuf message could hold."""
    return data.decode("utf-8", "replace")


def written(name: str, data: bytes) -> Path:
    path = SCRATCH / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@functools.cache
def record_tests() -> Any:
    import test_stage_record

    return test_stage_record


def metadata(data: bytes) -> dict[str, str]:
    """Return metadata whose keys and values are an input's: an object of texts, or the input as each known value."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        pairs = [(key, value if isinstance(value, str) else json.dumps(value)) for key, value in document.items()]
        return {key.encode(errors="replace").decode(): value.encode(errors="replace").decode() for key, value in pairs}
    keys = ("run.1", "run.2", "over.1", "done.1", "alive.1", "decision.1.start", "promoted.x", "rolledback.x")
    return dict.fromkeys((*keys, f"run.{text(data)[:5000]}", f"hyperparameters.{COMMIT_ID}"), text(data))


def read_metadata(data: bytes) -> None:
    from pachyderm.dag import promotion, references
    from pachyderm.fsck.claim_checks import check_claims, check_metadata
    from pachyderm.queue import claims, commit_sets
    from pachyderm.queue.decisions import decisions_of, moment_of

    found = metadata(data)
    commit = replace(record_tests().COMMIT, metadata=found, finishing=None, finished=None)
    claims.live_claim(found)
    claims.working_claim(found)
    claims.predecessor(found, "run", "attempt")
    for decision in decisions_of(found):
        moment_of(decision)
    promotion.promotions_of(commit)
    promotion._current(commit, [promotion.Promotion(1.0, "x", commit.id)])
    for value in found.values():
        references._holder(value)
    evidence: Any = SimpleNamespace(
        outputs=[commit], commits={"model": [commit], "training": [commit], "input_images": [commit]}
    )
    list(check_claims(evidence, None))
    list(check_metadata(evidence))
    commit_sets.own_parameters_in(commit, COMMIT_ID)


def read_record(data: bytes) -> None:
    from pachyderm.forecast.run_figures import parse_figures
    from pachyderm.record.stage_record import parse

    figures = parse_figures(data, "stage.json")
    record = parse(data, "stage.json")
    assert (figures.seconds, figures.counts) == (record.seconds, record.counts)
    record_tests().use(record)


def read_own_parameters(data: bytes) -> None:
    from components.parameters import of_pipeline, parse_own

    of_pipeline(parse_own(text(data)), "training")


def read_parameters_file(data: bytes) -> None:
    from components.parameters import resolver
    from pix2pix import toml_text
    from pix2pix.hyperparameters import parse
    from pix2pix.toml_text import TomlError
    from workflows.settings.policy import Policy, of_parameters_file

    try:
        content = toml_text.decode(data)
    except TomlError:
        content = text(data)
    parsers: list[Callable[[], object]] = [
        lambda: parse(content, "pix2pix.toml"),
        lambda: of_parameters_file(Policy(), content, "pix2pix.toml"),
        *(functools.partial(resolver("training", name), content, {}, "x") for name in ("train", "export")),
        *(functools.partial(resolver("input_images", name), content, {}, "x") for name in ("resize", "generate")),
    ]
    for parser in parsers:
        try:
            parser()
        except (PermanentError, HyperparameterError, RunInputError) as error:
            assert str(error)


def read_assignments(data: bytes) -> None:
    from pix2pix.hyperparameters import parse_assignments, resolve

    resolve("train", parse_assignments(text(data).splitlines()))


def read_configuration(data: bytes) -> None:
    from workflows.settings.configuration import load

    load(written("trigger.toml", data), {})


def read_environment(data: bytes) -> None:
    from workflows.settings.configuration import PREFIX, load

    value = text(data)
    names = ("MAX_CONCURRENT_RUNS", "LOG", "LEASE_SECONDS", "KUBEFLOW_TIMEOUT")
    load(None, {f"{PREFIX}{name}": value for name in names})


def read_names(data: bytes) -> None:
    from pachyderm.client.file_names import decode, encode
    from pix2pix.escaping import escape, escape_lines, escape_message
    from pix2pix.images.names import assign_outputs, has_suffix, may_be_picture

    names = [name for name in data.decode("utf-8", "surrogateescape").split("\n") if name]
    for name in names:
        assert decode(encode(name)) == name
        decode(name.encode(errors="replace").decode())
        may_be_picture(name)
        has_suffix(name)
        for shown in (escape(name), escape_lines(name), escape_message(name)):
            assert "\x1b" not in shown
            assert "\u202e" not in shown
    outputs, collisions = assign_outputs(names)
    assert len(set(outputs.values())) == len(outputs)
    assert {*outputs} | {file.path for file in collisions} <= {*names}


def read_references(data: bytes) -> None:
    from pachyderm.dag import model_references, references
    from pachyderm.store.names import RepoName, parse_reference

    value = text(data)
    references.split(value)
    before = model_references._BEFORE.fullmatch(value)
    if before:
        assert references.generations(before["ancestry"]) >= 1
    found = references._REFERENCE.fullmatch(value)
    if found:
        assert references.generations(found["ancestry"]) >= 0
    try:
        references.resolve(MissingRepo(), "training", value)  # type: ignore[arg-type]
    except RequestError as error:
        assert str(error)
    parse_reference(RepoName("default", "training", "user"), value)


class MissingRepo:
    """Stands for a connection to a Pachyderm with one commit, without parent, under every name."""

    def __init__(self) -> None:
        self.pfs = self

    def __getattr__(self, name: str) -> Any:
        raise RequestError(f"{name}: nothing is found")


def read_globs(data: bytes) -> None:
    from pachyderm.store.files import glob, paths

    pattern = text(data)[:300]
    glob.is_literal(pattern)
    glob.literal_prefix(pattern)
    glob.matcher(glob.clean(pattern))("/cats/1.png")
    paths.check(paths.clean(pattern))


def read_manifest(data: bytes) -> None:
    from pix2pix.inference.manifest import require_unchanged

    require_unchanged(written("model/assets.extra/manifest.json", data).parent.parent)


def read_model_options(data: bytes) -> None:
    from pix2pix.inference.suitability import ModelInputs

    written("described/saved_model.pb", b"")
    ModelInputs.of_model(written("described/assets.extra/pix2pix.json", data).parent.parent)


def read_metrics(data: bytes) -> None:
    from pix2pix.pages.training_report import curves_of
    from pix2pix.training import metrics_log

    path = written("metrics.jsonl", data)
    metrics_log.is_metrics_log(path)
    curves_of(metrics_log.read(path))


def read_checkpoint(data: bytes) -> None:
    from pix2pix.training import checkpoints

    checkpoints.read(written("checkpoint/checkpoint.json", data).parent)


def read_run_folder(data: bytes) -> None:
    from workflows.runners.run_folder import RunFolder

    for name in ("run.json", "state.json"):
        written("local/run.json", RUN)
        written("local/state.json", STATE)
        written(f"local/{name}", data)
        RunFolder(SCRATCH / "local").state()


def read_log(data: bytes) -> None:
    from workflows.runners.log_lines import LogFollower, cause

    path = written("log.txt", data)
    LogFollower(path).lines()
    cause(path)


@functools.cache
def kubeflow() -> Any:
    """Return a runner whose API answers with `answer`, without a network."""
    import kfp_server_api
    import urllib3
    from kfp_server_api.rest import RESTResponse

    from workflows.runners.kubeflow import KubeflowRunner
    from workflows.runners.kubeflow_api import Access, Api

    class Answering:
        status, body = 200, b""

        def request(self, *arguments: Any, **options: Any) -> Any:
            headers = {"Content-Type": "application/json", "Retry-After": text(self.body[:40])}
            answer = RESTResponse(urllib3.HTTPResponse(self.body, headers, self.status))
            if self.status >= 400:
                raise kfp_server_api.exceptions.ApiException(http_resp=answer)
            return answer

    client = kfp_server_api.ApiClient(kfp_server_api.Configuration(host="http://127.0.0.1:1"))
    rest = Answering()
    client.request = rest.request
    api = Api(Access(), lambda seconds: None)
    api._client = SimpleNamespace(
        _existing_config=SimpleNamespace(host="http://127.0.0.1:1"),
        _run_api=kfp_server_api.RunServiceApi(client),
        _experiment_api=kfp_server_api.ExperimentServiceApi(client),
    )
    runner = KubeflowRunner(api)
    return runner, rest


def read_runs(data: bytes) -> None:
    runner, rest = kubeflow()
    for rest.status in (200, 400, 500):
        rest.body = data
        for call in (runner.live, lambda: runner.state("r"), runner.check):
            runner._registry._experiment = "e"
            try:
                call()
            except WorkflowError as error:
                assert str(error)


def read_pipeline(data: bytes) -> None:
    from workflows.runners.compiled import read

    package = read(written("pipeline.yaml", data))
    package.typed({name: text(data)[:2000] for name in package.parameters})


def read_lock(data: bytes) -> None:
    from workflows.daemon.lease import LockFile

    LockFile(written("lock", data)).holder()


def read_picture_text(data: bytes) -> None:
    from pix2pix.images.png.text import read_text

    read_text(written("picture.png", data))


CLAIM = json.dumps({"run": "r", "attempt": "a"})
DECISION = json.dumps(
    {"time": "2026-01-01T00:00:00.000Z", "decision": "start", "reason": "new", "run": "r", "attempt": 1, "by": "me"}
)
METADATA = json.dumps(
    {
        "run.1": CLAIM,
        "alive.1": "3",
        "done.1": "7",
        "over.1": "failed: no pairs",
        "run.2": CLAIM,
        "decision.1.start": DECISION,
        "promoted.x": '{"time": 1.5, "from": "a"}',
        "rolledback.x": '{"time": 2.5, "from": "a", "to": "x"}',
        f"hyperparameters.{COMMIT_ID}": '{"train": {"max_steps": 3}}',
        "fingerprint": "f" * 64,
    }
).encode()
PARAMETERS = b"""[train]
max_steps = 100
flip = true
size = 64
loss = "bce"
[export]
version = 2
promote = "never"
[resize]
range = [0, 1]
[generate]
batch_size = 4
[trigger]
policy = "latest"
backoff = 1.5
"""
TRIGGER = b"""runner = "kubeflow"
max_concurrent_runs = 3
poll_interval = 1.5
[kubeflow]
endpoint = "http://127.0.0.1:1"
cookies = "a=b"
[kubeflow.arguments.training_and_export]
gpus = "1"
[lease]
seconds = 15
[policy.training_and_export]
attempts = 2
"""
RUN = json.dumps(
    {
        "run": "r",
        "pipeline": "p",
        "package": "p.yaml",
        "arguments": {"a": 1},
        "display_name": f"p {COMMIT_ID} 1",
        "started": 1.5,
        "creator": [1, "x"],
    }
).encode()
STATE = json.dumps(
    {"phase": "failed", "process": [1, "x"], "error": "e", "ended": 2.5, "outputs": {"t": {"o": "v"}}}
).encode()
RUNS = json.dumps(
    {
        "runs": [
            {
                "run_id": "r",
                "display_name": f"p {COMMIT_ID} 1",
                "state": "FAILED",
                "created_at": "2026-01-01T00:00:00Z",
                "finished_at": "2026-01-01T00:01:00Z",
                "error": {"code": 1, "message": "no pairs"},
                "state_history": [{"state": "FAILED", "update_time": "2026-01-01T00:00:00Z"}],
                "run_details": {
                    "task_details": [
                        {
                            "task_id": "t",
                            "display_name": "train",
                            "state": "FAILED",
                            "child_tasks": [{"task_id": "c"}],
                            "state_history": [{"error": {"message": "exit code 137"}}],
                        }
                    ]
                },
            }
        ],
        "next_page_token": "",
        "total_size": 1,
    }
).encode()
RUN_OF_KUBEFLOW = json.dumps(json.loads(RUNS)["runs"][0]).encode()
EXPERIMENTS = json.dumps(
    {"experiments": [{"experiment_id": "e", "display_name": "pix2pix", "created_at": "2026-01-01T00:00:00Z"}]}
).encode()
LOG = (
    b"12:00:00.1 - INFO - Executing task 'train'\n    [KFP Executor x] Got executor_input:\n    {\n    }\n"
    b"    step 1\n    Traceback (most recent call last):\n      File x\n    ValueError: no\n"
    b"12:00:00.2 - INFO - Task 'train' finished with status FAILURE\n"
)
METRICS = (
    b'{"step": 1, "epoch": 0.5, "images": 2, "seconds": 1.5, "images_per_second": 3.0, "losses": {"l1": 0.5}}\n'
    b'{"step": 1, "held_out": {"l1": 0.4, "ssim": 0.9}}\n'
)
PIPELINE = b"""root:
  inputDefinitions:
    parameters:
      number: {parameterType: NUMBER_INTEGER, isOptional: true}
      struct: {parameterType: STRUCT}
  dag:
    tasks: {train: {}}
"""


def record_seeds() -> tuple[bytes, ...]:
    return (record_tests().VALID.to_json(),)


def options_seed() -> bytes:
    from dataclasses import asdict

    from pix2pix.hyperparameters import TrainParameters

    return json.dumps({"format": 1, "step": 1, "metrics": {}, "train": asdict(TrainParameters())}).encode()


def checkpoint_seed() -> bytes:
    from dataclasses import asdict

    from pix2pix.hyperparameters import TrainParameters
    from pix2pix.training.checkpoints import FORMAT

    document = {"format": FORMAT, "step": 1, "metrics": {}, "parameters": asdict(TrainParameters())}
    return json.dumps(document).encode()


def picture_seed() -> bytes:
    import numpy as np

    from pix2pix.images.codec import png_bytes

    return bytes(png_bytes(np.zeros((2, 2, 3), np.uint8)))


MANIFEST = json.dumps({"files": {"saved_model.pb": {"bytes": 1, "sha256": "0" * 64}}, "format": 1}).encode()

PARSERS: dict[str, Callable[[], Parser]] = {
    "metadata": lambda: Parser(read_metadata, (RequestError,), (METADATA,)),
    "record": lambda: Parser(read_record, (RequestError,), record_seeds()),
    "own parameters": lambda: Parser(
        read_own_parameters, (RequestError,), (b'{"train": {"max_steps": 3}}', b"train.max_steps = 3\n")
    ),
    "parameters file": lambda: Parser(read_parameters_file, (), (PARAMETERS,)),
    "assignments": lambda: Parser(read_assignments, (HyperparameterError,), (b"max_steps=3\nflip=false",)),
    "configuration": lambda: Parser(read_configuration, (RunInputError,), (TRIGGER,)),
    "environment": lambda: Parser(read_environment, (RunInputError,), (b"3", b"text", b"1.5")),
    "names": lambda: Parser(read_names, (), (b"a.png\nb (1).JPG\ncats/\xc3\xa9.webp\na.PNG", b"CON\n..\nx\xff.png")),
    "references": lambda: Parser(
        read_references, (StatusError,), (b"master^2", b"a" * 32, b"training@master~:/1.png", b"master.1^^")
    ),
    "globs": lambda: Parser(read_globs, (StatusError,), (b"/**/*.png", b"/{a,b}/[!x]?", b"/@(a|b)/\\*")),
    "manifest": lambda: Parser(read_manifest, (InputError,), (MANIFEST,)),
    "model options": lambda: Parser(read_model_options, (InputError,), (options_seed(),)),
    "metrics log": lambda: Parser(read_metrics, (), (METRICS, METRICS.splitlines()[0])),
    "checkpoint": lambda: Parser(read_checkpoint, (InputError,), (checkpoint_seed(),)),
    "run folder": lambda: Parser(read_run_folder, (), (RUN, STATE)),
    "run log": lambda: Parser(read_log, (), (LOG,)),
    "runs of Kubeflow": lambda: Parser(read_runs, (), (RUNS, RUN_OF_KUBEFLOW, EXPERIMENTS)),
    "compiled pipeline": lambda: Parser(read_pipeline, (RunInputError,), (PIPELINE,)),
    "lock file": lambda: Parser(read_lock, (), (b'{"process": 1}',)),
    "picture text": lambda: Parser(read_picture_text, (), (picture_seed(),)),
}
"""Name -> the parser; made when it is asked for, since some import TensorFlow."""


def check(parser: Parser, data: bytes) -> None:
    """Call a parser; raise what is neither a result nor a refusal with a message."""
    try:
        parser.parse(data)
    except parser.refuses as error:
        if not str(error):
            raise AssertionError("a refusal without a message") from error
