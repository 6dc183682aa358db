"""ForgetCommit: the files of a commit are discarded, the commit stays in the history (pachd's TestForgetRPC)."""

import grpc
import pytest
from pachyderm_sdk.api import pfs
from server_under_test import Pachd, refused

pytestmark = pytest.mark.conformance

FORGOTTEN = "the commit is forgotten"


@pytest.fixture
def source(pachd: Pachd) -> pfs.Branch:
    return pachd.branch(pachd.repo("source"))


@pytest.fixture
def output(pachd: Pachd, source: pfs.Branch) -> pfs.Branch:
    return pachd.branch(pachd.repo("output"), on=[source])


def result(pachd: Pachd, output: pfs.Branch, files: dict[str, bytes]) -> pfs.Commit:
    commit = pachd.head(output)
    pachd.put(commit, files)
    pachd.finish(commit)
    return commit


def forget(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.client.pfs.forget_commit(commit=pfs.Commit(repo=commit.repo, id=commit.id).as_picker())


@pytest.fixture
def old(pachd: Pachd, source: pfs.Branch, output: pfs.Branch) -> pfs.Commit:
    """An output commit with a finished child that adds a file."""
    commit = result(pachd, output, {"/file": b"foo"})
    pachd.write(source, {"/in": b"1"})
    result(pachd, output, {"/more": b"bar"})
    return commit


def test_a_forgotten_commit_cannot_be_read(pachd: Pachd, old: pfs.Commit) -> None:
    forget(pachd, old)
    with refused(f"get file: {FORGOTTEN}"):
        pachd.read(old, "/file")
    with refused(FORGOTTEN):
        pachd.ls(old)
    for kind in (pfs.GetFileSetRequestFileSetType.TOTAL, pfs.GetFileSetRequestFileSetType.DIFF):
        with refused(f"get file set: {FORGOTTEN}"):
            pachd.client.pfs.get_file_set(commit=old, type=kind)


def test_the_children_of_a_forgotten_commit_keep_its_files(pachd: Pachd, old: pfs.Commit, output: pfs.Branch) -> None:
    forget(pachd, old)
    assert pachd.files(output) == {"/file": b"foo", "/more": b"bar"}


@pytest.mark.embedded
def test_a_forgotten_commit_stays_in_the_history(pachd: Pachd, old: pfs.Commit, output: pfs.Branch) -> None:
    """On pachd, listing the commits of the repo then fails: "the commit is forgotten"."""
    before = pachd.history(output.repo)
    forget(pachd, old)
    assert pachd.history(output.repo) == before
    assert pachd.info(old).error == ""


def test_a_branch_continues_after_a_forgotten_commit(
    pachd: Pachd, old: pfs.Commit, source: pfs.Branch, output: pfs.Branch
) -> None:
    forget(pachd, old)
    pachd.write(source, {"/in": b"2"})
    result(pachd, output, {"/last": b"baz"})
    assert sorted(pachd.files(output)) == ["/file", "/last", "/more"]


def test_an_input_commit_is_not_forgotten(pachd: Pachd, source: pfs.Branch) -> None:
    commit = pachd.write(source, {"/in": b"1"})
    pachd.write(source, {"/in": b"2"})
    with refused("the commit to be forgotten must be in an output repo"):
        forget(pachd, commit)


def test_a_commit_with_an_open_child_is_not_forgotten(pachd: Pachd, source: pfs.Branch, output: pfs.Branch) -> None:
    commit = result(pachd, output, {"/file": b"foo"})
    pachd.write(source, {"/in": b"1"})
    with refused("direct descendants must be closed"):
        forget(pachd, commit)
    assert pachd.read(commit, "/file") == b"foo"


def test_the_head_of_a_branch_is_not_forgotten(pachd: Pachd, output: pfs.Branch) -> None:
    commit = result(pachd, output, {"/file": b"foo"})
    with refused("the branch head cannot be a forgotten commit"):
        forget(pachd, commit)
    assert pachd.read(commit, "/file") == b"foo"


def test_a_branch_is_not_moved_to_a_forgotten_commit(
    pachd: Pachd, old: pfs.Commit, source: pfs.Branch, output: pfs.Branch
) -> None:
    forget(pachd, old)
    with refused("the branch head cannot be a forgotten commit"):
        pachd.branch(output.repo, on=[source], head=old)
    assert pachd.files(output) == {"/file": b"foo", "/more": b"bar"}


def test_a_commit_that_does_not_exist_is_not_forgotten(pachd: Pachd, output: pfs.Branch) -> None:
    with refused("not found", grpc.StatusCode.NOT_FOUND):
        forget(pachd, pfs.Commit(repo=output.repo, id="0" * 12 + "4" + "0" * 19))


@pytest.mark.embedded
def test_a_store_with_a_forgotten_commit_is_sound(pachd: Pachd, old: pfs.Commit) -> None:
    forget(pachd, old)
    assert [found.error for found in pachd.client.pfs.fsck() if old.id in found.error] == []


@pytest.mark.embedded
def test_starting_from_the_files_of_a_forgotten_commit_is_refused(
    pachd: Pachd, old: pfs.Commit, source: pfs.Branch, output: pfs.Branch
) -> None:
    """On pachd, the next commit could never be finished."""
    newest = pachd.head(output)
    forget(pachd, old)
    with refused(FORGOTTEN):
        pachd.start(pfs.Branch(repo=output.repo, name="other"), parent=old)
    with refused("the branch head cannot be a forgotten commit"):
        pachd.client.pfs.drop_commit(commit=newest, recursive=True)
    assert pachd.head(output).id == newest.id


@pytest.mark.embedded
def test_a_commit_under_failed_ones_at_the_head_is_not_forgotten(
    pachd: Pachd, source: pfs.Branch, output: pfs.Branch
) -> None:
    """The next commit starts from the files of the nearest ancestor without an error."""
    commit = result(pachd, output, {"/file": b"foo"})
    pachd.write(source, {"/in": b"1"})
    pachd.finish(pachd.head(output), error="spoilt")
    with refused("the branch head cannot be a forgotten commit"):
        forget(pachd, commit)
    assert pachd.files(output) == {"/file": b"foo"}
