"""Lineage of a commit behind a long chain of reuses."""

from __future__ import annotations

from collections import Counter

import pytest
from test_stage_record import VALID

from cli.record.lineage_text import DEEPEST, tree
from pachyderm.client.commits import Commit, CommitId
from pachyderm.client.files import FileEntry
from pachyderm.record import record_cache
from pachyderm.record.lineage_backward import backward
from pachyderm.record.lineage_graph import Graph
from pachyderm.record.stage_record import InputRecord, OutputFile, StageRecord

REPO = "preprocess_images"


def commit_id(number: int) -> str:
    return f"{number:032x}"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Serve a history in which each commit reuses the one before it; count the reads."""
    counter: Counter[str] = Counter()

    def inspect(client: object, repo: str, commit: str) -> Commit:
        counter[f"commit {repo}@{commit}"] += 1
        provenance = (CommitId("input_images", commit),) if repo == REPO else ()
        return Commit(repo, commit, None, 0.0, 1.0, 1.0, "", True, {}, provenance)

    def read_record(client: object, repo: str, commit: str) -> StageRecord:
        counter[f"record {repo}@{commit}"] += 1
        number = int(commit, 16)
        fields = vars(VALID) | {
            "commit": f"{repo}@{commit}",
            "outcome": "reused" if number else "computed",
            "reused_from": commit_id(number - 1) if number else None,
            "inputs": (InputRecord("input_images", commit, 1, "0" * 64),),
            "files": {"/1.png": OutputFile(3, "1" * 64, "", "/1.jpg", "h", 4, commit_id(max(number - 1, 0)))},
            "run": {"id": f"run-{number}"},
        }
        return StageRecord(**fields)

    monkeypatch.setattr(record_cache, "inspect", inspect)
    monkeypatch.setattr(record_cache, "read_record", read_record)
    monkeypatch.setattr(record_cache, "files", lambda client, repo, commit, path: {path: FileEntry(3, "h")})
    return counter


def lineage(number: int, path: str | None) -> Graph:
    last = Commit(REPO, commit_id(number - 1), None, 0.0, 1.0, 1.0, "", True, {}, ())
    return backward(None, last, path)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", [None, "/1.png"])
def test_lineage_behind_1500_reuses_reaches_the_first_commit_and_reads_each_once(
    reads: Counter[str], path: str | None
) -> None:
    graph = lineage(1500, path)
    assert {f"{REPO}@{commit_id(number)}" for number in range(1500)} <= graph.nodes.keys()
    assert f"input_images@{commit_id(0)}" in graph.nodes
    if path is not None:
        assert f"{REPO}@{commit_id(0)}:{path}" in graph.nodes
    assert set(reads.values()) == {1}, "each commit and each record is read once"
    assert len(reads) <= 3 * 1500


def test_the_tree_of_a_long_chain_grows_with_its_length_alone(reads: Counter[str]) -> None:
    short, long = tree(lineage(750, "/1.png")), tree(lineage(1500, "/1.png"))
    assert all(f"{REPO}@{commit_id(number)}" in long for number in range(1500))
    assert len(long) < 2.1 * len(short)
    assert max(map(len, long.splitlines())) < 3 * (DEEPEST + 2) + 250
    assert "(continued below)" in long
