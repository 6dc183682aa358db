"""Hazards of pachd, which loses data or locks a repo in these cases, and from which the embedded store is safe."""

import queue
from collections.abc import Iterator

import pytest
from pachyderm_sdk.api import pfs
from server_under_test import PATIENCE, Pachd, happened, refused, replacing, soon

pytestmark = [pytest.mark.conformance, pytest.mark.embedded]

Row = tuple[pfs.Commit, pfs.Commit, pfs.Commit]


@pytest.fixture
def row(pachd: Pachd) -> Row:
    """Three open output commits of one branch, each the parent of the next."""
    source, output = pachd.chain("source", "output")
    first, second, third = (pfs.Commit(repo=output.repo, id=pachd.write(source, {}).id) for _ in range(3))
    return first, second, third


class Stream:
    """A ModifyFile stream that the test opens, feeds and closes explicitly."""

    def __init__(self, pachd: Pachd, commit: pfs.Commit) -> None:
        self._parts: queue.Queue[pfs.ModifyFileRequest | None] = queue.Queue()
        self.send(pfs.ModifyFileRequest(set_commit=commit))
        client = pachd.connect()
        self.end = soon(lambda: client.pfs.modify_file(self._requests()))

    def send(self, part: pfs.ModifyFileRequest) -> None:
        self._parts.put(part)

    def close(self) -> None:
        """Close the stream; raise the server's error."""
        self._parts.put(None)
        self.end.result(PATIENCE)

    def _requests(self) -> Iterator[pfs.ModifyFileRequest]:
        yield from iter(self._parts.get, None)


def test_a_child_that_finishes_first_waits_for_its_parent_and_then_finishes_by_itself(pachd: Pachd, row: Row) -> None:
    first, second, _ = row
    pachd.publish(second, *replacing({"/second": b"2"}))
    pachd.client.pfs.finish_commit(commit=second)
    info = pachd.info(second)
    assert happened(info.finishing)
    assert not happened(info.finished)
    pachd.publish(first, *replacing({"/first": b"1"}))
    pachd.finish(first)
    assert pachd.wait(second).error == ""
    assert pachd.files(second) == {"/first": b"1", "/second": b"2"}


def test_a_whole_row_that_finishes_backwards_ends_finished(pachd: Pachd, row: Row) -> None:
    for number, commit in reversed(list(enumerate(row))):
        pachd.publish(commit, *replacing({f"/{number}": b"x"}))
        pachd.client.pfs.finish_commit(commit=commit)
    assert [pachd.wait(commit).error for commit in row] == ["", "", ""]
    assert sorted(pachd.files(row[2])) == ["/0", "/1", "/2"]


def test_a_child_waits_for_a_grandparent_behind_an_errored_parent(pachd: Pachd, row: Row) -> None:
    first, second, third = row
    pachd.finish(second, error="failed: no pictures")
    pachd.client.pfs.finish_commit(commit=third)
    assert not happened(pachd.info(third).finished)
    pachd.publish(first, *replacing({"/first": b"1"}))
    pachd.finish(first)
    assert pachd.wait(third).error == ""
    assert pachd.files(third) == {"/first": b"1"}


def test_a_child_that_waits_is_freed_when_its_parent_ends_with_an_error(pachd: Pachd, row: Row) -> None:
    first, second, _ = row
    pachd.publish(second, *replacing({"/second": b"2"}))
    pachd.client.pfs.finish_commit(commit=second)
    pachd.finish(first, error="failed: no pictures")
    assert pachd.wait(second).error == ""
    assert pachd.files(second) == {"/second": b"2"}


def test_a_child_that_waits_for_its_parent_does_not_stop_other_branches(pachd: Pachd, row: Row) -> None:
    _, second, _ = row
    pachd.client.pfs.finish_commit(commit=second)
    other = pachd.write(pfs.Branch(repo=second.repo, name="other"), {"/a": b"1"})
    assert happened(pachd.info(other).finished)


