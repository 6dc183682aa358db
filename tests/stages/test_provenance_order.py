"""Nothing depends on the order in which a server lists provenance, which is arbitrary on every server."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from populated_store import live_in, opened
from shuffled_provenance import shuffled
from stage_harness import House, whole
from stage_runner import StageRunner

from cli.record.fsck import fsck as fsck_command
from pachyderm.client.commits import all_commits, head
from pachyderm.client.connection import Connection
from pachyderm.dag.promotion import promote
from pachyderm.dag.repos import GENERATE_IMAGES, INPUT_IMAGES, MODEL, REPOS, TRAINING
from pachyderm.fsck.check import fsck
from pachyderm.output.output_commit import fill_set
from pachyderm.queue.blockers import waiting
from pachyderm.queue.open_commits import OpenCommits
from pachyderm.queue.source_commit import source_of
from pachyderm.record.explain import explain
from pachyderm.record.lineage_backward import backward
from pachyderm.record.lineage_forward import forward
from workflows.settings.configuration import Configuration
from workflows.trigger import wiring

SEEDS = st.integers(0, 2**16)
QUICK = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that has seen everything, with two commits of pictures and a training that wait."""
    with opened(tmp_path_factory.mktemp("busy")) as house:
        live_in(house)
        for number in range(2):
            house.put(INPUT_IMAGES, {"/waits.jpg": str(number)})
        house.put(TRAINING, {"/a.png": "waits"})
        yield house


def facts(client: Connection) -> dict[str, Any]:
    """What the commands read of a history."""
    commits = {repo: list(all_commits(client, repo)) for repo in REPOS}
    newest = head(client, GENERATE_IMAGES)
    pictures = commits[INPUT_IMAGES.repo][-2]
    looked = OpenCommits(client)
    return {
        "commits": commits,
        "open": looked.look(),
        "sources": [str(source_of(client, commit)) for commit in commits[GENERATE_IMAGES.repo]],
        "waiting": waiting(client, 0.0),
        "explained": [explain(client, commit.id, 0.0) for commit in commits[GENERATE_IMAGES.repo]],
        "backward": [backward(client, commit).document() for commit in commits[GENERATE_IMAGES.repo]],
        "forward": [forward(client, commit).document() for commit in (pictures, commits[TRAINING.repo][-2])],
        "checked": fsck(client, now=newest.started, contents=False),
    }


@pytest.fixture(scope="module")
def expected(busy: House) -> dict[str, Any]:
    return facts(busy.client)


@QUICK
@given(seed=SEEDS)
def test_what_is_read_of_a_history_is_the_same_in_every_order_of_provenance(
    busy: House, expected: dict[str, Any], seed: int
) -> None:
    with contextlib.closing(shuffled(busy.client, seed)) as client:
        found = facts(client)
    for name, value in expected.items():
        assert found[name] == value, name


def test_lineage_prints_parents_sorted(busy: House) -> None:
    with contextlib.closing(shuffled(busy.client, 1)) as client:
        for commit in all_commits(client, GENERATE_IMAGES.repo):
            graph = backward(client, commit)
            parents = [edge.source for edge in graph.sources(str(commit)) if edge.relation == "made from"]
            assert len(parents) == 2
            assert parents == sorted(parents)


def test_an_open_commit_goes_back_to_the_input_of_its_own_pipeline(busy: House) -> None:
    with contextlib.closing(shuffled(busy.client, 2)) as client:
        sources = {(one.branch.repo, one.source.repo) for one in OpenCommits(client).look() if one.source}
    assert sources == {
        ("checkpoint", "training"),
        ("model", "training"),
        ("preprocess_images", "input_images"),
        ("generate_images", "input_images"),
    }


def triggered(house: House, at_once: int = 2) -> tuple[dict[str, str], Any]:
    """Let a trigger with the default settings work until nothing is open; how each commit set ended."""
    place = wiring.TriggerContext(house.target, house.folder, "tests:1", lambda line: None, StageRunner(house))  # type: ignore[arg-type]
    done = wiring.once(place, Configuration(max_concurrent_runs=at_once))
    return {unit.commit_set: unit.error or unit.state for unit in done}, done


@pytest.mark.parametrize(("seed", "at_once"), [(0, 1), (1, 2), (2, 2)])
def test_pictures_that_wait_while_a_training_is_promoted_are_all_generated(
    house: House, monkeypatch: pytest.MonkeyPatch, seed: int, at_once: int
) -> None:
    monkeypatch.setattr(wiring, "connect", lambda target: contextlib.closing(shuffled(house.client, seed)))
    house.put(TRAINING, {"/a.png": "A"})
    house.run("train", "export")
    house.put(INPUT_IMAGES, {"/1.jpg": "1"})
    triggered(house)
    house.client, plain = shuffled(house.client, seed), house.client
    training = house.put(TRAINING, {"/a.png": "B"})
    pictures = [house.put(INPUT_IMAGES, {"/1.jpg": f"changed {number}"}) for number in range(3)]
    ends, _ = triggered(house, at_once)
    house.client.close()
    house.client = plain
    assert house.head(MODEL).id == training
    promoted = house.head(GENERATE_IMAGES).id
    assert ends == dict.fromkeys([training, *pictures, promoted], "good")
    for number, commit_set in enumerate(pictures):
        output = house.output(GENERATE_IMAGES, commit_set)
        assert house.content(output) == {"/1.png": f"made(small(changed {number}))"}
    assert fsck(house.client, now=time.time(), contents=True).problems == ()
    at = ["--pachd", house.target.pachd] if house.target.pachd else ["--store", str(house.target.store)]
    monkeypatch.setenv("PACH_PROJECT", house.target.project)
    done = CliRunner().invoke(fsck_command, ["--json", *at])
    assert (done.exit_code, json.loads(done.stdout)["problems"]) == (0, [])


def test_under_latest_what_pictures_are_superseded_by_holds_pictures_too(house: House) -> None:
    house.put(TRAINING, {"/a.png": "A", "/pix2pix.toml": "promote=never"})
    house.run("train", "export")
    latest = '[trigger]\npolicy = "latest"\n'
    pictures = [house.put(INPUT_IMAGES, {"/1.jpg": str(number), "/pix2pix.toml": latest}) for number in range(3)]
    promote(house.client, None, time.time())
    promoted = house.head(GENERATE_IMAGES).id
    ends, _ = triggered(house)
    assert ends == {
        pictures[0]: f"superseded: by {pictures[2]}",
        pictures[1]: f"superseded: by {pictures[2]}",
        pictures[2]: "good",
        promoted: "good",
    }
    assert fsck(house.client, now=time.time(), contents=True).problems == ()


def test_a_picture_that_has_the_name_of_a_file_of_the_model_keeps_its_own_hash(house: House) -> None:
    stages = house.stages()
    stages["export"] = replace(stages["export"], work=whole("1.png"))
    house.put(TRAINING, {"/a.png": "A"})
    house.fill("train")
    fill_set(house.client, stages["export"], "", {}, house.attempt())
    house.put(INPUT_IMAGES, {"/1.png": "one"})
    prepared, generated = house.fill("resize"), house.fill("generate")
    assert house.record(generated).files["/1.png"].source_hash == house.record(prepared).files["/1.png"].hash
    assert fsck(house.client, now=time.time(), contents=True).problems == ()
