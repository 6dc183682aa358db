"""Dropping and squashing commits."""

import uuid
from collections.abc import Callable

import grpc
import pytest
from pachyderm_sdk.api import pfs
from server_under_test import Pachd, happened, refused

pytestmark = pytest.mark.conformance

NOT_FOUND = grpc.StatusCode.NOT_FOUND


@pytest.fixture
def branch(pachd: Pachd) -> pfs.Branch:
    return pfs.Branch(repo=pachd.repo(), name="master")


def drop(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=commit.id))


def squash(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=commit.id))


def test_dropping_the_newest_set_puts_the_head_back_on_its_parent(pachd: Pachd, branch: pfs.Branch) -> None:
    first = pachd.write(branch, {"/a": b"1"})
    second = pachd.write(branch, {"/a": b"2"})
    drop(pachd, second)
    assert pachd.head(branch).id == first.id
    assert pachd.read(branch, "/a") == b"1"
    assert pachd.info(first).child_commits == []
    with refused("not found", NOT_FOUND):
        pachd.info(second)


def test_an_open_commit_can_be_dropped(pachd: Pachd, branch: pfs.Branch) -> None:
    first = pachd.write(branch, {"/a": b"1"})
    drop(pachd, pachd.start(branch))
    assert pachd.head(branch).id == first.id
    assert pachd.read(pachd.write(branch, {"/b": b"2"}), "/a") == b"1"


def test_dropping_the_only_commit_leaves_a_branch_with_an_empty_head(pachd: Pachd, branch: pfs.Branch) -> None:
    only = pachd.write(branch, {"/a": b"1"})
    drop(pachd, only)
    head = pachd.head(branch)
    assert head.id != only.id
    assert happened(pachd.wait(head).finished)
    assert pachd.ls(branch) == []
    assert pachd.history(branch.repo) == [head.id]


def test_dropping_the_only_commit_of_an_output_branch_leaves_an_open_one(pachd: Pachd) -> None:
    source = pachd.branch(pachd.repo("source"))
    output = pachd.branch(pachd.repo("output"), on=[source])
    only = pachd.head(output)
    drop(pachd, only)
    head = pachd.head(output)
    assert head.id != only.id
    assert pachd.is_open(output)
    assert [c.id for c in pachd.info(output).direct_provenance] == [pachd.head(source).id]


def test_dropping_the_only_commits_of_two_output_branches_leaves_a_row_of_open_ones(pachd: Pachd) -> None:
    top, side = pachd.branch(pachd.repo("top")), pachd.branch(pachd.repo("side"))
    middle = pachd.branch(pachd.repo("middle"), on=[top])
    bottom = pachd.branch(pachd.repo("bottom"), on=[middle, side])
    pachd.client.pfs.drop_commit(commit=pachd.head(middle), recursive=True)
    new = pachd.head(middle)
    assert pachd.head(bottom).id == new.id
    provenance = {c.repo.name: c.id for c in pachd.info(bottom).direct_provenance}
    assert provenance == {middle.repo.name: new.id, side.repo.name: pachd.head(side).id}
    assert [c.id for c in pachd.info(middle).direct_provenance] == [pachd.head(top).id]


def test_dropping_the_set_of_a_set_up_leaves_the_same_shape_with_empty_heads(pachd: Pachd) -> None:
    with pachd.client.transaction.transaction() as opened:
        top = pachd.branch(pachd.repo("top"))
        middle = pachd.branch(pachd.repo("middle"), on=[top])
        bottom = pachd.branch(pachd.repo("bottom"), on=[middle])
    pachd.client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=opened.id))
    new = pachd.head(top).id
    assert new != opened.id
    assert pachd.commit_set(new) == [(branch.repo.name, new) for branch in (top, middle, bottom)]
    assert [pachd.is_open(branch) for branch in (top, middle, bottom)] == [False, True, True]


def test_a_commit_with_children_cannot_be_dropped(pachd: Pachd, branch: pfs.Branch) -> None:
    first = pachd.write(branch, {"/a": b"1"})
    pachd.write(branch, {"/a": b"2"})
    with refused("cannot drop a commit that has children"):
        drop(pachd, first)


