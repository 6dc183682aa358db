"""Commits: starting, finishing, failing, naming and listing."""

import uuid
from datetime import timedelta

import grpc
import pytest
from pachyderm_sdk.api import pfs
from server_under_test import Pachd, happened, ids, refused

pytestmark = pytest.mark.conformance

NOT_FOUND = grpc.StatusCode.NOT_FOUND
AUTO, USER = pfs.OriginKind.AUTO, pfs.OriginKind.USER


@pytest.fixture
def branch(pachd: Pachd) -> pfs.Branch:
    return pfs.Branch(repo=pachd.repo(), name="master")


def test_a_started_commit_is_open_and_the_users(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.start(branch, description="why")
    info = pachd.info(commit)
    assert (info.origin.kind, info.description, info.error) == (USER, "why", "")
    assert happened(info.started)
    assert not happened(info.finishing)
    assert not happened(info.finished)
    assert pachd.head(branch).id == commit.id


def test_a_finished_commit_has_its_time(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.start(branch)
    info = pachd.finish(commit)
    assert info.started <= info.finishing <= info.finished


def test_commits_in_responses_have_no_branch(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.write(branch, {"/a": b"1"})
    assert pachd.info(commit).commit.branch.name == ""
    assert [info.commit.branch.name for info in pachd.client.pfs.list_commit(repo=branch.repo)] == [""]


def test_starting_on_a_missing_branch_creates_it(pachd: Pachd) -> None:
    branch = pfs.Branch(repo=pachd.repo(), name="fresh")
    commit = pachd.start(branch)
    assert pachd.head(branch).id == commit.id
    assert pachd.info(commit).parent_commit.id == ""


def test_a_commit_cannot_start_before_its_parent_is_finished(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.start(branch)
    with refused("has not been finished"):
        pachd.start(branch)


def test_a_commit_on_an_output_branch_cannot_be_started(pachd: Pachd) -> None:
    _, output = pachd.chain("source", "output")
    with refused("cannot start a commit on an output branch"):
        pachd.start(output)


def test_an_explicit_parent_forks_the_history(pachd: Pachd, branch: pfs.Branch) -> None:
    root = pachd.write(branch, {"/a": b"root"})
    pachd.write(branch, {"/a": b"trunk"})
    fork = pachd.start(pfs.Branch(repo=branch.repo, name="fork"), parent=root)
    pachd.put(fork, {"/b": b"fork"})
    pachd.finish(fork)
    assert pachd.files(fork) == {"/a": b"root", "/b": b"fork"}
    assert pachd.info(fork).parent_commit.id == root.id
    assert pachd.read(branch, "/a") == b"trunk"


def test_parents_and_children_name_each_other(pachd: Pachd, branch: pfs.Branch) -> None:
    root = pachd.write(branch, {})
    child = pachd.write(branch, {})
    fork = pachd.start(pfs.Branch(repo=branch.repo, name="fork"), parent=root)
    assert {c.id for c in pachd.info(root).child_commits} == {child.id, fork.id}
    assert pachd.info(child).parent_commit.id == root.id
    assert pachd.info(child).child_commits == []


def test_a_commit_finishes_once(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.write(branch, {"/a": b"1"})
    with refused("has already finished"):
        pachd.client.pfs.finish_commit(commit=commit)


def test_a_commit_can_be_finished_by_its_branch(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.start(branch)
    pachd.client.pfs.finish_commit(commit=pachd.commit(branch), description="by branch")
    info = pachd.wait(commit)
    assert happened(info.finished)
    assert info.description == "by branch"


def test_finishing_without_a_description_keeps_the_first(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.start(branch, description="first words")
    assert pachd.finish(commit).description == "first words"


def test_an_error_is_kept_and_the_head_stays_on_it(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.start(branch)
    info = pachd.finish(commit, error="failed: no pictures")
    assert info.error == "failed: no pictures"
    assert happened(info.finished)
    assert pachd.head(branch).id == commit.id


def test_an_errored_commit_stays_readable_and_its_child_inherits_from_the_last_good_one(
    pachd: Pachd, branch: pfs.Branch
) -> None:
    pachd.write(branch, {"/good": b"1"})
    bad = pachd.start(branch)
    pachd.put(bad, {"/bad": b"2"})
    pachd.finish(bad, error="spoilt")
    child = pachd.start(branch)
    pachd.put(child, {"/child": b"3"})
    assert pachd.ls(bad) == ["/bad", "/good"]
    assert pachd.ls(child) == ["/child", "/good"]
    pachd.finish(child)
    assert pachd.ls(child) == ["/child", "/good"]


def test_an_output_commit_can_be_written_and_finished_by_anyone(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    commit = pachd.write(source, {"/a": b"1"})
    result = pfs.Commit(repo=output.repo, id=commit.id)
    pachd.put(result, {"/b": b"2"})
    pachd.finish(result)
    assert pachd.files(output) == {"/b": b"2"}


def test_an_output_commit_can_be_written_by_its_branch_while_it_is_open(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    pachd.write(source, {"/a": b"1"})
    pachd.put(output, {"/b": b"2"})
    assert pachd.is_open(output)
    assert pachd.files(output) == {"/b": b"2"}


def test_output_commits_may_finish_before_their_provenance(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    commit = pachd.start(source)
    info = pachd.finish(pfs.Commit(repo=output.repo, id=commit.id))
    assert happened(info.finished)
    assert pachd.is_open(source)


def test_an_unknown_commit_is_not_found(pachd: Pachd, branch: pfs.Branch) -> None:
    with refused("not found", NOT_FOUND):
        pachd.info(branch.repo, uuid.uuid4().hex)


def test_clearing_an_open_commit_brings_the_parents_files_back(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.write(branch, {"/a": b"1"})
    commit = pachd.start(branch)
    pachd.modify(commit, pfs.DeleteFile(path="/a"), pfs.AddFile(path="/b", raw=b"2"))
    assert pachd.files(commit) == {"/b": b"2"}
    pachd.client.pfs.clear_commit(commit=commit)
    assert pachd.files(commit) == {"/a": b"1"}


def test_a_finished_commit_cannot_be_cleared(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.write(branch, {"/a": b"1"})
    with refused():
        pachd.client.pfs.clear_commit(commit=commit)
    assert pachd.files(commit) == {"/a": b"1"}


def test_a_finished_commit_knows_its_size(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.write(branch, {"/a": b"12345", "/b/c": b"678"})
    assert pachd.info(commit).details.size_bytes == 8


@pytest.mark.parametrize(
    ("name", "age"),
    [
        ("master", 0),
        ("master^", 1),
        ("master~", 1),
        ("master^1", 1),
        ("master^^", 2),
        ("master~2", 2),
        ("master.1", 2),
        ("master.2", 1),
        ("master.3", 0),
    ],
)
def test_an_ancestor_is_named_by_its_distance(pachd: Pachd, branch: pfs.Branch, name: str, age: int) -> None:
    written = [pachd.write(branch, {"/a": b"%d" % n}) for n in range(3)]
    assert pachd.info(branch.repo, name).commit.id == written[2 - age].id
    assert pachd.read(pfs.Commit(repo=branch.repo, id=name), "/a") == b"%d" % (2 - age)


def test_an_ancestor_of_a_commit_id_is_named_by_its_distance(pachd: Pachd, branch: pfs.Branch) -> None:
    first, second = (pachd.write(branch, {"/a": b"%d" % n}) for n in range(2))
    assert pachd.info(branch.repo, f"{second.id}^").commit.id == first.id


@pytest.mark.parametrize("name", ["master^2", "master~9", "master^^", "nothing^"])
def test_an_ancestor_beyond_the_first_commit_is_refused(pachd: Pachd, branch: pfs.Branch, name: str) -> None:
    pachd.write(branch, {})
    pachd.write(branch, {})
    with refused():
        pachd.info(branch.repo, name)


def test_commits_are_listed_newest_first(pachd: Pachd, branch: pfs.Branch) -> None:
    written = [pachd.write(branch, {}).id for _ in range(3)]
    assert pachd.history(branch.repo) == written[::-1]
    assert pachd.history(branch.repo, reverse=True) == written
    assert pachd.history(branch.repo, number=2) == [written[2], written[1]]


def test_commits_are_listed_between_two(pachd: Pachd, branch: pfs.Branch) -> None:
    written = [pachd.write(branch, {}) for _ in range(4)]
    between = pachd.history(branch.repo, to=written[2], from_=written[0])
    assert between == [written[2].id, written[1].id]
    assert pachd.history(branch.repo, to=written[1]) == [written[1].id, written[0].id]


def test_a_list_up_to_a_head_leaves_out_other_branches(pachd: Pachd, branch: pfs.Branch) -> None:
    root = pachd.write(branch, {})
    fork = pachd.start(pfs.Branch(repo=branch.repo, name="fork"), parent=root)
    tip = pachd.write(branch, {})
    assert set(pachd.history(branch.repo)) == {root.id, fork.id, tip.id}
    assert pachd.history(branch.repo, to=pachd.commit(branch)) == [tip.id, root.id]


def test_a_list_can_be_of_one_origin(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    commit = pachd.write(source, {})
    assert pachd.history(source.repo, origin_kind=USER) == [commit.id]
    assert pachd.history(output.repo, origin_kind=USER) == []
    assert pachd.history(output.repo, origin_kind=AUTO)[0] == commit.id


def test_a_list_can_start_before_a_moment(pachd: Pachd, branch: pfs.Branch) -> None:
    first = pachd.write(branch, {})
    second = pachd.write(branch, {})
    moment = pachd.info(second).started
    listed = pachd.history(branch.repo, started_time=moment - timedelta(microseconds=1))
    assert second.id not in listed
    assert first.id in listed


def test_a_list_of_an_empty_repo_is_empty(pachd: Pachd, branch: pfs.Branch) -> None:
    assert pachd.history(branch.repo) == []


def test_a_commit_set_is_listed_from_inputs_to_outputs(pachd: Pachd) -> None:
    chain = pachd.chain("first", "middle", "last")
    commit = pachd.write(chain[0], {})
    assert pachd.commit_set(commit.id) == [(branch.repo.name, commit.id) for branch in chain]


def test_a_commit_set_names_the_older_commits_that_it_rests_on(pachd: Pachd) -> None:
    left, right, output = pachd.repos("left", "right", "output")
    a, b = pachd.branch(left), pachd.branch(right)
    pachd.finish(pachd.head(pachd.branch(output, on=[a, b])))
    old = pachd.write(b, {})
    pachd.finish(pfs.Commit(repo=output, id=old.id))
    new = pachd.write(a, {})
    members = pachd.commit_set(new.id)
    assert members[-1] == (output.name, new.id)
    assert sorted(members) == sorted([(left.name, new.id), (right.name, old.id), (output.name, new.id)])


@pytest.mark.parametrize("wait", [False, True])
def test_an_unknown_commit_set_is_not_found(pachd: Pachd, wait: bool) -> None:
    with refused("no commits found", NOT_FOUND):
        list(pachd.client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=uuid.uuid4().hex), wait=wait))


def test_commit_sets_are_listed_newest_first(pachd: Pachd) -> None:
    project = pfs.Project(name=pachd.name("project"))
    pachd.client.pfs.create_project(project=project)
    branch = pfs.Branch(repo=pachd.repo("source", project.name), name="master")
    written = [pachd.write(branch, {}).id for _ in range(3)]
    sets = list(pachd.client.pfs.list_commit_set(project=project))
    assert [s.commit_set.id for s in sets] == written[::-1]
    assert [ids(s.commits) for s in sets] == [[commit_id] for commit_id in written[::-1]]


def test_the_provenance_of_a_commit_can_be_walked(pachd: Pachd) -> None:
    chain = pachd.chain("first", "middle", "last")
    commit = pachd.write(chain[0], {})
    end = pfs.Commit(repo=chain[2].repo, id=commit.id)
    walked = pachd.client.pfs.walk_commit_provenance(start=[end.as_picker()])
    assert {info.commit.repo.name for info in walked} >= {chain[0].repo.name, chain[1].repo.name}


def test_the_subvenance_of_a_commit_can_be_walked(pachd: Pachd) -> None:
    chain = pachd.chain("first", "middle", "last")
    commit = pachd.write(chain[0], {})
    walked = pachd.client.pfs.walk_commit_subvenance(start=[commit.as_picker()])
    found = {(info.commit.repo.name, info.commit.id) for info in walked}
    assert found >= {(branch.repo.name, commit.id) for branch in chain[1:]}


@pytest.fixture
def meeting(pachd: Pachd) -> tuple[pfs.Branch, pfs.Branch, pfs.Branch, pfs.Commit, pfs.Commit]:
    """Return (left, right, output, older, newer): two inputs of one output; `older` is on the right, `newer` left."""
    left, right, output = pachd.repos("left", "right", "output")
    a, b = pachd.branch(left), pachd.branch(right)
    c = pachd.branch(output, on=[a, b])
    pachd.finish(pachd.head(c))
    older = pachd.write(b, {"/file": b"right"})
    pachd.finish(pfs.Commit(repo=output, id=older.id))
    return a, b, c, older, pachd.write(a, {"/file": b"left"})


def test_a_set_id_finds_the_older_commit_that_its_outputs_were_made_from(pachd: Pachd, meeting: tuple) -> None:
    _, right, _, older, newer = meeting
    assert pachd.info(right.repo, newer.id).commit.id == older.id
    assert pachd.read(pfs.Commit(repo=right.repo, id=newer.id), "/file") == b"right"


def test_a_write_by_a_set_id_cannot_change_the_older_finished_commit(pachd: Pachd, meeting: tuple) -> None:
    _, right, _, older, newer = meeting
    alias = pfs.Commit(repo=right.repo, id=newer.id)
    with refused("already finished"):
        pachd.put(alias, {"/file": b"wrong"})
    with refused("already finished"):
        pachd.publish(alias, pfs.AddFile(path="/file", raw=b"wrong"))
    with refused("already finished"):
        pachd.client.pfs.finish_commit(commit=alias)
    assert pachd.files(older) == {"/file": b"right"}


def test_a_set_id_finds_nothing_in_a_repo_outside_the_sets_provenance(pachd: Pachd, meeting: tuple) -> None:
    stranger = pachd.branch(pachd.repo("stranger"))
    with refused("not found", NOT_FOUND):
        pachd.info(stranger.repo, meeting[-1].id)
