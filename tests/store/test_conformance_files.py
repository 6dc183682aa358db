"""Files: writing, deleting and copying."""

import grpc
import pytest
from pachyderm_sdk.api import pfs
from server_under_test import PATIENCE, Pachd, happened, refused, soon

pytestmark = pytest.mark.conformance

FILE = pfs.FileType.FILE


@pytest.fixture
def branch(pachd: Pachd) -> pfs.Branch:
    return pfs.Branch(repo=pachd.repo(), name="master")


@pytest.fixture
def commit(pachd: Pachd, branch: pfs.Branch) -> pfs.Commit:
    return pachd.start(branch)


def test_a_write_to_a_branch_makes_a_finished_commit(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.put(branch, {"/a": b"1"})
    pachd.put(branch, {"/b": b"2"})
    assert len(pachd.history(branch.repo)) == 2
    assert happened(pachd.wait(pachd.head(branch)).finished)
    assert pachd.files(branch) == {"/a": b"1", "/b": b"2"}


def test_a_write_without_changes_still_makes_a_commit(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.put(branch, {"/a": b"1"})
    pachd.modify(branch)
    assert len(pachd.history(branch.repo)) == 2
    assert pachd.files(branch) == {"/a": b"1"}


def test_a_write_to_a_branch_with_an_open_head_goes_into_it(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.start(branch)
    pachd.put(branch, {"/a": b"1"})
    assert pachd.history(branch.repo) == [commit.id]
    assert pachd.is_open(commit)


def test_a_write_to_a_finished_commit_is_refused(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.write(branch, {"/a": b"1"})
    with refused("already finished"):
        pachd.put(commit, {"/a": b"2"})
    assert pachd.files(commit) == {"/a": b"1"}


def test_a_write_to_an_output_branch_whose_head_is_finished_is_refused(pachd: Pachd) -> None:
    _, output = pachd.chain("source", "output")
    with refused("cannot start a commit on an output branch"):
        pachd.put(output, {"/a": b"1"})


def test_a_child_inherits_the_files_of_its_parent(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.write(branch, {"/a": b"1", "/d/b": b"2"})
    child = pachd.write(branch, {"/d/c": b"3"})
    assert pachd.files(child) == {"/a": b"1", "/d/b": b"2", "/d/c": b"3"}


def test_a_stream_that_breaks_off_writes_nothing(pachd: Pachd, commit: pfs.Commit) -> None:
    def broken() -> object:
        yield pfs.ModifyFileRequest(set_commit=commit)
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=b"1"))
        raise ZeroDivisionError

    with pytest.raises(grpc.RpcError):
        pachd.client.pfs.modify_file(broken())
    assert pachd.files(commit) == {}


def test_a_stream_that_is_refused_half_way_writes_nothing(pachd: Pachd, commit: pfs.Commit) -> None:
    with refused():
        pachd.modify(commit, pfs.AddFile(path="/good", raw=b"1"), pfs.AddFile(path="/ba*d", raw=b"2"))
    assert pachd.files(commit) == {}


def test_a_stream_must_first_say_which_commit(pachd: Pachd) -> None:
    with refused():
        pachd.client.pfs.modify_file(iter([pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=b"1"))]))


def test_an_add_alone_appends(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.write(branch, {"/a": b"one"})
    commit = pachd.start(branch)
    pachd.modify(commit, pfs.AddFile(path="/a", raw=b"two"), pfs.AddFile(path="/a", raw=b"three"))
    assert pachd.read(commit, "/a") == b"onetwothree"
    pachd.finish(commit)
    assert pachd.read(commit, "/a") == b"onetwothree"


def test_a_delete_and_an_add_in_one_stream_replace(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.write(branch, {"/a": b"one"})
    commit = pachd.write(branch, {"/a": b"two"})
    assert pachd.read(commit, "/a") == b"two"


def test_streams_apply_in_the_order_in_which_they_close(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.put(commit, {"/a": b"first"})
    pachd.modify(commit, pfs.AddFile(path="/a", raw=b"second"))
    pachd.modify(commit, pfs.DeleteFile(path="/a"))
    pachd.modify(commit, pfs.AddFile(path="/a", raw=b"third"))
    assert pachd.read(commit, "/a") == b"third"


def test_empty_files_exist(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.start(branch)
    pachd.modify(commit, pfs.AddFile(path="/empty", raw=b""))
    pachd.finish(commit)
    info = pachd.client.pfs.inspect_file(file=pachd.file(commit, "/empty"))
    assert (info.file_type, info.size_bytes) == (FILE, 0)
    assert pachd.read(commit, "/empty") == b""


def test_a_file_of_several_messages_is_read_back_whole(pachd: Pachd, branch: pfs.Branch) -> None:
    content = bytes(range(256)) * 16 * 1024
    commit = pachd.start(branch)
    third = len(content) // 3
    parts = [content[:third], content[third : 2 * third], content[2 * third :]]
    pachd.modify(commit, pfs.DeleteFile(path="/big"), *(pfs.AddFile(path="/big", raw=part) for part in parts))
    pachd.finish(commit)
    assert pachd.client.pfs.inspect_file(file=pachd.file(commit, "/big")).size_bytes == len(content)
    assert pachd.read(commit, "/big") == content
    assert pachd.files(commit) == {"/big": content}


@pytest.mark.parametrize("path", ["plain", "/plain", "//plain", "/plain/"])
def test_paths_begin_at_the_root_and_are_tidied(pachd: Pachd, commit: pfs.Commit, path: str) -> None:
    pachd.put(commit, {path: b"1"})
    assert pachd.ls(commit) == ["/plain"]


@pytest.mark.parametrize("character", [*" #%'\"\\,&=;~$-_.A"])
def test_a_path_may_hold_printable_ascii(pachd: Pachd, commit: pfs.Commit, character: str) -> None:
    path = f"/x{character}y.png"
    pachd.put(commit, {path: b"1"})
    assert pachd.ls(commit) == [path]
    assert pachd.files(commit) == {path: b"1"}


@pytest.mark.parametrize("character", [*"+()@!^{}[]*?", "\x00", "\x1f", "\x7f", "\n", "ä", "猫"])
def test_a_path_with_a_glob_or_other_character_is_refused(pachd: Pachd, commit: pfs.Commit, character: str) -> None:
    with refused():
        pachd.put(commit, {f"/x{character}y.png": b"1"})
    assert pachd.ls(commit) == []


@pytest.mark.parametrize("path", ["../a", "/a/../../b", "/a/../b", "/a/./b", "/..", "."])
def test_a_path_that_climbs_is_refused(pachd: Pachd, commit: pfs.Commit, path: str) -> None:
    with refused():
        pachd.put(commit, {path: b"1"})
    assert pachd.ls(commit) == []


def test_a_file_where_a_directory_is_ends_the_commit_with_an_error(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.start(branch)
    pachd.put(commit, {"/foo/bar": b"1", "/foo": b"2"})
    info = pachd.finish(commit)
    assert "collision" in info.error


def test_one_path_from_two_datums_ends_the_commit_with_an_error(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.start(branch)
    pachd.modify(
        commit,
        pfs.AddFile(path="/foo", raw=b"1", datum="one"),
        pfs.AddFile(path="/foo", raw=b"2", datum="two"),
    )
    info = pachd.finish(commit)
    assert "duplicate path output by different datums" in info.error


def test_a_deleted_file_is_gone_in_the_child_and_stays_in_the_parent(pachd: Pachd, branch: pfs.Branch) -> None:
    parent = pachd.write(branch, {"/a": b"1", "/b": b"2"})
    child = pachd.start(branch)
    pachd.modify(child, pfs.DeleteFile(path="/a"))
    pachd.finish(child)
    assert pachd.files(child) == {"/b": b"2"}
    assert pachd.files(parent) == {"/a": b"1", "/b": b"2"}


def test_deleting_a_missing_file_is_not_an_error(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.modify(commit, pfs.DeleteFile(path="/nothing"), pfs.DeleteFile(path="/nowhere/"))
    assert pachd.finish(commit).error == ""


def test_a_directory_is_deleted_with_all_that_is_in_it(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.write(branch, {"/dir/a": b"1", "/dir/sub/b": b"2", "/dirt": b"3"})
    commit = pachd.start(branch)
    pachd.modify(commit, pfs.DeleteFile(path="/dir/"))
    assert pachd.files(commit) == {"/dirt": b"3"}
    pachd.finish(commit)
    assert pachd.files(commit) == {"/dirt": b"3"}


def test_deleting_a_directory_without_its_slash_deletes_nothing(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.write(branch, {"/dir/a": b"1"})
    commit = pachd.start(branch)
    pachd.modify(commit, pfs.DeleteFile(path="/dir"))
    assert pachd.files(commit) == {"/dir/a": b"1"}


def test_deleting_the_root_empties_the_commit(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.write(branch, {"/a": b"1", "/d/b": b"2"})
    commit = pachd.start(branch)
    pachd.put(commit, {"/c": b"3"})
    pachd.modify(commit, pfs.DeleteFile(path="/"))
    assert pachd.files(commit) == {}


def test_a_directory_deleted_and_filled_in_one_stream_holds_the_new_files(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.write(branch, {"/dir/old": b"1", "/dir/kept": b"2"})
    commit = pachd.start(branch)
    pachd.modify(commit, pfs.DeleteFile(path="/dir/"), pfs.AddFile(path="/dir/kept", raw=b"new"))
    pachd.finish(commit)
    assert pachd.files(commit) == {"/dir/kept": b"new"}


def test_a_write_to_a_branch_can_delete(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.write(branch, {"/dir/a": b"1"})
    pachd.modify(branch, pfs.DeleteFile(path="/"))
    assert pachd.files(branch) == {}
    assert len(pachd.history(branch.repo)) == 2


@pytest.fixture
def original(pachd: Pachd) -> pfs.Commit:
    return pachd.write(pfs.Branch(repo=pachd.repo("original"), name="master"), {"/d/a": b"1", "/d/s/b": b"2"})


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("/d/a", "/x", {"/x": b"1"}),
        ("/d", "/x", {"/x/a": b"1", "/x/s/b": b"2"}),
        ("/d/", "/x/y", {"/x/y/a": b"1", "/x/y/s/b": b"2"}),
        ("/", "/all", {"/all/d/a": b"1", "/all/d/s/b": b"2"}),
        ("/", "/", {"/d/a": b"1", "/d/s/b": b"2"}),
    ],
)
def test_files_and_directories_are_copied_from_any_repo(
    pachd: Pachd, original: pfs.Commit, commit: pfs.Commit, source: str, target: str, expected: dict[str, bytes]
) -> None:
    pachd.modify(commit, pfs.CopyFile(src=pachd.file(original, source), dst=target))
    pachd.finish(commit)
    assert pachd.files(commit) == expected


def test_a_copy_replaces_unless_it_appends(pachd: Pachd, original: pfs.Commit, commit: pfs.Commit) -> None:
    pachd.put(commit, {"/x": b"0", "/y": b"0"})
    pachd.modify(commit, pfs.CopyFile(src=pachd.file(original, "/d/a"), dst="/x"))
    pachd.modify(commit, pfs.CopyFile(src=pachd.file(original, "/d/a"), dst="/y", append=True))
    assert pachd.files(commit) == {"/x": b"1", "/y": b"01"}


def test_a_copy_of_a_missing_file_copies_nothing(pachd: Pachd, original: pfs.Commit, commit: pfs.Commit) -> None:
    pachd.modify(commit, pfs.CopyFile(src=pachd.file(original, "/nothing"), dst="/x"))
    assert pachd.files(commit) == {}


def test_concurrent_writes_to_one_branch_form_one_chain_of_commits(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.branch(branch.repo)

    def write(number: int) -> None:
        Pachd(pachd.connect).put(branch, {f"/{number}": b"%d" % number})

    for writing in [soon(lambda number=number: write(number)) for number in range(6)]:
        writing.result(PATIENCE)
    assert pachd.files(branch) == {f"/{number}": b"%d" % number for number in range(6)}
    assert len(pachd.history(branch.repo, to=pachd.commit(branch))) == 7


def test_concurrent_streams_into_one_open_commit_are_all_kept(pachd: Pachd, commit: pfs.Commit) -> None:
    def write(number: int) -> None:
        Pachd(pachd.connect).modify(commit, pfs.AddFile(path="/shared", raw=b"x"), pfs.AddFile(path=f"/{number}"))

    for writing in [soon(lambda number=number: write(number)) for number in range(6)]:
        writing.result(PATIENCE)
    assert pachd.files(commit) == {"/shared": b"xxxxxx"} | {f"/{number}": b"" for number in range(6)}
