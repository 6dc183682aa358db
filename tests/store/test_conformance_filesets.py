"""File sets: files that are uploaded first and added to a commit in one step."""

import grpc
import pytest
from pachyderm_sdk.api import pfs
from server_under_test import Pachd, refused, replacing

pytestmark = pytest.mark.conformance


@pytest.fixture
def parent(pachd: Pachd) -> pfs.Commit:
    return pachd.write(pfs.Branch(repo=pachd.repo(), name="master"), {"/a": b"1", "/d/b": b"2"})


@pytest.fixture
def commit(pachd: Pachd, parent: pfs.Commit) -> pfs.Commit:
    return pachd.start(pfs.Branch(repo=parent.repo, name="master"))


def test_a_file_set_shows_in_no_commit_until_it_is_added(pachd: Pachd, commit: pfs.Commit) -> None:
    file_set = pachd.file_set(pfs.AddFile(path="/new", raw=b"3"))
    assert pachd.ls(commit) == ["/a", "/d/"]
    pachd.client.pfs.add_file_set(commit=commit, file_set_id=file_set)
    assert pachd.files(commit) == {"/a": b"1", "/d/b": b"2", "/new": b"3"}


def test_a_file_set_deletes_files_by_their_own_paths(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.publish(commit, pfs.DeleteFile(path="/a"), pfs.DeleteFile(path="/d/b"), pfs.AddFile(path="/new", raw=b"3"))
    assert pachd.files(commit) == {"/new": b"3"}
    pachd.finish(commit)
    assert pachd.files(commit) == {"/new": b"3"}


def test_a_file_set_cannot_delete_a_directory(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.publish(commit, pfs.DeleteFile(path="/"), pfs.DeleteFile(path="/d/"), pfs.AddFile(path="/new", raw=b"3"))
    assert pachd.files(commit) == {"/a": b"1", "/d/b": b"2", "/new": b"3"}


def test_a_delete_and_an_add_in_a_file_set_replace(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.publish(commit, *replacing({"/a": b"new"}))
    assert pachd.read(commit, "/a") == b"new"


def test_an_add_alone_in_a_file_set_appends(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.publish(commit, pfs.AddFile(path="/a", raw=b"new"))
    assert pachd.read(commit, "/a") == b"1new"


def test_a_file_set_added_twice_appends_its_bare_adds_twice(pachd: Pachd, commit: pfs.Commit) -> None:
    file_set = pachd.file_set(pfs.AddFile(path="/bare", raw=b"x"), *replacing({"/safe": b"y"}))
    for _ in range(2):
        pachd.client.pfs.add_file_set(commit=commit, file_set_id=file_set)
    assert pachd.read(commit, "/bare") == b"xx"
    assert pachd.read(commit, "/safe") == b"y"


def test_a_file_set_can_be_added_to_several_commits(pachd: Pachd, commit: pfs.Commit) -> None:
    elsewhere = pachd.start(pfs.Branch(repo=pachd.repo("elsewhere"), name="master"))
    file_set = pachd.file_set(*replacing({"/new": b"3"}))
    for each in (commit, elsewhere):
        pachd.client.pfs.add_file_set(commit=each, file_set_id=file_set)
    assert pachd.files(elsewhere) == {"/new": b"3"}
    assert pachd.read(commit, "/new") == b"3"


def test_a_file_set_cannot_be_added_to_a_finished_commit(pachd: Pachd, parent: pfs.Commit) -> None:
    with refused("already finished"):
        pachd.publish(parent, *replacing({"/new": b"3"}))
    assert pachd.files(parent) == {"/a": b"1", "/d/b": b"2"}


def test_an_unknown_file_set_is_refused(pachd: Pachd, commit: pfs.Commit) -> None:
    with refused():
        pachd.client.pfs.add_file_set(commit=commit, file_set_id="0123456789abcdef0123456789abcdef")
    assert pachd.files(commit) == {"/a": b"1", "/d/b": b"2"}


def test_a_refused_path_makes_no_file_set(pachd: Pachd) -> None:
    with refused("invalid"):
        pachd.file_set(pfs.AddFile(path="/good", raw=b"1"), pfs.AddFile(path="/ba*d", raw=b"2"))


def test_the_file_set_of_a_commit_carries_its_files_elsewhere(pachd: Pachd, parent: pfs.Commit) -> None:
    target = pachd.start(pfs.Branch(repo=pachd.repo("elsewhere"), name="master"))
    file_set = pachd.client.pfs.get_file_set(commit=parent).file_set_id
    pachd.client.pfs.add_file_set(commit=target, file_set_id=file_set)
    pachd.finish(target)
    assert pachd.files(target) == {"/a": b"1", "/d/b": b"2"}


def test_a_file_set_can_copy_a_whole_commit_without_its_bytes(pachd: Pachd, parent: pfs.Commit) -> None:
    target = pachd.start(pfs.Branch(repo=pachd.repo("elsewhere"), name="master"))
    pachd.publish(target, pfs.CopyFile(src=pachd.file(parent, "/"), dst="/"))
    pachd.finish(target)
    assert pachd.files(target) == {"/a": b"1", "/d/b": b"2"}


def test_a_copy_in_a_file_set_replaces_what_it_deletes(pachd: Pachd, parent: pfs.Commit) -> None:
    branch = pfs.Branch(repo=parent.repo, name="master")
    pachd.write(branch, {"/a": b"changed", "/c": b"new"})
    commit = pachd.start(branch)
    deletes = [pfs.DeleteFile(path=path) for path in pachd.files(commit)]
    pachd.publish(commit, *deletes, pfs.CopyFile(src=pachd.file(parent, "/"), dst="/"))
    assert pachd.files(commit) == {"/a": b"1", "/d/b": b"2"}


def test_a_file_set_can_be_renewed(pachd: Pachd, commit: pfs.Commit) -> None:
    file_set = pachd.file_set(*replacing({"/new": b"3"}))
    pachd.client.pfs.renew_file_set(file_set_id=file_set, ttl_seconds=60)
    pachd.client.pfs.add_file_set(commit=commit, file_set_id=file_set)
    assert pachd.read(commit, "/new") == b"3"


@pytest.mark.parametrize("seconds", [1801, 0, -5])
def test_a_file_set_is_kept_for_a_second_to_half_an_hour(pachd: Pachd, seconds: int) -> None:
    file_set = pachd.file_set(pfs.AddFile(path="/new", raw=b"3"))
    with refused("ttl"):
        pachd.client.pfs.renew_file_set(file_set_id=file_set, ttl_seconds=seconds)


def test_an_empty_file_set_changes_nothing(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.publish(commit)
    assert pachd.files(commit) == {"/a": b"1", "/d/b": b"2"}


def test_a_broken_upload_makes_no_file_set(pachd: Pachd, commit: pfs.Commit) -> None:
    def broken() -> object:
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/new", raw=b"3"))
        raise ZeroDivisionError

    with pytest.raises(grpc.RpcError):
        pachd.client.pfs.create_file_set(broken())


def test_file_sets_are_composed_in_their_order(pachd: Pachd, commit: pfs.Commit) -> None:
    first = pachd.file_set(*replacing({"/a": b"first", "/d/b": b"first", "/new": b"first"}))
    second = pachd.file_set(*replacing({"/a": b"second"}), pfs.DeleteFile(path="/d/b"))
    composed = pachd.client.pfs.compose_file_set(file_set_ids=[first, second], ttl_seconds=1800).file_set_id
    pachd.client.pfs.add_file_set(commit=commit, file_set_id=composed)
    assert pachd.files(commit) == {"/a": b"second", "/new": b"first"}
    pachd.finish(commit)
    assert pachd.files(commit) == {"/a": b"second", "/new": b"first"}


def test_a_file_set_that_does_not_exist_cannot_be_renewed(pachd: Pachd) -> None:
    with refused(code=grpc.StatusCode.NOT_FOUND):
        pachd.client.pfs.renew_file_set(file_set_id="0" * 32, ttl_seconds=60)
