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
from populated_store import populate
from shuffled_provenance import shuffled
from stage_harness import StageHarness, set_up_harness, whole
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

NOW = 2e9
SEEDS = st.integers(0, 2**16)
QUICK = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StageHarness]:
    """A populated harness with two commits of pictures and a training that wait."""
    with set_up_harness(tmp_path_factory.mktemp("busy")) as harness:
        populate(harness)
        for number in range(2):
            harness.put(INPUT_IMAGES, {"/waits.jpg": str(number)})
        harness.put(TRAINING, {"/a.png": "waits"})
        yield harness


def facts(client: Connection) -> dict[str, Any]:
    """Return what the commands read of a history."""
    commits = {repo: list(all_commits(client, repo)) for repo in REPOS}
    newest = head(client, GENERATE_IMAGES)
    pictures = commits[INPUT_IMAGES.repo][-2]
    return {
        "commits": commits,
        "open": OpenCommits(client).scan(),
        "sources": [str(source_of(client, commit)) for commit in commits[GENERATE_IMAGES.repo]],
        "waiting": waiting(client, NOW),
        "explained": [explain(client, commit.id, NOW) for commit in commits[GENERATE_IMAGES.repo]],
        "backward": [backward(client, commit).document() for commit in commits[GENERATE_IMAGES.repo]],
        "forward": [forward(client, commit).document() for commit in (pictures, commits[TRAINING.repo][-2])],
        "checked": fsck(client, now=newest.started, contents=False),
    }


@pytest.fixture(scope="module")
def expected(busy: StageHarness) -> dict[str, Any]:
    return facts(busy.client)


@QUICK
@given(seed=SEEDS)
def test_what_is_read_of_a_history_is_the_same_in_every_order_of_provenance(
    busy: StageHarness, expected: dict[str, Any], seed: int
) -> None:
    with contextlib.closing(shuffled(busy.client, seed)) as client:
        found = facts(client)
    for name, value in expected.items():
        assert found[name] == value, name


def test_lineage_prints_parents_sorted(busy: StageHarness) -> None:
    with contextlib.closing(shuffled(busy.client, 1)) as client:
        for commit in all_commits(client, GENERATE_IMAGES.repo):
            graph = backward(client, commit)
            parents = [edge.source for edge in graph.sources(str(commit)) if edge.relation == "made from"]
            assert len(parents) == 2
            assert parents == sorted(parents)


def test_an_open_commit_goes_back_to_the_input_of_its_own_pipeline(busy: StageHarness) -> None:
    with contextlib.closing(shuffled(busy.client, 2)) as client:
        sources = {(entry.branch.repo, entry.source.repo) for entry in OpenCommits(client).scan() if entry.source}
    assert sources == {
        ("checkpoint", "training"),
        ("model", "training"),
        ("preprocess_images", "input_images"),
        ("generate_images", "input_images"),
    }


def triggered(harness: StageHarness, max_concurrent_runs: int = 2) -> tuple[dict[str, str], Any]:
    """Let a trigger work until nothing is open; return how each commit set ended, and the finished work items."""
    context = wiring.TriggerContext(harness.target, harness.folder, "tests:1", lambda line: None, StageRunner(harness))
    done = wiring.once(context, Configuration(max_concurrent_runs=max_concurrent_runs))
    return {item.commit_set: item.error or item.state for item in done}, done


@pytest.mark.parametrize(("seed", "max_concurrent_runs"), [(0, 1), (1, 2), (2, 2)])
def test_pictures_that_wait_while_a_training_is_promoted_are_all_generated(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch, seed: int, max_concurrent_runs: int
) -> None:
    monkeypatch.setattr(wiring, "connect", lambda target: contextlib.closing(shuffled(harness.client, seed)))
    harness.put(TRAINING, {"/a.png": "A"})
    harness.run("train", "export")
    harness.put(INPUT_IMAGES, {"/1.jpg": "1"})
    triggered(harness)
    harness.client, plain = shuffled(harness.client, seed), harness.client
    training = harness.put(TRAINING, {"/a.png": "B"})
    pictures = [harness.put(INPUT_IMAGES, {"/1.jpg": f"changed {number}"}) for number in range(3)]
    ends, _ = triggered(harness, max_concurrent_runs)
    harness.client.close()
    harness.client = plain
    assert harness.head(MODEL).id == training
    promoted = harness.head(GENERATE_IMAGES).id
    assert ends == dict.fromkeys([training, *pictures, promoted], "good")
    for number, commit_set in enumerate(pictures):
        output = harness.output(GENERATE_IMAGES, commit_set)
        assert harness.content(output) == {"/1.png": f"made(small(changed {number}))"}
    assert fsck(harness.client, now=time.time(), contents=True).problems == ()
    monkeypatch.setenv("PACH_PROJECT", harness.target.project)
    done = CliRunner().invoke(fsck_command, ["--json", *harness.location])
    assert (done.exit_code, json.loads(done.stdout)["problems"]) == (0, [])


def test_under_latest_what_pictures_are_superseded_by_holds_pictures_too(harness: StageHarness) -> None:
    harness.put(TRAINING, {"/a.png": "A", "/pix2pix.toml": "promote=never"})
    harness.run("train", "export")
    latest = '[trigger]\npolicy = "latest"\n'
    pictures = [harness.put(INPUT_IMAGES, {"/1.jpg": str(number), "/pix2pix.toml": latest}) for number in range(3)]
    promote(harness.client, None, time.time())
    promoted = harness.head(GENERATE_IMAGES).id
    ends, _ = triggered(harness)
    assert ends == {
        pictures[0]: f"superseded: by {pictures[2]}",
        pictures[1]: f"superseded: by {pictures[2]}",
        pictures[2]: "good",
        promoted: "good",
    }
    assert fsck(harness.client, now=time.time(), contents=True).problems == ()


def test_a_picture_that_has_the_name_of_a_file_of_the_model_keeps_its_own_hash(harness: StageHarness) -> None:
    stages = harness.stages()
    stages["export"] = replace(stages["export"], work=whole("1.png"))
    harness.put(TRAINING, {"/a.png": "A"})
    harness.fill("train")
    fill_set(harness.client, stages["export"], "", {}, harness.worker())
    harness.put(INPUT_IMAGES, {"/1.png": "one"})
    prepared, generated = harness.fill("resize"), harness.fill("generate")
    assert harness.record(generated).files["/1.png"].source_hash == harness.record(prepared).files["/1.png"].hash
    assert fsck(harness.client, now=time.time(), contents=True).problems == ()