def test_dropping_a_set_takes_inputs_and_outputs_with_it(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    heads = {branch.repo.name: pachd.head(branch).id for branch in (source, output)}
    commit = pachd.write(source, {"/a": b"1"})
    pachd.finish(pfs.Commit(repo=output.repo, id=commit.id))
    drop(pachd, commit)
    assert {branch.repo.name: pachd.head(branch).id for branch in (source, output)} == heads
    with refused("no commits found", NOT_FOUND):
        pachd.commit_set(commit.id)


def test_a_set_that_another_set_rests_on_cannot_be_dropped(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    commit = pachd.write(source, {"/a": b"1"})
    pachd.finish(pfs.Commit(repo=output.repo, id=commit.id))
    pachd.branch(source.repo, head=commit)
    with refused():
        drop(pachd, commit)
    assert pachd.read(commit, "/a") == b"1"


@pytest.mark.parametrize("act", [drop, squash], ids=["drop", "squash"])
def test_removing_an_unknown_set_is_not_an_error(
    pachd: Pachd, branch: pfs.Branch, act: Callable[[Pachd, pfs.Commit], None]
) -> None:
    commit = pachd.write(branch, {})
    act(pachd, pfs.Commit(repo=branch.repo, id=uuid.uuid4().hex))
    assert pachd.history(branch.repo) == [commit.id]


def test_one_commit_is_dropped_with_what_was_made_from_it(pachd: Pachd) -> None:
    source, middle, last = pachd.chain("source", "middle", "last")
    before = [pachd.head(branch).id for branch in (middle, last)]
    commit = pachd.write(source, {"/a": b"1"})
    for branch in (middle, last):
        pachd.finish(pfs.Commit(repo=branch.repo, id=commit.id))
    target = pfs.Commit(repo=middle.repo, id=commit.id)
    with refused():
        pachd.client.pfs.drop_commit(commit=target)
    pachd.client.pfs.drop_commit(commit=target, recursive=True)
    assert pachd.commit_set(commit.id) == [(source.repo.name, commit.id)]
    assert pachd.head(source).id == commit.id
    assert [pachd.head(branch).id for branch in (middle, last)] == before


def test_a_commit_without_subvenance_is_dropped_alone(pachd: Pachd, branch: pfs.Branch) -> None:
    first = pachd.write(branch, {"/a": b"1"})
    second = pachd.write(branch, {"/a": b"2"})
    pachd.client.pfs.drop_commit(commit=second)
    assert pachd.history(branch.repo) == [first.id]


def test_squashing_a_commit_leaves_its_data_in_its_child(pachd: Pachd, branch: pfs.Branch) -> None:
    first = pachd.write(branch, {"/a": b"1"})
    second = pachd.write(branch, {"/b": b"2"})
    squash(pachd, first)
    assert pachd.history(branch.repo) == [second.id]
    assert pachd.files(second) == {"/a": b"1", "/b": b"2"}
    assert pachd.info(second).parent_commit.id == ""


def test_squashing_in_the_middle_joins_parent_and_children(pachd: Pachd, branch: pfs.Branch) -> None:
    first, middle, last = (pachd.write(branch, {f"/{n}": b"x"}) for n in range(3))
    squash(pachd, middle)
    assert pachd.info(last).parent_commit.id == first.id
    assert [c.id for c in pachd.info(first).child_commits] == [last.id]
    assert sorted(pachd.files(last)) == ["/0", "/1", "/2"]


def test_a_commit_without_children_cannot_be_squashed(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.write(branch, {"/a": b"1"})
    with refused("child"):
        squash(pachd, commit)


def test_a_commit_whose_child_is_open_cannot_be_squashed(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.write(branch, {"/a": b"1"})
    pachd.start(branch)
    with refused("cannot squash until child commit"):
        squash(pachd, commit)


def test_a_set_that_another_set_rests_on_cannot_be_squashed(pachd: Pachd) -> None:
    left, right, output = pachd.repos("left", "right", "output")
    a, b = pachd.branch(left), pachd.branch(right)
    c = pachd.branch(output, on=[a, b])
    pachd.finish(pachd.head(c))

    def commit(branch: pfs.Branch) -> pfs.Commit:
        commit = pachd.write(branch, {})
        pachd.finish(pfs.Commit(repo=output, id=commit.id))
        return commit

    referenced, _, free = commit(b), commit(a), commit(b)
    commit(b)
    with refused():
        squash(pachd, referenced)
    squash(pachd, free)
    with refused("no commits found", NOT_FOUND):
        pachd.commit_set(free.id)


def test_one_commit_is_squashed_with_what_was_made_from_it(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    commits = []
    for n in range(2):
        commits.append(pachd.write(source, {f"/{n}": b"x"}))
        pachd.finish(pfs.Commit(repo=output.repo, id=commits[-1].id))
    with refused():
        pachd.client.pfs.squash_commit(commit=commits[0])
    pachd.client.pfs.squash_commit(commit=commits[0], recursive=True)
    with refused("no commits found", NOT_FOUND):
        pachd.commit_set(commits[0].id)
    assert sorted(pachd.files(commits[1])) == ["/0", "/1"]
