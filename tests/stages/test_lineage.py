"""Lineage: from any file back to data, code, parameters and run, and forward from every input."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audit import led_forward, raw_record, reaches, traced_back
from pachyderm_sdk.api import pfs
from populated_store import populate
from stage_harness import StageHarness, set_up_harness

from cli.main import main
from cli.record.lineage_page import write_page
from cli.record.lineage_text import tree
from cli.record.run_links import run_exists, with_live_links
from pachyderm.client.commits import head, inspect
from pachyderm.client.connection import Target
from pachyderm.dag.repos import GENERATE_IMAGES, INPUT_IMAGES, MODEL, PREPROCESS_IMAGES, TRAINING
from pachyderm.errors import RequestError
from pachyderm.record.lineage_backward import backward
from pachyderm.record.lineage_forward import forward
from pachyderm.record.openlineage import events
from pachyderm.record.picture_search import EmbeddedOrigin, picture_fingerprint, search
from pix2pix.images.codec import png_bytes


@dataclass(frozen=True)
class Populated:
    harness: StageHarness
    sets: dict[str, str]


@pytest.fixture(scope="module")
def populated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Populated]:
    with set_up_harness(tmp_path_factory.mktemp("lived")) as harness:
        yield Populated(harness, populate(harness))


def test_every_file_of_every_output_commit_leads_back_to_data_code_parameters_and_run(populated: Populated) -> None:
    assert traced_back(populated.harness.client) > 25


def test_every_input_leads_forward_to_every_result_that_leads_back_to_it(populated: Populated) -> None:
    assert led_forward(populated.harness.client) > 12


def test_a_carried_picture_leads_to_the_commit_that_computed_it_under_its_older_name(populated: Populated) -> None:
    harness, sets = populated.harness, populated.sets
    commit = inspect(harness.client, "generate_images", sets["renamed"])
    graph = backward(harness.client, commit, "/cats/1.png")
    origin = f"generate_images@{sets['pictures']}:/1.png"
    assert [edge.source for edge in graph.sources(graph.start) if edge.relation == "copied from"] == [origin]
    assert f"input_images@{sets['pictures']}:/1.jpg" in reaches(graph, graph.start)


def test_a_failed_and_a_superseded_commit_are_shown_with_their_reason(populated: Populated) -> None:
    harness, sets = populated.harness, populated.sets
    for name, state in (("failed", "failed"), ("superseded", "superseded")):
        graph = backward(harness.client, inspect(harness.client, "checkpoint", sets[name]))
        facts = graph.nodes[graph.start].facts
        assert facts["state"] == state and state in facts["error"]
        assert f"training@{sets[name]}" in graph.nodes
        ahead = forward(harness.client, inspect(harness.client, "training", sets[name]))
        assert f"checkpoint@{sets[name]}" in ahead.nodes


def test_forward_from_a_picture_names_results_of_later_models_and_no_others(populated: Populated) -> None:
    harness, sets = populated.harness, populated.sets
    graph = forward(harness.client, inspect(harness.client, "input_images", sets["pictures"]), "/1.jpg")
    files_there = [name for name, node in graph.nodes.items() if node.kind == "file"]
    assert f"generate_images@{sets['pictures']}:/1.png" in files_there
    assert f"generate_images@{sets['renamed']}:/cats/1.png" in files_there
    assert not [name for name in files_there if name.endswith("2.png")]


def test_a_dropped_commit_is_reported_where_the_chain_ends(harness: StageHarness) -> None:
    harness.put(TRAINING, {"/a.png": "A"})
    harness.run("train", "export")
    first = harness.put(INPUT_IMAGES, {"/1.jpg": "1"})
    harness.run("resize", "generate")
    harness.put(INPUT_IMAGES, {"/2.jpg": "2"})
    harness.run("resize", "generate")
    commit = harness.head(GENERATE_IMAGES)
    harness.client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=first))
    graph = backward(harness.client, commit, "/1.png")
    problem = "the commit was dropped; the chain ends here"
    assert sorted(graph.problems()) == [
        f"{repo}@{first}:/1.png: {problem}" for repo in ("generate_images", "preprocess_images")
    ]
    assert "! the commit was dropped" in tree(graph)


def test_a_record_of_a_newer_version_is_reported_and_the_provenance_is_walked_all_the_same(
    harness: StageHarness,
) -> None:
    set_id = harness.put(TRAINING, {"/a.png": "A"})
    harness.run("train")
    commit = inspect(harness.client, "checkpoint", set_id)
    record = raw_record(harness.client, "checkpoint", set_id) | {"schema": 99}
    from pachyderm.record import lineage_backward, stage_record

    def newer(client: object, repo: str, commit_id: str) -> stage_record.StageRecord:
        return stage_record.parse(json.dumps(record).encode(), f"{repo}@{commit_id}:/_report/stage.json")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pachyderm.record.record_cache.read_record", newer)
        graph = lineage_backward.backward(harness.client, commit)
    assert "version 99" in graph.problems()[0] and "newer pix2pix" in graph.problems()[0]
    assert f"training@{set_id}" in graph.nodes


def test_a_missing_file_is_refused_by_name(harness: StageHarness) -> None:
    with pytest.raises(RequestError, match=r"has no file /nothing\.png; `pix2pix ls"):
        backward(harness.client, harness.head(GENERATE_IMAGES), "/nothing.png")


def test_the_tree_names_every_node_and_draws_each_once(populated: Populated) -> None:
    harness, sets = populated.harness, populated.sets
    graph = backward(harness.client, inspect(harness.client, "generate_images", sets["renamed"]), "/cats/1.png")
    text = tree(graph)
    for name, node in graph.nodes.items():
        assert (name if node.kind != "run" else f"run {node.facts['run']}") in text
    assert text.count("fingerprint ") == sum("fingerprint" in node.facts for node in graph.nodes.values())
    assert 'size = "32" (file)' in text


def test_a_picture_on_disk_is_found_by_its_bytes_and_else_by_its_metadata(populated: Populated) -> None:
    harness, sets = populated.harness, populated.sets
    record = harness.record(inspect(harness.client, "generate_images", sets["renamed"]))
    prepared = harness.record(inspect(harness.client, "preprocess_images", sets["renamed"]))
    found = search(harness.client, record.files["/cats/1.png"].sha256, EmbeddedOrigin(), "x.png")
    assert found.exact and found.path in ("/cats/1.png", "/1.png")
    claimed = EmbeddedOrigin(picture_fingerprint(dict(record.parts)), prepared.files["/cats/1.png"].sha256)
    changed = search(harness.client, "0" * 64, claimed, "x.png")
    assert not changed.exact and changed.path in ("/cats/1.png", "/1.png")
    with pytest.raises(RequestError, match="another program made it"):
        search(harness.client, "0" * 64, EmbeddedOrigin(), "x.png")
    with pytest.raises(RequestError, match="comes from another store"):
        search(harness.client, "0" * 64, EmbeddedOrigin("f" * 64, "e" * 64), "x.png")


def test_lineage_reads_only_the_commits_on_the_way(harness: StageHarness) -> None:
    harness.put(TRAINING, {"/a.png": "A"})
    harness.run("train", "export")
    harness.put(INPUT_IMAGES, {"/1.jpg": "1"})
    harness.run("resize", "generate")
    requests: list[str] = []

    def counted(number: int) -> int:
        requests.clear()
        real = type(harness.client).channel.fget

        class Counted:
            def __getattr__(self, kind: str) -> Any:
                def commit(path: str, **serial: Any) -> Any:
                    requests.append(path)
                    return getattr(real(harness.client), kind)(path, **serial)

                return commit

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(harness.client), "channel", Counted())
            backward(harness.client, head(harness.client, GENERATE_IMAGES), "/1.png")
        return len(requests)

    two = None
    for number in range(2, 6):
        harness.put(INPUT_IMAGES, {f"/{number}.jpg": str(number)})
        harness.run("resize", "generate")
        two = two or counted(number)
    assert counted(0) == two
    assert 0 < two < 40


def test_promotions_show_through_the_models_commit(populated: Populated) -> None:
    harness = populated.harness
    commit = harness.head(GENERATE_IMAGES)
    graph = backward(harness.client, commit)
    assert str(harness.head(MODEL)) in graph.nodes and str(harness.head(PREPROCESS_IMAGES)) in graph.nodes


def test_the_page_shows_every_node_and_loads_nothing_from_elsewhere(populated: Populated, tmp_path: Path) -> None:
    harness, sets = populated.harness, populated.sets
    graph = backward(harness.client, inspect(harness.client, "generate_images", sets["renamed"]), "/cats/1.png")
    page = tmp_path / "pages" / "lineage.html"
    write_page(page, graph, {graph.start: png_bytes(np.zeros((4, 4, 3), np.uint8))})
    text = page.read_text()
    assert text.count("<article") == len(graph.nodes)
    assert text.count("marker-end") == len(graph.edges), "one arrow per relation"
    assert text.count('class="card start"') == 1 and text.count("<img") == 1
    targets = re.findall(r"""(?:src|href)="([^"]+)""", text)
    assert all(event.startswith(("data:image/png;base64,", "#n")) for event in targets)
    assert {event[1:] for event in targets if event.startswith("#")} <= set(re.findall(r'article id="(n\d+)"', text))
    assert "http" not in text and "url(" not in text.replace("url(#head)", "") and "width=device-width" in text


def test_the_page_shows_pairs_of_the_training_commit_and_links_runs_that_exist(
    populated: Populated, tmp_path: Path
) -> None:
    harness = populated.harness
    graph = backward(harness.client, head(harness.client, MODEL))
    run = next(name for name, node in graph.nodes.items() if node.kind == "run")
    link = "https://kubeflow.test/#/runs/details/0f3e"
    linked = replace(graph, nodes={**graph.nodes, run: replace(graph.nodes[run], facts={"run": "0f3e", "link": link})})
    training = next(name for name, node in graph.nodes.items() if node.facts.get("repo") == TRAINING.repo)
    pair = png_bytes(np.zeros((4, 8, 3), np.uint8))
    for exists, links in ((True, 1), (False, 0)):
        requests: list[str] = []
        shown = with_live_links(
            linked, lambda address, requests=requests, exists=exists: requests.append(address) or exists
        )
        assert requests == [link]
        page = tmp_path / f"{exists}.html"
        write_page(page, shown, {}, {training: [pair, pair]})
        assert page.read_text().count('alt="training pair"') == 2
        assert page.read_text().count(f'href="{link}"') == links


def test_a_run_exists_if_kubeflow_answers_or_asks_for_a_login() -> None:
    answers = {"/apis/v2beta1/runs/here": 200, "/apis/v2beta1/runs/login": 403, "/apis/v2beta1/runs/gone": 404}

    class Kubeflow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answers[self.path])
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Kubeflow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        found = {run: run_exists(f"{address}/#/runs/details/{run}") for run in ("here", "login", "gone")}
        server.shutdown()
    assert found == {"here": True, "login": True, "gone": False}
    assert not run_exists(f"{address}/#/runs/details/here"), "nobody answers"
    assert not run_exists("no address")


def test_openlineage_events_name_runs_jobs_and_versions_of_datasets(populated: Populated) -> None:
    harness, sets = populated.harness, populated.sets
    graph = backward(harness.client, inspect(harness.client, "generate_images", sets["renamed"]), "/cats/1.png")
    found = events(graph, "grpc://pachd:30650/default")
    assert [event["job"]["name"] for event in found if event["outputs"][0]["name"] == "model"] == ["export"]
    times = [event["eventTime"] for event in found]
    assert times == sorted(times)
    for event in found:
        assert event["eventType"] == "COMPLETE" and event["schemaURL"].startswith("https://openlineage.io/spec/2-0-2/")
        assert uuid.UUID(event["run"]["runId"]).version == 5
        assert event["inputs"], "each event has inputs"
        for dataset in (*event["inputs"], *event["outputs"]):
            assert len(dataset["facets"]["version"]["datasetVersion"]) == 32
        assert all({"_producer", "_schemaURL"} <= facet.keys() for facet in event["run"]["facets"].values())
    assert events(graph, "x")[0]["run"]["runId"] == found[0]["run"]["runId"], "equal commits have equal ids"


def test_the_command_walks_both_ways_and_refuses_other_targets(
    populated: Populated, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store, sets = populated.harness.target, populated.sets
    set_id = sets["renamed"]
    output = typed(capsys, store, "lineage", f"generate_images@{set_id}:/cats/1.png", "--json")
    assert output[0] == 0
    document = json.loads(output[1])
    assert {"from", "to", "kind"} == document["edges"][0].keys()
    assert document["nodes"][0]["id"] == f"generate_images@{set_id}:/cats/1.png"
    output = typed(capsys, store, "lineage", f"training@{sets['first']}", "--forward")
    assert output[1].startswith(f"training@{sets['first'][:12]}") and "generate_images@" in output[1]
    page = tmp_path / "l.html"
    assert typed(capsys, store, "lineage", f"model@{sets['first']}", "--html", page)[0] == 0
    assert page.exists()
    output = typed(capsys, store, "lineage", f"model@{sets['first']}", "--openlineage")
    assert [json.loads(line)["job"]["name"] for line in output[1].splitlines()] == ["train", "export"]
    (tmp_path / "foreign.png").write_bytes(png_bytes(np.zeros((4, 4, 3), np.uint8)))
    for target, words in (
        (tmp_path / "foreign.png", "another program made it"),
        (tmp_path / "missing.png", "is neither a file on this machine nor REPO@COMMIT[:PATH]"),
        ("nothing@master", "repo nothing not found"),
        (f"generate_images@{set_id}:/nothing.png", "has no file /nothing.png"),
    ):
        output = typed(capsys, store, "lineage", target)
        assert (output[0], words in output[2]) == (2, True), output[2]


def typed(capsys: pytest.CaptureFixture[str], target: Target, *words: object) -> tuple[int, str, str]:
    """Run a command line; return exit code, standard output and standard error."""
    capsys.readouterr()
    code = 0
    options = ["--pachd", target.pachd] if target.pachd else ["--store", str(target.store)]
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PACH_PROJECT", target.project)
            main([*options, *map(str, words)])
    except SystemExit as stop:
        code = int(stop.code or 0)
    return (code, *capsys.readouterr())


def test_a_parameters_file_leads_forward_to_all_that_it_shaped(harness: StageHarness) -> None:
    commit = harness.put(INPUT_IMAGES, {"/a.png": "1", "/pix2pix.toml": "size=32"})
    harness.run("resize")
    graph = forward(harness.client, inspect(harness.client, "input_images", commit), "/pix2pix.toml")
    assert f"preprocess_images@{commit}" in graph.nodes
    (event,) = events(graph, "x")
    assert [source["name"] for source in event["inputs"]] == ["input_images"]


def test_results_made_before_a_commit_are_not_reached_from_it_whatever_the_clocks(harness: StageHarness) -> None:
    earlier = harness.put(INPUT_IMAGES, {"/a.png": "1"})
    harness.run("resize")
    later = harness.put(INPUT_IMAGES, {"/b.png": "2"})
    harness.run("resize")
    start = replace(inspect(harness.client, "input_images", later), started=4e9)
    graph = forward(harness.client, start, "/a.png")
    assert f"preprocess_images@{later}:/a.png" in graph.nodes
    assert not any(earlier in name for name in graph.nodes)
