"""The subcommands for models and history: what they report of open commits, unreadable records, and before setup."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from command_line import pix2pix
from pachyderm_sdk.api import pfs

from cli.record import models
from pachyderm.client import commits
from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, all_commits, head
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.dag import setup as dag_setup
from pachyderm.dag.repos import CANDIDATE, CHECKPOINT, PROVENANCE, TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.record.stage_record import STAGE_JSON
from pachyderm.store.rpc.server import StoreServer

Capture = pytest.CaptureFixture[str]
UNREACHABLE = "grpc://127.0.0.1:1"
NEWER = {STAGE_JSON: b'{"schema": 99}'}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PACHD_ADDRESS", raising=False)
    monkeypatch.delenv("PIX2PIX_STORE", raising=False)


@pytest.fixture
def store(tmp_path: Path, capsys: Capture) -> Path:
    folder = tmp_path / "store"
    assert pix2pix(capsys, "--store", folder, "setup").code == 0
    return folder


@pytest.fixture
def client(store: Path) -> Iterator[Connection]:
    with connect(Target(store=store)) as connected:
        yield connected


def written(client: Connection, branch: BranchName, files: Mapping[str, bytes]) -> str:
    """Write files into the open head of a branch, or into a new commit, and finish it; return the commit's id."""
    open_head = head(client, branch).state == "open"
    if open_head:
        commit = client.commit(branch.repo, head(client, branch).id)
    else:
        commit = client.pfs.start_commit(branch=client.branch(branch))
    changes = [pfs.ModifyFileRequest(set_commit=commit)]
    for path, content in files.items():
        changes.append(pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path)))
        changes.append(pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=content)))
    client.pfs.modify_file(iter(changes))
    client.pfs.finish_commit(commit=commit)
    return commit.id


def model_with(client: Connection, files: Mapping[str, bytes]) -> str:
    """Make a finished commit set of training whose checkpoint and model hold these files; return its id."""
    commit = written(client, TRAINING, {"/a.png": head(client, TRAINING).id.encode()})
    for branch in (CHECKPOINT, CANDIDATE):
        written(client, branch, files)
    return commit


def test_options_before_the_subcommand_override_the_environment_like_those_after_it(
    store: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("PACHD_ADDRESS", UNREACHABLE), ("PIX2PIX_STORE", str(tmp_path / "other"))):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            for words in (("--store", store, "ls", "training"), ("ls", "training", "--store", store)):
                assert pix2pix(capsys, *words).code == 0, (name, words)
            assert pix2pix(capsys, "--store", store, "store", "fsck").code == 0
            for words in (("--pachd", UNREACHABLE, "ls", "training"), ("ls", "training", "--pachd", UNREACHABLE)):
                assert pix2pix(capsys, *words).code == 3, (name, words)
    assert not (tmp_path / "other").exists()


