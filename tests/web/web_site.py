"""A small history with real pictures, and the web application over it with a model that inverts pictures."""

from __future__ import annotations

import io
import itertools
import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import uvicorn
from PIL import Image
from starlette.testclient import TestClient

from components.pictures import assign
from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, head
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.files import read
from pachyderm.client.upload import put
from pachyderm.dag.gate_decision import GateDecision
from pachyderm.dag.repos import (
    EXPORT,
    GENERATE,
    GENERATE_IMAGES,
    INPUT_IMAGES,
    REPOS,
    RESIZE,
    TRAIN,
    TRAINING,
    StageSpec,
)
from pachyderm.dag.setup import set_up
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import Input, Judgement, Resolved, Stage, StageContext, StageOutput
from pachyderm.output.worker import Worker
from pachyderm.record.stage_record import RecordedParameter, Rejected
from web.application import create_application
from web.configuration import LOOPBACK_NAMES, WebConfiguration
from web.inference.model_in_use import LoadedModel

HOSTILE = "<img src=x onerror=alert(1)>&\"'"
HOSTILE_NAME = "<img src=x onerror=alert`1`>&\"'.png"
"""Pachyderm refuses parentheses in names."""

SIZE = 16
LABELS = ((0, 128, 255), (255, 0, 0), (255, 255, 0))


