"""The subcommands about the record and the ways back: what they say of what is open, garbled, or not set up yet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from command_line import pix2pix
from pachyderm_sdk.api import pfs

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import head
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.dag import setup as rooms
from pachyderm.dag.repos import CANDIDATE, CHECKPOINT, PROVENANCE, TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.record.stage_record import STAGE_JSON

Capture = pytest.CaptureFixture[str]
NOBODY = "grpc://127.0.0.1:1"
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
    """Write files into the open head of a branch, or into a new commit of an input, and finish it; the commit's id."""
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
    """A finished set of training whose checkpoint and model hold these files; the set's id."""
    made = written(client, TRAINING, {"/a.png": head(client, TRAINING).id.encode()})
    for branch in (CHECKPOINT, CANDIDATE):
        written(client, branch, files)
    return made


def test_options_before_the_subcommand_win_over_the_environment_as_those_after_it_do(
    store: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("PACHD_ADDRESS", NOBODY), ("PIX2PIX_STORE", str(tmp_path / "other"))):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            for words in (("--store", store, "ls", "training"), ("ls", "training", "--store", store)):
                assert pix2pix(capsys, *words).code == 0, (name, words)
            assert pix2pix(capsys, "--store", store, "store", "fsck").code == 0
            for words in (("--pachd", NOBODY, "ls", "training"), ("ls", "training", "--pachd", NOBODY)):
                assert pix2pix(capsys, *words).code == 3, (name, words)
    assert not (tmp_path / "other").exists()


def test_the_environment_counts_where_no_option_is_given(
    store: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIX2PIX_STORE", str(store))
    assert pix2pix(capsys, "ls", "training").code == 0
    monkeypatch.setenv("PACHD_ADDRESS", NOBODY)
    assert pix2pix(capsys, "ls", "training").code == 3


def test_models_shows_a_model_whose_record_is_of_a_newer_version_with_the_reason(
    store: Path, client: Connection, capsys: Capture
) -> None:
    made = model_with(client, NEWER)
    (row,) = pix2pix(capsys, "--store", store, "models", "--json").document
    assert (row["commit"], row["training_commit"], row["metrics"], row["outcome"]) == (made, made, {}, None)
    assert "version 99" in row["problem"]
    said = pix2pix(capsys, "--store", store, "models")
    assert said.code == 0
    assert "PROBLEM" in said.out and "use a newer pix2pix" in said.out


def test_why_tells_the_rest_of_a_set_whose_record_cannot_be_read(
    store: Path, client: Connection, capsys: Capture
) -> None:
    made = model_with(client, {STAGE_JSON: b"<html>"})
    said = pix2pix(capsys, "--store", store, "why", made)
    assert said.code == 0
    assert f"checkpoint@{made} is good" in said.out and f"model@{made} is good" in said.out
    assert f"model@{made}:{STAGE_JSON} is not a valid stage record" in said.out


def test_diff_lists_the_files_of_commits_whose_records_cannot_be_read(
    store: Path, client: Connection, capsys: Capture
) -> None:
    one, two = model_with(client, {**NEWER, "/m": b"1"}), model_with(client, {**NEWER, "/m": b"2"})
    said = pix2pix(capsys, "--store", store, "diff", f"model@{one}", f"model@{two}", "--json")
    assert (said.code, said.document) == (0, [{"path": "/m", "change": "changed"}])
    assert said.err.count("version 99") == 2


def test_revert_refuses_to_leave_an_open_head_and_names_the_way_out(
    store: Path, client: Connection, capsys: Capture
) -> None:
    first = written(client, TRAINING, {"/a.png": b"1"})
    written(client, TRAINING, {"/a.png": b"2"})
    opened = client.pfs.start_commit(branch=client.branch(TRAINING)).id
    said = pix2pix(capsys, "--store", store, "revert", "training", first)
    assert said.code == 2
    assert f"training@{opened} is still open" in said.err
    assert f"pachctl finish commit training@{opened}" in said.err
    assert f"pachctl delete commit training@{opened}" in said.err
    assert head(client, TRAINING).id == opened
    client.pfs.finish_commit(commit=client.commit("training", opened))
    assert pix2pix(capsys, "--store", store, "revert", "training", first).code == 0
    assert head(client, TRAINING).id == first


@pytest.mark.parametrize("reading", [1, 2], ids=["before the repos", "before the second branches"])
def test_a_set_up_that_another_one_overtakes_finds_everything_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reading: int
) -> None:
    """What the slower one read is old once it acts on it: the other makes everything, or all but the last branches."""
    really_read = rooms._branches
    read = 0

    def overtaken(client: Connection) -> dict[str, dict[str, frozenset[BranchName]]]:
        nonlocal read
        read += 1
        present = really_read(client)
        if read == 1:
            set_up(other)
            if reading == 2:
                present = {
                    repo: {name: one for name, one in found.items() if (repo, name) not in late}
                    for repo, found in really_read(client).items()
                }
        return present

    late = {("model", "master"), ("generate_images", "master")}
    with connect(Target(store=tmp_path / "new")) as client, connect(Target(store=tmp_path / "new")) as other:
        monkeypatch.setattr(rooms, "_branches", overtaken)
        set_up(client)
        assert {str(name): head(client, name).state for name in PROVENANCE} == {str(n): "good" for n in PROVENANCE}
        assert set_up(client).created == ()