def test_the_environment_counts_if_no_option_is_given(
    store: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIX2PIX_STORE", str(store))
    assert pix2pix(capsys, "ls", "training").code == 0
    monkeypatch.setenv("PACHD_ADDRESS", UNREACHABLE)
    assert pix2pix(capsys, "ls", "training").code == 3


def test_models_lists_a_model_whose_record_is_of_a_newer_version_with_the_reason(
    store: Path, client: Connection, capsys: Capture
) -> None:
    commit = model_with(client, NEWER)
    (row,) = pix2pix(capsys, "--store", store, "models", "--json").document
    assert (row["commit"], row["training_commit"], row["metrics"], row["outcome"]) == (commit, commit, {}, None)
    assert "version 99" in row["problem"]
    result = pix2pix(capsys, "--store", store, "models")
    assert result.code == 0
    assert "PROBLEM" in result.out and "use a newer pix2pix" in result.out


def test_models_finds_models_below_commits_without_any_and_reads_a_long_history_only_for_them(
    store: Path, client: Connection, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = [model_with(client, NEWER) for _ in range(4)]
    read: list[int] = []

    def counted(client: Connection, repo: str, number: int = 0) -> Iterator[Commit]:
        for commit in all_commits(client, repo, number):
            read.append(number)
            yield commit

    monkeypatch.setattr(commits, "all_commits", counted)
    monkeypatch.setattr(models, "NEWER", 1)
    (row, *_) = pix2pix(capsys, "--store", store, "models", "-n", "1", "--json").document
    assert row["commit"] == older[-1] and len(read) == 2, "one more is read, to know whether there are more"
    for number in range(3):
        written(client, TRAINING, {"/a.png": f"failed {number}".encode()})
        for branch in (CHECKPOINT, CANDIDATE):
            open_head = client.commit(branch.repo, head(client, branch).id)
            client.pfs.finish_commit(commit=open_head, error="failed: no pair can be used")
    (row,) = pix2pix(capsys, "--store", store, "models", "-n", "1", "--json").document
    assert row["commit"] == older[-1]


def test_why_explains_the_rest_of_a_commit_set_whose_record_cannot_be_read(
    store: Path, client: Connection, capsys: Capture
) -> None:
    commit = model_with(client, {STAGE_JSON: b"<html>"})
    result = pix2pix(capsys, "--store", store, "why", commit)
    assert result.code == 0
    assert f"checkpoint@{commit[:12]} is good" in result.out and f"model@{commit[:12]} is good" in result.out
    assert f"model@{commit[:12]}:{STAGE_JSON} is not a valid stage record" in result.out


def test_diff_lists_the_files_of_commits_whose_records_cannot_be_read(
    store: Path, client: Connection, capsys: Capture
) -> None:
    first, second = model_with(client, {**NEWER, "/m": b"1"}), model_with(client, {**NEWER, "/m": b"2"})
    result = pix2pix(capsys, "--store", store, "diff", f"model@{first}", f"model@{second}", "--json")
    assert (result.code, result.document) == (0, [{"path": "/m", "change": "changed"}])
    assert result.err.count("version 99") == 2


def test_revert_refuses_to_leave_an_open_head_and_names_the_remedy(
    store: Path, client: Connection, capsys: Capture
) -> None:
    first = written(client, TRAINING, {"/a.png": b"1"})
    written(client, TRAINING, {"/a.png": b"2"})
    opened = client.pfs.start_commit(branch=client.branch(TRAINING)).id
    result = pix2pix(capsys, "--store", store, "revert", "training", first)
    assert result.code == 2
    assert f"training@{opened} is still open" in result.err
    assert f"pachctl finish commit training@{opened}" in result.err
    assert f"pachctl delete commit training@{opened}" in result.err
    assert head(client, TRAINING).id == opened
    client.pfs.finish_commit(commit=client.commit("training", opened))
    assert pix2pix(capsys, "--store", store, "revert", "training", first).code == 0
    assert head(client, TRAINING).id == first


@pytest.mark.parametrize("reading", [1, 2], ids=["before the repos", "before the second branches"])
def test_a_setup_that_another_one_overtakes_finds_everything_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reading: int
) -> None:
    """The slower call acts on an outdated listing: the other created everything, or all but the last branches."""
    really_read = dag_setup._branches
    read = 0

    def overtaken(client: Connection) -> dict[str, dict[str, frozenset[BranchName]]]:
        nonlocal read
        read += 1
        present = really_read(client)
        if read == 1:
            set_up(other)
            if reading == 2:
                present = {
                    repo: {name: provenance for name, provenance in found.items() if (repo, name) not in late}
                    for repo, found in really_read(client).items()
                }
        return present

    late = {("model", "master"), ("generate_images", "master")}
    with connect(Target(store=tmp_path / "new")) as client, connect(Target(store=tmp_path / "new")) as other:
        monkeypatch.setattr(dag_setup, "_branches", overtaken)
        set_up(client)
        assert {str(name): head(client, name).state for name in PROVENANCE} == {str(n): "good" for n in PROVENANCE}
        assert set_up(client).created == ()


def test_a_setup_whose_first_output_another_one_finished_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_look = dag_setup._holds_files

    def finished_meanwhile(client: Connection, source: dag_setup.CommitId) -> bool:
        found = really_look(client, source)
        opened = head(client, CHECKPOINT)
        if opened.state == "open":
            client.pfs.finish_commit(commit=client.commit("checkpoint", opened.id))
        return found

    monkeypatch.setattr(dag_setup, "_holds_files", finished_meanwhile)
    with connect(Target(store=tmp_path / "new")) as client:
        assert "checkpoint@master" in set_up(client).created
        assert head(client, CHECKPOINT).state == "good"


def test_retry_names_the_key_of_unreadable_hyperparameters(store: Path, client: Connection, capsys: Capture) -> None:
    commit = written(client, TRAINING, {"/a.png": b"1"})
    client.pfs.finish_commit(commit=client.commit("checkpoint", commit), error="failed: the disk was full")
    client.pfs.finish_commit(commit=client.commit("model", commit), error="failed: the disk was full")
    for garbled in ("max_steps = 3", "[3]"):
        client.edit_keys("training", commit, put={f"hyperparameters.{commit}": garbled})
        result = pix2pix(capsys, "--store", store, "retry", commit)
        assert result.code == 2
        assert f"delete commit training@{commit}" not in result.err
        assert f"pachctl edit metadata commit training@{commit} delete 'hyperparameters.{commit}'" in result.err
        assert garbled in result.err


def test_the_files_of_an_open_commit_are_answered_with_its_state(
    store: Path, client: Connection, capsys: Capture
) -> None:
    written(client, TRAINING, {"/a.png": b"1"})
    newest = written(client, TRAINING, {"/a.png": b"2"})
    for words in (("ls", "checkpoint"), ("ls", "checkpoint@master:/x"), ("lineage", "checkpoint@master:/x")):
        result = pix2pix(capsys, "--store", store, *words)
        assert result.code == 2
        assert f"checkpoint@{newest[:12]} is still open" in result.err and "pix2pix status" in result.err


@pytest.mark.parametrize("grace", ["nan", "inf", "1e300", "-1"])
def test_gc_refuses_an_invalid_grace_period(store: Path, capsys: Capture, grace: str) -> None:
    result = pix2pix(capsys, "--store", store, "store", "gc", f"--grace={grace}")
    assert result.code == 2
    assert "hours" in result.err and "bug" not in result.err


@pytest.mark.parametrize("listen", ["127.0.0.1:99999", "127.0.0.1:65536", "127.0.0.1:http", "127.0.0.1:-1", "30650"])
def test_serve_refuses_an_invalid_port(tmp_path: Path, capsys: Capture, listen: str) -> None:
    result = pix2pix(capsys, "--store", tmp_path / "new", "store", "serve", "--listen", listen)
    assert result.code == 2
    assert listen in result.err and "65535" in result.err
    assert not (tmp_path / "new").exists()


def test_serve_sets_its_event_outside_the_signal_handler(
    store: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler interrupts the main thread, which may hold the lock of the event that it waits for."""
    threads: list[int] = []
    really_set, really_start = threading.Event.set, StoreServer.start

    def recorded(event: threading.Event) -> None:
        threads.append(threading.get_ident())
        really_set(event)

    def interrupted(server: StoreServer) -> str:
        address = really_start(server)
        threads.clear()
        signal.raise_signal(signal.SIGTERM)
        return address

    monkeypatch.setattr(threading.Event, "set", recorded)
    monkeypatch.setattr(StoreServer, "start", interrupted)
    result = pix2pix(capsys, "--store", store, "store", "serve", "--listen", "127.0.0.1:0")
    assert result.code == 0
    assert "stopped" in result.err
    assert threads[0] != threading.get_ident()


def test_a_commit_requested_before_setup_is_answered_with_the_remedy(tmp_path: Path, capsys: Capture) -> None:
    for words in (("why", "abcdef12"), ("lineage", "abcdef12"), ("retry", "abcdef12")):
        result = pix2pix(capsys, "--store", tmp_path / "new", *words)
        assert result.code == 2
        assert "run: pix2pix setup" in result.err, words


def test_an_unreadable_rollback_record_is_ignored(store: Path, client: Connection, capsys: Capture) -> None:
    first = head(client, BranchName("model", "master"))
    for value in ("{", "[]", json.dumps({"time": 1.0})):
        client.edit_keys("model", first.id, put={"rolledback." + "b" * 32: value})
        result = pix2pix(capsys, "--store", store, "rollback")
        assert result.code == 2
        assert "no model was promoted before" in result.err and "malformed metadata" in result.err