def test_a_stream_that_closes_after_its_commit_finished_is_refused_and_harms_nothing(pachd: Pachd) -> None:
    branch = pfs.Branch(repo=pachd.repo(), name="master")
    commit = pachd.start(branch)
    pachd.put(commit, {"/a": b"1"})
    late = Stream(pachd, commit)
    late.send(pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/late", raw=b"2")))
    pachd.finish(commit)
    with refused("already finished"):
        late.close()
    assert pachd.files(commit) == {"/a": b"1"}
    assert pachd.files(pachd.write(branch, {"/b": b"3"})) == {"/a": b"1", "/b": b"3"}


def test_a_stream_that_closes_after_its_commit_was_dropped_is_refused(pachd: Pachd) -> None:
    branch = pfs.Branch(repo=pachd.repo(), name="master")
    first = pachd.write(branch, {"/a": b"1"})
    commit = pachd.start(branch)
    late = Stream(pachd, commit)
    late.send(pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/late", raw=b"2")))
    pachd.client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=commit.id))
    with refused():
        late.close()
    assert pachd.head(branch).id == first.id
    assert pachd.files(branch) == {"/a": b"1"}


def test_a_write_by_a_set_id_never_reaches_an_older_open_commit(pachd: Pachd) -> None:
    left, right, output = pachd.repos("left", "right", "output")
    a, b = pachd.branch(left), pachd.branch(right)
    pachd.finish(pachd.head(pachd.branch(output, on=[a, b])))
    older = pachd.start(b)
    newer = pachd.write(a, {})
    alias = pfs.Commit(repo=right, id=newer.id)
    for act in (
        lambda: pachd.put(alias, {"/wrong": b"x"}),
        lambda: pachd.publish(alias, *replacing({"/wrong": b"x"})),
        lambda: pachd.client.pfs.finish_commit(commit=alias),
        lambda: pachd.client.pfs.clear_commit(commit=alias),
    ):
        with refused():
            act()
    assert pachd.is_open(older)
    assert pachd.files(older) == {}


def test_a_head_that_is_not_a_commit_id_is_refused_without_a_stack_trace(pachd: Pachd) -> None:
    branch = pachd.branch(pachd.repo())
    with pytest.raises(Exception, match=r"not found|invalid") as caught:
        pachd.branch(branch.repo, head=pfs.Commit(repo=branch.repo, id="0" * 32))
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("path", ["/", "", "//"])
def test_a_file_cannot_be_written_over_the_root(pachd: Pachd, path: str) -> None:
    """Pachd accepts it, and the commit can no longer be read as a TAR."""
    commit = pachd.start(pfs.Branch(repo=pachd.repo(), name="master"))
    pachd.put(commit, {"/a": b"1"})
    with refused("invalid"):
        pachd.modify(commit, pfs.AddFile(path=path, raw=b"2"))
    with refused("invalid"):
        pachd.modify(commit, pfs.CopyFile(src=pachd.file(commit, "/a"), dst=path))
    assert pachd.files(commit) == {"/a": b"1"}


def test_a_place_counted_from_the_root_beyond_the_head_is_refused(pachd: Pachd) -> None:
    """Pachd returns the head if N is one too large."""
    branch = pfs.Branch(repo=pachd.repo(), name="master")
    pachd.write(branch, {})
    with refused():
        pachd.info(branch.repo, "master.2")


def test_creating_a_branch_of_two_parents_again_changes_nothing(pachd: Pachd) -> None:
    """Pachd may take equal provenance for different provenance, and open a commit."""
    parents = [pachd.branch(repo) for repo in pachd.repos("z", "a")]
    output = pachd.branch(pachd.repo("output"), on=parents)
    before = pachd.history(output.repo)
    for order in (parents, parents[::-1]):
        pachd.branch(output.repo, on=order)
    assert pachd.history(output.repo) == before


def test_squashing_a_commit_leaves_its_files_in_a_child_that_ended_with_an_error(pachd: Pachd) -> None:
    """On pachd, the child loses them."""
    branch = pfs.Branch(repo=pachd.repo(), name="master")
    parent = pachd.write(branch, {"/a": b"1"})
    child = pachd.start(branch)
    pachd.put(child, {"/b": b"2"})
    pachd.finish(child, error="failed: by hand")
    pachd.client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=parent.id))
    assert pachd.files(child) == {"/a": b"1", "/b": b"2"}
