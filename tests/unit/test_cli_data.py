"""The subcommands for data: what they print, what they change, and what they refuse."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from command_line import CommandResult, pix2pix
from pachyderm_sdk.api import pfs

from pachyderm.client import commits, files, upload
from pachyderm.client.commits import head
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.download import download
from pachyderm.client.files import FileEntry, read_pieces
from pachyderm.dag.repos import TRAINING
from pachyderm.errors import RequestError

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PACHD_ADDRESS", raising=False)
    monkeypatch.delenv("PIX2PIX_STORE", raising=False)
    folder = tmp_path / "store"
    assert pix2pix(capsys, "--store", folder, "setup").code == 0
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "cats").mkdir(parents=True)
    (folder / "a.png").write_bytes(b"A")
    (folder / "cats" / "b.png").write_bytes(b"BB")
    return folder


def test_setup_lists_what_it_created_and_a_second_call_changes_nothing(store: Path, capsys: Capture) -> None:
    again = pix2pix(capsys, "--store", store, "setup", "--json").document
    assert again["created"] == []
    assert {"training", "generate_images", "model@candidate", "model@master"} <= set(again["existing"])


def test_put_makes_one_commit_and_none_if_nothing_differs(store: Path, pictures: Path, capsys: Capture) -> None:
    first = pix2pix(capsys, "--store", store, "put", "training", pictures, "--json").document
    assert (first["repo"], first["files_put"], first["files_deleted"], first["bytes"]) == ("training", 2, 0, 3)
    again = pix2pix(capsys, "--store", store, "put", "training", pictures, "--json").document
    assert (again["commit"], again["files_put"]) == (None, 0)
    (pictures / "a.png").write_bytes(b"AA")
    third = pix2pix(capsys, "--store", store, "put", "training", pictures, "--json").document
    assert (third["files_put"], third["bytes"]) == (1, 2)
    log = pix2pix(capsys, "--store", store, "log", "training", "--json").document
    assert [entry["commit"] for entry in log][:2] == [third["commit"], first["commit"]]


def test_plan_states_what_a_put_would_send_and_cause_and_status_what_is_open(
    store: Path, pictures: Path, capsys: Capture
) -> None:
    document = pix2pix(capsys, "--store", store, "plan", "training", pictures, "--json").document
    sent = pix2pix(capsys, "--store", store, "put", "training", pictures, "--json").document
    assert document["put"] == {name: sent[name] for name in ("repo", "files_put", "files_deleted", "bytes")}
    keys = {"stage", "commit", "compute", "carry", "reuse", "seconds", "bytes", "condition", "note"}
    assert all(row.keys() == keys for row in document["stages"]) and document["seconds"] is None
    rows = pix2pix(capsys, "--store", store, "plan", "--json").document["stages"]
    train, export, generate = (row["commit"] for row in rows)
    assert (train, export, generate) == (sent["commit"], sent["commit"], None)
    assert [row["stage"] for row in rows] == [row["stage"] for row in document["stages"]]
    assert "generate: waits for pictures on input_images@master" in pix2pix(capsys, "--store", store, "plan").out
    assert "Planned\n  train everything, export everything" in pix2pix(capsys, "--store", store, "status").out
    (pictures / "pix2pix.toml").write_text("[train]\nsize = 7\n")
    assert "size = 7" in pix2pix(capsys, "--store", store, "plan", "training", pictures).out
    assert pix2pix(capsys, "--store", store, "plan", "training", pictures, "-q").code == 0


def test_plan_where_nothing_is_set_up_says_so_and_sets_nothing_up(tmp_path: Path, capsys: Capture) -> None:
    with connect(Target(store=tmp_path)) as client:
        client.pfs.create_repo(repo=pfs.Repo(name="another"))
    result = pix2pix(capsys, "--store", tmp_path, "plan")
    assert result.code != 0 and "run: pix2pix setup" in result.err
    with connect(Target(store=tmp_path)) as client:
        assert [info.repo.name for info in client.pfs.list_repo()] == ["another"]


def test_put_mirror_deletes_missing_files_below_the_prefix_only(store: Path, pictures: Path, capsys: Capture) -> None:
    pix2pix(capsys, "--store", store, "put", "training", pictures)
    pix2pix(capsys, "--store", store, "put", "training", pictures, "--prefix", "/x")
    (pictures / "a.png").unlink()
    done = pix2pix(
        capsys, "--store", store, "put", "training", pictures, "--prefix", "x", "--mirror", "--json"
    ).document
    assert (done["files_put"], done["files_deleted"]) == (0, 1)
    listing = pix2pix(capsys, "--store", store, "ls", "training", "--json").document
    assert [entry["path"] for entry in listing] == ["/a.png", "/cats/b.png", "/x/cats/b.png"]


def test_names_that_pachyderm_refuses_survive_a_round_trip(store: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    names = ["photo (1).jpg", "é.png", "100%.png", "a+b@c.png", "plain name.png", "%41.png", "back\\slash.png"]
    for name in names:
        (folder / name).write_text(name)
    put = pix2pix(capsys, "--store", store, "put", "input_images", folder)
    assert put.code == 0
    assert "6 file names that Pachyderm refuses were percent-encoded" in put.err
    assert pix2pix(capsys, "--store", store, "get", "input_images", tmp_path / "back").code == 0
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == sorted(names)
    assert all((tmp_path / "back" / name).read_text() == name for name in names)


def test_get_reports_that_it_waits_for_an_open_commit(
    store: Path, pictures: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = pix2pix(capsys, "--store", store, "put", "training", pictures, "--json").document["commit"]
    really_inspect = commits.inspect

    def ended(client: Connection, repo: str, commit_id: str, wait: bool = False) -> commits.Commit:
        if wait:
            client.pfs.finish_commit(commit=client.commit(repo, commit_id), error="failed: by hand")
        return really_inspect(client, repo, commit_id, wait)

    monkeypatch.setattr(commits, "inspect", ended)
    result = pix2pix(capsys, "--store", store, "get", "checkpoint", tmp_path / "out")
    assert f"waiting for checkpoint@{commit[:12]}, which is open" in result.err
    assert result.code == 0


def test_get_and_ls_report_that_a_commit_ended_with_an_error(store: Path, tmp_path: Path, capsys: Capture) -> None:
    with connect(Target(store=store)) as client:
        commit = client.pfs.start_commit(branch=client.branch(TRAINING))
        client.pfs.finish_commit(commit=commit, error="failed: the disk is gone")
    for words in (("get", "training", tmp_path / "out"), ("ls", "training")):
        result = pix2pix(capsys, "--store", store, *words)
        assert result.code == 0
        assert f"training@{commit.id[:12]} ended with an error" in result.err
        assert result.err.strip().endswith("failed: the disk is gone")


def test_get_of_a_commit_without_files_makes_an_empty_folder(store: Path, tmp_path: Path, capsys: Capture) -> None:
    result = pix2pix(capsys, "--store", store, "get", "training", tmp_path / "out", "--json")
    assert (result.code, result.document["files"]) == (0, 0)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_refused_download_reports_the_servers_message(store: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="file /gone"), connect(Target(store=store)) as client:
        commit = head(client, TRAINING)
        download(client, commit.repo, commit.id, {"/gone.png": FileEntry(1, "")}, tmp_path / "out")


def test_get_downloads_all_files_or_those_that_match(
    store: Path, pictures: Path, tmp_path: Path, capsys: Capture
) -> None:
    commit = pix2pix(capsys, "--store", store, "put", "training", pictures, "--json").document["commit"]
    whole = pix2pix(capsys, "--store", store, "get", "training", tmp_path / "all", "--json").document
    assert whole == {"commit": commit, "files": 2, "bytes": 3, "renamed": {}}
    assert (tmp_path / "all" / "cats" / "b.png").read_bytes() == b"BB"
    some = pix2pix(capsys, "--store", store, "get", f"training@{commit[:8]}", tmp_path / "some", "--glob", "/cats/*")
    assert some.code == 0
    assert [path.name for path in (tmp_path / "some").rglob("*.png")] == ["b.png"]


def test_a_commit_can_be_named_by_prefix_branch_and_ancestor(store: Path, pictures: Path, capsys: Capture) -> None:
    first = pix2pix(capsys, "--store", store, "put", "training", pictures, "--json").document["commit"]
    (pictures / "c.png").write_bytes(b"C")
    second = pix2pix(capsys, "--store", store, "put", "training", pictures, "--json").document["commit"]
    for name, count in ((first, 2), (first[:6], 2), ("master^", 2), ("master", 3), (second, 3), (f"{second}^1", 2)):
        listing = pix2pix(capsys, "--store", store, "ls", f"training@{name}", "--json")
        assert len(listing.document) == count, name


def test_status_reports_what_open_commits_wait_for(store: Path, pictures: Path, capsys: Capture) -> None:
    commit = pix2pix(capsys, "--store", store, "put", "training", pictures, "--json").document["commit"]
    document = pix2pix(capsys, "--store", store, "status", "--json").document
    heads = {(row["repo"], row["branch"]): (row["head"], row["state"]) for row in document["repos"]}
    assert heads["training", "master"] == (commit, "good")
    assert heads["checkpoint", "master"] == (commit, "open")
    assert {row["commit_set"] for row in document["waiting"]} == {commit}
    assert "which is open" in document["waiting"][1]["for"]


def test_json_is_one_document_wherever_the_flag_stands(store: Path, capsys: Capture) -> None:
    assert pix2pix(capsys, "--json", "--store", store, "status").document == (
        pix2pix(capsys, "status", "--json", "--store", store).document
    )


def refused(result: CommandResult, *words: str) -> None:
    assert result.code == 2, result
    assert result.out == ""
    lines = [line for line in result.err.splitlines() if line]
    assert 1 <= len(lines) <= 3, result.err
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.err, result.err


def test_each_wrong_use_of_the_data_is_one_clear_line(
    store: Path, pictures: Path, tmp_path: Path, capsys: Capture
) -> None:
    def run(*words: object) -> CommandResult:
        return pix2pix(capsys, "--store", store, *words)

    empty = tmp_path / "empty"
    empty.mkdir()
    refused(run("put", "training", tmp_path / "nowhere"), "nowhere", "does not exist")
    refused(run("put", "training", empty), "empty", "no file")
    refused(run("put", "nosuch", pictures), "repo nosuch not found", "training")
    refused(run("put", "checkpoint", pictures), "checkpoint@master", "training")
    for source, words in ((tmp_path / "nowhere", "does not exist"), (empty, "no file")):
        refused(run("plan", "training", source), source.name, words)
    refused(run("plan", "nosuch", pictures), "repo nosuch not found", "training")
    refused(run("plan", "checkpoint", pictures), "checkpoint@master", "training")
    refused(run("plan", "training"), "pix2pix plan training FOLDER")
    refused(run("get", "nosuch", tmp_path / "x"), "repo nosuch not found")
    refused(run("get", "training", pictures), "not an empty folder")
    refused(run("get", "training", tmp_path / "x", "--glob", "/nothing*"), "nothing*")
    refused(run("ls", "training@0123456789ab"), "0123456789ab")
    refused(run("ls", "training@" + "a" * 12 + "4" + "a" * 19), "not found")
    refused(run("ls", "training@master^9"), "beyond the first commit")
    refused(run("ls", "training:/nowhere"), "/nowhere")
    refused(run("log", "nosuch"), "repo nosuch not found")
    refused(run("promote"), "holds no model")
    refused(run("rollback"), "no model was promoted before")
    refused(run("promote", "a" * 12 + "4" + "a" * 19), "not found")
    refused(run("run", "nosuch"), "unknown pipeline", "nosuch")
    refused(run("run", "nosuch", "--commit-set", "deadbeef"), "unknown pipeline", "nosuch")
    refused(run("run", "training_and_export", "-p", "nosuch=1"), "nosuch", "max_steps")
    refused(run("run", "preprocessing_and_generation", "--shards", "0"), "shards = '0' is not allowed", "auto")
    refused(run("run", "training_and_export", "--shards", "2"), "training_and_export has no parameter shards")
    refused(run("run", "training_and_export", "-p", "max_steps=-1"), "max_steps")
    refused(run("run", "training_and_export", "-p", "resize.size=64"), "resize")
    refused(run("run", "training_and_export", "--commit-set", "0123456789ab"), "0123456789ab")
    assert not (tmp_path / "x").exists()
    assert pix2pix(capsys, "--store", store, "status", "--json").document["waiting"] == []


def test_before_setup_the_message_names_setup(tmp_path: Path, capsys: Capture) -> None:
    refused(pix2pix(capsys, "--store", tmp_path / "new", "status"), "pix2pix setup")
    refused(pix2pix(capsys, "--store", tmp_path / "new", "run", "training_and_export"), "pix2pix setup")


def test_a_folder_that_is_not_a_store_is_refused_and_left_unchanged(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    refused(pix2pix(capsys, "--store", tmp_path, "status"), str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("address", ["grpc://127.0.0.1:1", "127.0.0.1:1"])
def test_an_unreachable_server_is_not_reported_as_wrong_use(address: str, capsys: Capture) -> None:
    result = pix2pix(capsys, "--pachd", address, "status")
    assert result.code == 3
    assert address in result.err


@pytest.mark.parametrize("address", ["ftp://x:1", "grpc://x:99999999", "grpc://"])
def test_an_invalid_address_is_wrong_use(address: str, capsys: Capture) -> None:
    refused(pix2pix(capsys, "--pachd", address, "status"), address)


def test_unknown_subcommands_and_options_are_wrong_use_with_a_suggestion(store: Path, capsys: Capture) -> None:
    for words, suggestion in (
        (("trian",), "train"),
        (("store", "gcc"), "gc"),
        (("--store", store, "put", "training", "x", "--prefx", "/"), "--prefix"),
    ):
        result = pix2pix(capsys, *words)
        assert result.code == 2
        assert f"Did you mean '{suggestion}'?" in result.err
    assert "Did you mean" not in pix2pix(capsys, "nosuch").err


def test_log_shows_message_and_outcome_in_columns_of_their_own(store: Path, pictures: Path, capsys: Capture) -> None:
    pix2pix(capsys, "--store", store, "put", "training", pictures, "-m", "two cats")
    lines = pix2pix(capsys, "--store", store, "log", "training").out.splitlines()
    assert lines[0].split() == ["COMMIT", "AGE", "STATE", "OUTCOME", "FILES", "ORIGIN", "MESSAGE"]
    column = lines[0].index("MESSAGE")
    assert [line[column:] for line in lines[1:3]] == ["two cats", "-"]
    with connect(Target(store=store)) as client:
        commit = client.pfs.start_commit(branch=client.branch(TRAINING))
        client.pfs.finish_commit(commit=commit, error="failed: the disk is full")
    lines = pix2pix(capsys, "--store", store, "log", "training").out.splitlines()
    assert lines[0].split()[-2:] == ["MESSAGE", "ERROR"]
    columns = lines[0].index("MESSAGE"), lines[0].index("ERROR")
    assert lines[1][columns[0] :].split()[0] == "-"
    assert lines[1][columns[1] :] == "failed: the disk is full"
    assert lines[2][columns[0] :].split() == ["two", "cats", "-"]
    entry = pix2pix(capsys, "--store", store, "log", "training", "--json").document[1]
    assert (entry["message"], entry["outcome"], entry["error"]) == ("two cats", None, "")


def test_people_read_short_ids_and_scripts_whole_ones(store: Path, pictures: Path, capsys: Capture) -> None:
    put = ("--store", store, "put", "training", pictures)
    shown = pix2pix(capsys, *put).out
    commit = pix2pix(capsys, "--store", store, "log", "training", "--json").document[0]["commit"]
    assert len(commit) == 32
    assert shown.startswith(f"training@{commit[:12]}: ")
    for words in (("log", "training"), ("status",), ("why", commit), ("lineage", commit)):
        short = pix2pix(capsys, "--store", store, *words)
        assert commit[:12] in short.out and commit not in short.out, words
        assert commit in pix2pix(capsys, "--store", store, *words, "-v").out, words
    assert pix2pix(capsys, "--store", store, "ls", f"training@{commit[:12]}").code == 0


def test_a_file_name_that_looks_like_a_commit_id_is_not_shortened(store: Path, tmp_path: Path, capsys: Capture) -> None:
    name = "0123456789abcdef0123456789abcdef"
    for path in (tmp_path / "in" / f"{name}.png", tmp_path / "in" / name):
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    pix2pix(capsys, "--store", store, "put", "training", tmp_path / "in")
    listing = pix2pix(capsys, "--store", store, "ls", "training").out
    assert f"/{name} " in listing and f"/{name}.png" in listing
    assert f"/{name}.png" in pix2pix(capsys, "--store", store, "lineage", f"training@master:/{name}.png").out


def test_a_run_that_fails_exits_with_1_and_still_prints_its_document(
    store: Path, tmp_path: Path, capsys: Capture
) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.png").write_text("no picture")
    (bad / "pix2pix.toml").write_text("[resize]\nnosuch = 1\n")
    pix2pix(capsys, "--store", store, "put", "input_images", bad)
    result = pix2pix(capsys, "--store", store, "run", "preprocessing_and_generation", "--json")
    assert result.code == 1
    assert result.document["state"] == "failed"
    assert "nosuch" in result.err and "commit a corrected file" in result.err


def test_a_path_that_would_be_a_file_and_a_folder_is_refused_before_anything_is_sent(
    store: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "deep" / "a").mkdir(parents=True)
    (tmp_path / "deep" / "a" / "b").write_text("g")
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "a").write_text("f")
    put = ("--store", store, "put", "training")
    refused(pix2pix(capsys, *put, tmp_path / "deep", tmp_path / "flat"), "/a would be a file and a folder", "/a/b")
    assert pix2pix(capsys, *put, tmp_path / "deep").code == 0
    refused(pix2pix(capsys, *put, tmp_path / "flat"), "/a would be a file and a folder", "/a/b")
    refused(pix2pix(capsys, *put, tmp_path / "deep" / "a", "--prefix", "/a/b"), "/a/b would be a file and a folder")
    assert pix2pix(capsys, *put, tmp_path / "flat", "--mirror").code == 0
    assert [entry["path"] for entry in pix2pix(capsys, "--store", store, "ls", "training", "--json").document] == ["/a"]


def test_files_of_a_failed_commit_are_put_again(store: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "b.jpg").write_text("B")
    with connect(Target(store=store)) as client:
        commit = client.pfs.start_commit(branch=client.branch(TRAINING))
        client.pfs.put_file_from_bytes(commit=commit, path="/b.jpg", data=b"B")
        client.pfs.finish_commit(commit=commit, error="the writer gave up")
    assert pix2pix(capsys, "--store", store, "put", "training", tmp_path / "b.jpg", "--json").document["files_put"] == 1
    listing = pix2pix(capsys, "--store", store, "ls", "training", "--json").document
    assert [entry["path"] for entry in listing] == ["/b.jpg"]


def test_a_folder_that_cannot_be_read_is_refused_and_deletes_nothing(
    store: Path, pictures: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = ("--store", store, "put", "training", pictures)
    assert pix2pix(capsys, *put).code == 0
    real = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "cats":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    refused(pix2pix(capsys, *put, "--mirror"), "cats cannot be read: Permission denied")


def test_a_store_is_not_put_into_itself_and_an_empty_name_is_refused(
    pictures: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pictures)
    monkeypatch.delenv("PIX2PIX_STORE", raising=False)
    monkeypatch.delenv("PACHD_ADDRESS", raising=False)
    assert pix2pix(capsys, "setup").code == 0
    assert pix2pix(capsys, "put", "training", ".", "--json").document["files_put"] == 2
    assert pix2pix(capsys, "put", "training", ".", "--json").document["commit"] is None
    refused(pix2pix(capsys, "put", "training", ""), "an empty name does not exist")


def test_a_prefix_is_cleaned_and_encoded_and_the_mirror_below_it_is_exact(
    store: Path, pictures: Path, capsys: Capture
) -> None:
    put = ("--store", store, "put", "training", pictures, "--prefix", "./a (1)//b/")
    assert pix2pix(capsys, *put, "--json").document["files_put"] == 2
    assert pix2pix(capsys, *put, "--json").document["commit"] is None
    (pictures / "a.png").unlink()
    assert pix2pix(capsys, *put, "--mirror", "--json").document["files_deleted"] == 1
    refused(pix2pix(capsys, "--store", store, "put", "training", pictures, "--prefix", "../b"), "the prefix ../b")


def test_a_source_that_is_named_twice_is_put_once(store: Path, pictures: Path, capsys: Capture) -> None:
    put = ("--store", store, "put", "training", "--json", pictures / "a.png", pictures / "a.png")
    assert pix2pix(capsys, *put).document["files_put"] == 1
    again = pix2pix(capsys, *put, pictures, pictures).document
    assert (again["files_put"], again["files_deleted"]) == (1, 0)


def test_concurrent_puts_each_return_their_own_commit(store: Path, tmp_path: Path) -> None:
    folders = []
    for name in "abcd":
        (tmp_path / name).mkdir()
        (tmp_path / name / "one").write_bytes(name.encode() * 2_000_000)
        folders.append(tmp_path / name / "one")

    def write(path: Path) -> tuple[str, bytes]:
        with connect(Target(store=store)) as client:
            commit_id = upload.put(client, TRAINING, {"/one": path}, message=path.parent.name).commit
            commit = commits.inspect(client, "training", commit_id or "")
            return commit.metadata["message"], b"".join(read_pieces(client, "training", commit.id, "/one"))[:1]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(write, folders)) == [(name, name.encode()) for name in "abcd"]


def test_a_message_is_the_commits_description(store: Path, pictures: Path, capsys: Capture) -> None:
    done = pix2pix(capsys, "--store", store, "put", "training", pictures, "-m", "two cats", "--json").document
    with connect(Target(store=store)) as client:
        commit = commits.inspect(client, "training", done["commit"])
        assert (commit.description, commit.metadata["message"], commit.state) == ("two cats", "two cats", "good")
        assert [commit.id for commit in commits.history(client, TRAINING, 1)] == [commit.id]
        assert {path: entry.bytes for path, entry in files.files(client, "training", commit.id).items()} == {
            "/a.png": 1,
            "/cats/b.png": 2,
        }


def test_a_described_commit_that_cannot_be_completed_leaves_nothing_behind(
    store: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(Target(store=store)) as client:
        before = head(client, TRAINING).id
        monkeypatch.setattr(client.pfs, "finish_commit", lambda **_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            upload.put(client, TRAINING, {"/a.png": pictures / "a.png"}, message="two cats")
        assert head(client, TRAINING).id == before
        monkeypatch.undo()
        assert upload.put(client, TRAINING, {"/a.png": pictures / "a.png"}, message="two cats").put == 1


def test_a_described_commit_waits_for_another_writer_and_gives_up_if_it_does_not_finish(
    store: Path, pictures: Path
) -> None:
    with connect(Target(store=store)) as client:
        content = {"/a.png": pictures / "a.png"}
        other: list[pfs.Commit] = []
        pauses: list[float] = []

        def begin(*_: object) -> None:
            if not other:
                other.append(client.pfs.start_commit(branch=client.branch(TRAINING)))

        def end(pause: float) -> None:
            pauses.append(pause)
            if len(pauses) == 2:
                client.pfs.finish_commit(commit=other[0])

        done = upload.put(client, TRAINING, content, message="after the other", progress=begin, sleep=end)
        assert commits.inspect(client, "training", done.commit or "").parent == other[0].id
        assert len(pauses) == 2
        other.clear()
        (pictures / "a.png").write_bytes(b"B")
        with pytest.raises(RequestError, match="is still open"):
            upload.put(client, TRAINING, content, message="never", progress=begin, sleep=lambda _: None)


def test_get_refuses_the_current_folder_and_a_path_beside_a_pattern(
    store: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    get = ("--store", store, "get")
    assert pix2pix(capsys, *get, "training", tmp_path / "link").code == 0
    refused(pix2pix(capsys, *get, "training@master:/x", tmp_path / "out", "--glob", "/*"), "give one of the two")
    monkeypatch.chdir(tmp_path / "empty")
    refused(pix2pix(capsys, *get, "training", "."), "is the current folder")