def png(colour: tuple[int, int, int] = (10, 20, 30), width: int = SIZE, height: int = SIZE) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def pair() -> bytes:
    """An A|B pair whose left half is a label map and whose right half is noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, 2 * SIZE, 3)).astype(np.uint8)
    for number, colour in enumerate(LABELS):
        pixels[number * 4 :, :SIZE] = colour
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def inverting(folder: Path, commit: str) -> LoadedModel:
    """Load a "model" of the tests: it inverts pictures."""
    return LoadedModel(commit, (SIZE, SIZE), 4, True, lambda batch: 255 - batch, {"train": {"direction": "AtoB"}})


@dataclass
class Site:
    """A store, its history, and how to serve it."""

    target: Target
    client: Connection
    folder: Path
    sets: dict[str, str] = field(default_factory=dict)

    def put(self, branch: BranchName, files: Mapping[str, bytes], message: str = "") -> str:
        sources = {}
        for path, data in files.items():
            sources[path] = self.folder / uuid.uuid4().hex
            sources[path].write_bytes(data)
        commit = put(self.client, branch, sources, message=message).commit
        assert commit is not None
        return commit

    def run(self, *stages: str) -> None:
        for name in stages:
            clock = itertools.count(1.0)
            scratch = self.folder / f"scratch-{uuid.uuid4().hex}"
            scratch.mkdir()
            worker = Worker(
                "run",
                uuid.uuid4().hex[:6],
                scratch,
                lambda done, total, note: None,
                clock=clock.__next__,
                pause=lambda seconds: None,
            )
            fill_set(self.client, STAGES[name], "", {}, worker)

    def train(self, message: str = "", policy: str = "always") -> str:
        files = {f"/{uuid.uuid4().hex}.png": pair(), "/pix2pix.toml": policy.encode()}
        commit = self.put(TRAINING, files, message)
        self.run("train", "export")
        return commit

    def configuration(self, **changes: Any) -> WebConfiguration:
        names = LOOPBACK_NAMES | {"testserver"}
        return replace(WebConfiguration(self.target, allowed_hosts=names, poll_interval=0.05), **changes)

    @contextmanager
    def serve(self, load: Callable[[Path, str], LoadedModel] = inverting, **changes: Any) -> Iterator[TestClient]:
        """Provide a client of the application."""
        application = create_application(self.configuration(**changes), load=load, clock=lambda: 1.9e9)
        with TestClient(application) as client:
            yield client


def addresses(history: Site) -> list[str]:
    """Return the address of every kind of page, of commits of every repo."""
    first, second, pictures = (history.sets[name] for name in ("first", "second", "pictures"))
    generated = head(history.client, GENERATE_IMAGES).id
    of_repo = {"training": second, "checkpoint": second, "model": second, "generate_images": generated}
    return [
        *("/", "/models", "/pictures", "/pictures?q=%3Cscript%3E", "/draw", "/upload", "/fragments/overview"),
        *(f"/commits/{repo}/{of_repo.get(repo, pictures)}" for repo in REPOS),
        *(f"/models/{second}", f"/models/compare?a={first}&b={second}", f"/pictures/{generated}/a.png"),
    ]


@contextmanager
def listening(site: Site) -> Iterator[str]:
    """Serve a site to a browser and provide its address."""
    application = create_application(site.configuration(), load=inverting, clock=lambda: 1.9e9)
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


TOKEN = "0123456789abcdef-token"


def ready(client: TestClient) -> TestClient:
    """Return the client once a model is loaded."""
    while client.get("/readyz").status_code != 200:
        pass
    return client


def csrf(client: TestClient) -> dict[str, str]:
    """Return the header that a page's script sends with each change."""
    page = client.get("/draw").text
    return {"x-csrf-token": page.partition('name="csrf-token" content="')[2].partition('"')[0]}


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Provide a store that is set up and empty."""
    target = Target(store=folder / "store")
    with connect(target) as client:
        set_up(client)
        yield Site(target, client, folder)


def populate(site: Site) -> None:
    """Make a history: two models, three pictures of which one is refused, names and messages that are hostile."""
    site.sets["first"] = site.train(f"message {HOSTILE}")
    files = {f"/{HOSTILE_NAME}": png((1, 2, 3)), "/a.png": png((4, 5, 6)), "/bad.png": b"bad"}
    site.sets["pictures"] = site.put(INPUT_IMAGES, files, f"pictures {HOSTILE}")
    site.run("resize", "generate")
    site.sets["second"] = site.train("second")
    site.run("generate")


def _resolve(text: str | None, own: Mapping[str, Any], where: str) -> Resolved:
    recorded = {"size": RecordedParameter(HOSTILE, "file")}
    return Resolved({"size": HOSTILE}, recorded, policy="review" if text == "review" else "always")


def _judge(context: StageContext, in_use: Commit, model: Mapping[str, Any]) -> Judgement:
    outcome: Literal["waiting", "promoted"] = "waiting" if context.policy == "review" else "promoted"
    return Judgement(GateDecision(outcome, HOSTILE, context.policy, in_use=in_use.id))


def _awaited(inputs: Mapping[str, Input]) -> str | None:
    missing = [repo for repo, entry in inputs.items() if not entry.files]
    return f"something in {missing[0]}" if missing else None


def _stage(spec: StageSpec, work: Callable[[StageContext], StageOutput]) -> Stage:
    return Stage(
        spec=spec,
        code=lambda: f"code of {spec.name}",
        versions=lambda: {"pillow": "13"},
        resolve=_resolve,
        work=work,
        awaited=_awaited,
        page=lambda record, local: "<script>alert(1)</script>",
        assign=assign if spec.per_file else None,
        judge=_judge if spec == EXPORT else None,
    )


def _trained(context: StageContext) -> StageOutput:
    log = context.scratch / "metrics.jsonl"
    line = {
        "step": 1,
        "images_per_second": 1.0,
        "losses": {"l1": 0.5, "adversarial": 1.0, "discriminator": 1.0},
        "held_out": {"l1": 0.5, "psnr": 20.0, "ssim": 0.8},
    }
    log.write_text(json.dumps(line) + "\n" + json.dumps({**line, "step": 2, "name": uuid.uuid4().hex}) + "\n")
    samples = context.scratch / "over_time.png"
    samples.write_bytes(png())
    return StageOutput({"/metrics.jsonl": log, "/samples/over_time.png": samples}, metrics={"held_out_l1": 0.5})


def _exported(context: StageContext) -> StageOutput:
    graph = context.scratch / "saved_model.pb"
    graph.write_text(uuid.uuid4().hex)
    return StageOutput({"/1/saved_model.pb": graph}, metrics={"held_out_l1": 0.5, "held_out_ssim": 0.8})


def _each(context: StageContext) -> StageOutput:
    assert context.plan is not None
    outputs, rejected = {}, []
    repo = context.inputs and next(iter(context.plan.compute)) and STAGE_INPUT[context.commit.repo]
    for number, (path, output) in enumerate(context.plan.compute.items()):
        data = read(context.client, repo, context.inputs[repo].commit.id, path) or b""
        if data == b"bad":
            rejected.append(Rejected(path, "TRUNCATED", f"cut short {HOSTILE}"))
            continue
        outputs[output] = context.scratch / str(number)
        outputs[output].write_bytes(data)
    return StageOutput(outputs, rejected=tuple(rejected))


STAGE_INPUT = {RESIZE.output.repo: RESIZE.inputs[0].repo, GENERATE.output.repo: GENERATE.inputs[0].repo}

STAGES = {
    "train": _stage(TRAIN, _trained),
    "export": _stage(EXPORT, _exported),
    "resize": _stage(RESIZE, _each),
    "generate": _stage(GENERATE, _each),
}
