"""The whole workflow with the real model, pipelines and protocol, as small as possible."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from audit import led_forward, traced_back
from pachyderm_sdk.api import pfs
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pachyderm.client.commits import all_commits, inspect
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.files import content, files
from pachyderm.dag.repos import PROVENANCE
from pachyderm.record.stage_record import StageRecord, read_record
from pix2pix.facades import generator

TRAIN = """
[train]
size = 32
scale_size = 32
ngf = 4
ndf = 4
batch_size = 4
max_steps = 3
"""

OUTPUTS = sorted({branch.repo for branch in PROVENANCE})


class Laptop:
    """A store in a folder, and the command run in processes of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = Target(store=folder / "store")

    def type(self, *words: object) -> Any:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PACH", "PIX2PIX"))}
        command = [sys.executable, "-m", "cli.main", "--store", str(self.target.store), "--json", *map(str, words)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def record(self, repo: str, commit: str) -> StageRecord:
        with connect(self.target) as client:
            record = read_record(client, repo, commit)
        assert record is not None
        return record


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A store with a model trained, exported and promoted, and three pictures generated; a fourth input is text."""
    # Paths with spaces are common on laptops.
    folder = tmp_path_factory.mktemp("a laptop")
    generator.make_pairs(folder / "pairs", 8, 32, seed=1)
    (folder / "pairs" / "pix2pix.toml").write_text(TRAIN)
    generator.make_labels(folder / "labels", 3, 32, seed=2)
    (folder / "labels" / "not-a-picture.png").write_text("text")
    (folder / "labels" / "pix2pix.toml").write_text("[resize]\nsize = 32\n")
    laptop = Laptop(folder)
    laptop.type("setup")
    laptop.type("put", "training", folder / "pairs")
    laptop.type("put", "input_images", folder / "labels")
    units = laptop.type("trigger", "--once")["units"]
    assert {unit["state"] for unit in units} == {"good"}
    yield laptop


def test_a_commit_on_each_input_leads_to_generated_pictures(laptop: Laptop) -> None:
    done = laptop.type("get", "generate_images", laptop.folder / "out", "--glob", "/*.png")
    assert done["files"] == 3
    for path in (laptop.folder / "out").iterdir():
        with Image.open(path) as picture:
            assert (picture.size, picture.mode) == ((32, 32), "RGB")


def test_every_output_commit_leads_back_to_data_code_parameters_and_run(laptop: Laptop) -> None:
    with connect(laptop.target) as client:
        filled = [
            (commit, read_record(client, commit.repo, commit.id))
            for repo in OUTPUTS
            for commit in all_commits(client, repo)
            if content(files(client, commit.repo, commit.id))
        ]
        assert {commit.repo for commit, _ in filled} == set(OUTPUTS)
        for commit, record in filled:
            assert record is not None and commit.state == "good"
            provenance = {(source.repo, source.id) for source in commit.provenance}
            assert {(source.repo, source.commit) for source in record.inputs} == provenance
            assert record.run["id"] and record.fingerprint == commit.metadata["fingerprint"]
            assert set(record.files) == set(content(files(client, commit.repo, commit.id)))
            assert record.parameters_from.partition("@")[0] in ("training", "input_images")
            assert _roots(client, commit.repo, commit.id) <= {"training", "input_images"}


def _roots(client: Connection, repo: str, commit_id: str) -> set[str]:
    """Return the repos at the start of a commit's provenance."""
    sources = inspect(client, repo, commit_id).provenance
    return set().union(*(_roots(client, source.repo, source.id) for source in sources)) if sources else {repo}


def test_the_first_model_is_promoted_by_the_gate_and_models_and_why_say_so(laptop: Laptop) -> None:
    (row,) = laptop.type("models")
    assert (row["use"], row["in_use"], row["verdict"]) == ("in use", True, None)
    assert (row["gate"]["outcome"], row["gate"]["reason"]) == ("promoted", "no model was in use")
    decisions = laptop.type("why", row["commit"])["decisions"]
    assert ("gate", "promoted", "no model was in use") in [(d["by"], d["decision"], d["reason"]) for d in decisions]


def test_a_bad_picture_stops_nothing_and_is_listed(laptop: Laptop) -> None:
    log = laptop.type("log", "preprocess_images")
    record = laptop.record("preprocess_images", log[0]["commit"])
    (rejection,) = record.rejected
    assert (rejection.path, rejection.code) == ("/not-a-picture.png", "FORMAT_NOT_ALLOWED")
    assert (record.counts.inputs, record.counts.accepted, record.counts.rejected) == (4, 3, 1)


def test_a_second_trigger_finds_nothing_to_do(laptop: Laptop) -> None:
    assert laptop.type("trigger", "--once") == {"units": []}


def test_one_more_picture_is_the_only_work_and_the_others_keep_their_bytes(laptop: Laptop) -> None:
    before = laptop.type("ls", "generate_images:/")
    late = laptop.folder / "late.png"
    generator.make_labels(laptop.folder / "late", 1, 32, seed=3)
    next((laptop.folder / "late").iterdir()).rename(late)
    commit = laptop.type("put", "input_images", late)["commit"]
    assert [unit["state"] for unit in laptop.type("trigger", "--once")["units"]] == ["good"]
    for repo in ("preprocess_images", "generate_images"):
        counts = laptop.record(repo, commit).counts
        assert (counts.computed, counts.carried) == (1, 3), repo
    after = {entry["path"]: entry["hash"] for entry in laptop.type("ls", "generate_images:/")}
    assert all(after[entry["path"]] == entry["hash"] for entry in before if "_report" not in entry["path"])


def test_the_reports_are_self_contained_pages(laptop: Laptop) -> None:
    for repo in OUTPUTS:
        head = laptop.type("log", repo)[0]["commit"]
        with connect(laptop.target) as client:
            parts = client.pfs.get_file(file=client.file(repo, head, "/_report/report.html"))
            page = b"".join(part.value for part in parts).decode()
        assert page.lstrip().lower().startswith("<!doctype html>")
        assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page


def test_the_record_is_readable_with_the_sdk_alone(laptop: Laptop) -> None:
    head = laptop.type("log", "generate_images")[0]["commit"]
    with connect(laptop.target) as client:
        file = pfs.File(commit=pfs.Commit(repo=pfs.Repo(name="generate_images"), id=head), path="/_report/stage.json")
        record = json.loads(b"".join(part.value for part in client.pfs.get_file(file=file)))
    assert record["schema"] == 1
    assert {source["repo"] for source in record["inputs"]} == {"model", "preprocess_images"}


def test_a_picture_on_disk_is_traced_back_even_after_it_was_edited(laptop: Laptop) -> None:
    laptop.type("get", "generate_images", laptop.folder / "found")
    picture = sorted((laptop.folder / "found").glob("*.png"))[0]
    graph = laptop.type("lineage", picture)
    repos = {node["repo"] for node in graph["nodes"] if node["kind"] == "commit"}
    assert repos == {"training", "checkpoint", "model", "input_images", "preprocess_images", "generate_images"}
    assert graph["start"].endswith(f":/{picture.name}")
    with Image.open(picture) as opened:
        text = PngInfo()
        for key, value in opened.text.items():  # type: ignore[attr-defined]
            text.add_itxt(key, value)
        assert "pix2pix:fingerprint" in opened.text  # type: ignore[attr-defined]
        opened.convert("L").save(laptop.folder / "grey.png", pnginfo=text)
    assert laptop.type("lineage", laptop.folder / "grey.png")["start"] == graph["start"]


def test_every_file_is_traced_back_and_every_input_forward(laptop: Laptop) -> None:
    with connect(laptop.target) as client:
        assert traced_back(client) > 5
        assert led_forward(client) > 3


def test_fsck_finds_no_problems(laptop: Laptop) -> None:
    assert laptop.type("fsck")["problems"] == []
