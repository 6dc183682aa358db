"""Every command finds a commit by a prefix, a branch, an ancestor, a commit set or a run, and suggests what is near."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import pix2pix

from pachyderm.client.commits import head
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.dag import references
from pachyderm.dag.references import resolve, resolve_any
from pachyderm.dag.repos import CHECKPOINT, TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.errors import RequestError

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PACHD_ADDRESS", raising=False)
    monkeypatch.delenv("PIX2PIX_STORE", raising=False)
    return tmp_path / "store"


@pytest.fixture
def client(store: Path) -> Iterator[Connection]:
    with connect(Target(store=store)) as client:
        set_up(client)
        yield client


def commit_text(client: Connection, text: bytes) -> str:
    commit = client.pfs.start_commit(branch=client.branch(TRAINING), description=text.decode())
    client.pfs.finish_commit(commit=commit)
    return str(commit.id)


def test_a_run_is_found_by_its_name_and_by_its_id(client: Connection) -> None:
    commit_set = commit_text(client, b"1")
    uuid = "0f3ea1c2-9d6a-4f4e-8f43-6c2f1f0f9a11"
    claim = json.dumps({"run": uuid, "attempt": "pod-1"})
    client.edit_keys(CHECKPOINT.repo, commit_set, add={"run.1": claim})
    for name in (f"training_and_export-{commit_set}-1", f"training_and_export {commit_set} 2", uuid):
        assert resolve_any(client, name).id == commit_set
        assert resolve(client, "checkpoint", name).id == commit_set
    with pytest.raises(RequestError, match="not found"):
        resolve_any(client, uuid.replace("0f3e", "1111"))


def test_a_prefix_of_two_commits_lists_both(client: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = [commit_text(client, text) for text in (b"1", b"2")]
    everything = references.all_commits

    def alike(client, repo):
        for number, commit in enumerate(everything(client, repo)):
            yield references.Commit(**{**vars(commit), "id": f"abcdef{number}{commit.id[7:]}"})

    monkeypatch.setattr(references, "all_commits", alike)
    for find in (lambda: resolve(client, "training", "abcdef"), lambda: resolve_any(client, "abcdef")):
        with pytest.raises(RequestError, match=r"is a prefix of \d+ commits; give more digits") as raised:
            find()
        for number, commit in enumerate(reversed(commits)):
            assert f"abcdef{number}{commit[7:]}" in str(raised.value)


def test_what_is_not_found_is_answered_with_what_is_near(client: Connection, store: Path, capsys: Capture) -> None:
    commit = commit_text(client, b"1")
    wrong = ("0" if commit[0] != "0" else "1") + commit[1:12]
    for text, near in (
        (f"training@{wrong}", f"nearest: training@{commit[:12]}"),
        ("training@mastr", "nearest: master"),
        ("trainig", "did you mean training?"),
    ):
        answer = pix2pix(capsys, "--store", store, "ls", text)
        assert answer.code == 2
        assert near in answer.err
    answer = pix2pix(capsys, "--store", store, "why", wrong)
    assert (answer.code, commit[:12] in answer.err) == (2, True)
    assert commit in pix2pix(capsys, "--store", store, "why", wrong, "-v").err


def test_commands_that_set_nothing_up_create_no_store(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    del store
    monkeypatch.chdir(tmp_path)
    picture = tmp_path / "a.png"
    picture.write_bytes(b"x")
    for words in (
        ("status",),
        ("log", "training"),
        ("ls", "training"),
        ("get", "training", "out"),
        ("diff", "training@master^", "training@master"),
        ("models",),
        ("why", "abcdef"),
        ("lineage", "training@master"),
        ("fsck",),
        ("put", "training", "a.png"),
        ("promote",),
        ("rollback",),
        ("revert", "training", "master^"),
        ("retry", "abcdef"),
        ("store", "fsck"),
        ("store", "gc"),
        ("trigger", "--once"),
        ("run", "training_and_export"),
    ):
        answer = pix2pix(capsys, *words)
        assert answer.code == 2, (words, answer.err)
        assert "pix2pix setup" in answer.err, words
        assert [path.name for path in tmp_path.iterdir()] == ["a.png"], words


def test_a_reference_to_the_head_is_the_head(client: Connection) -> None:
    commit = commit_text(client, b"1")
    for text in (commit, commit[:6], "master", f"{commit[:8]}", commit_text(client, b"2") + "^"):
        assert resolve(client, "training", text).id == commit or text == "master"
    assert resolve(client, "training").id == head(client, TRAINING).id