def test_a_set_up_whose_first_output_another_one_finished_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_look = rooms._holds_files

    def finished_meanwhile(client: Connection, source: rooms.CommitId) -> bool:
        found = really_look(client, source)
        opened = head(client, CHECKPOINT)
        if opened.state == "open":
            client.pfs.finish_commit(commit=client.commit("checkpoint", opened.id))
        return found

    monkeypatch.setattr(rooms, "_holds_files", finished_meanwhile)
    with connect(Target(store=tmp_path / "new")) as client:
        assert "checkpoint@master" in set_up(client).created
        assert head(client, CHECKPOINT).state == "good"


def test_retry_names_the_key_of_hyperparameters_that_cannot_be_read(
    store: Path, client: Connection, capsys: Capture
) -> None:
    made = written(client, TRAINING, {"/a.png": b"1"})
    client.pfs.finish_commit(commit=client.commit("checkpoint", made), error="failed: the disk was full")
    client.pfs.finish_commit(commit=client.commit("model", made), error="failed: the disk was full")
    for garbled in ("max_steps = 3", "[3]"):
        client.edit_keys("training", made, put={f"hyperparameters.{made}": garbled})
        said = pix2pix(capsys, "--store", store, "retry", made)
        assert said.code == 2
        assert f"delete commit training@{made}" not in said.err
        assert f"pachctl edit metadata commit training@{made} delete 'hyperparameters.{made}'" in said.err
        assert garbled in said.err


def test_what_an_open_commit_behind_an_open_one_holds_is_a_sentence_about_it(
    store: Path, client: Connection, capsys: Capture
) -> None:
    written(client, TRAINING, {"/a.png": b"1"})
    newest = written(client, TRAINING, {"/a.png": b"2"})
    for words in (("ls", "checkpoint"), ("ls", "checkpoint@master:/x"), ("lineage", "checkpoint@master:/x")):
        said = pix2pix(capsys, "--store", store, *words)
        assert said.code == 2
        assert f"checkpoint@{newest} is still open" in said.err and "pix2pix status" in said.err


@pytest.mark.parametrize("grace", ["nan", "inf", "1e300", "-1"])
def test_gc_refuses_a_grace_period_that_is_no_time(store: Path, capsys: Capture, grace: str) -> None:
    said = pix2pix(capsys, "--store", store, "store", "gc", f"--grace={grace}")
    assert said.code == 2
    assert "hours" in said.err and "defect" not in said.err


@pytest.mark.parametrize("listen", ["127.0.0.1:99999", "127.0.0.1:65536", "127.0.0.1:http", "127.0.0.1:-1", "30650"])
def test_serve_refuses_what_is_no_port(tmp_path: Path, capsys: Capture, listen: str) -> None:
    said = pix2pix(capsys, "--store", tmp_path / "new", "store", "serve", "--listen", listen)
    assert said.code == 2
    assert listen in said.err and "65535" in said.err
    assert not (tmp_path / "new").exists()


def test_a_commit_asked_for_before_set_up_is_answered_with_the_remedy(tmp_path: Path, capsys: Capture) -> None:
    for words in (("why", "abcdef12"), ("lineage", "abcdef12"), ("retry", "abcdef12")):
        said = pix2pix(capsys, "--store", tmp_path / "new", *words)
        assert said.code == 2
        assert "run: pix2pix setup" in said.err, words


def test_a_roll_back_that_cannot_be_read_is_passed_over(store: Path, client: Connection, capsys: Capture) -> None:
    first = head(client, BranchName("model", "master"))
    for value in ("{", "[]", json.dumps({"time": 1.0})):
        client.edit_keys("model", first.id, put={"rolledback." + "b" * 32: value})
        said = pix2pix(capsys, "--store", store, "rollback")
        assert said.code == 2
        assert "no model was promoted before" in said.err and "that is not ours" in said.err
