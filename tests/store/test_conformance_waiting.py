"""Waiting for commits and subscribing to them."""

import uuid

import grpc
import pytest
from pachyderm_sdk.api import pfs
from server_under_test import PATIENCE, Pachd, happened, ids, refused, soon

pytestmark = pytest.mark.conformance

NOT_FOUND = grpc.StatusCode.NOT_FOUND
STARTED, READY = pfs.CommitState.STARTED, pfs.CommitState.READY
FINISHING, FINISHED = pfs.CommitState.FINISHING, pfs.CommitState.FINISHED


@pytest.fixture
def branch(pachd: Pachd) -> pfs.Branch:
    return pfs.Branch(repo=pachd.repo(), name="master")


def test_a_wait_for_the_end_returns_when_the_commit_is_finished(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.start(branch)
    waiter = pachd.connect()
    waiting = soon(lambda: waiter.pfs.inspect_commit(commit=commit, wait=FINISHED))
    assert not waiting.done()
    pachd.client.pfs.finish_commit(commit=commit)
    assert happened(waiting.result(PATIENCE).finished)


@pytest.mark.parametrize("state", [STARTED, READY, FINISHING, FINISHED])
def test_a_wait_for_a_past_state_returns_at_once(pachd: Pachd, branch: pfs.Branch, state: pfs.CommitState) -> None:
    commit = pachd.write(branch, {})
    assert pachd.wait(commit, state).commit.id == commit.id


def test_an_input_commit_is_ready_when_it_starts(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.start(branch)
    assert pachd.wait(commit, READY).commit.id == commit.id


def test_an_output_commit_is_ready_when_its_inputs_are_finished(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    commit = pachd.start(source)
    waiter = pachd.connect()
    result = pfs.Commit(repo=output.repo, id=commit.id)
    waiting = soon(lambda: waiter.pfs.inspect_commit(commit=result, wait=READY))
    assert not waiting.done()
    pachd.finish(commit)
    assert waiting.result(PATIENCE).commit.id == commit.id


def test_an_errored_input_makes_its_output_ready_too(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    commit = pachd.start(source)
    pachd.finish(commit, error="spoilt")
    assert not happened(pachd.wait(pfs.Commit(repo=output.repo, id=commit.id), READY).finishing)


def test_a_wait_ends_with_an_error_when_the_commit_is_dropped(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.start(branch)
    waiter = pachd.connect()
    waiting = soon(lambda: waiter.pfs.inspect_commit(commit=commit, wait=FINISHED))
    pachd.client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=commit.id))
    with refused():
        waiting.result(PATIENCE)


def test_a_wait_for_an_unknown_commit_is_refused(pachd: Pachd, branch: pfs.Branch) -> None:
    with refused("not found", NOT_FOUND):
        pachd.wait(pfs.Commit(repo=branch.repo, id=uuid.uuid4().hex))


def test_a_wait_for_a_set_returns_all_its_commits_from_inputs_to_outputs(pachd: Pachd) -> None:
    chain = pachd.chain("first", "middle", "last")
    commit = pachd.write(chain[0], {})
    waiter = pachd.connect()
    one_set = pfs.CommitSet(id=commit.id)
    waiting = soon(lambda: list(waiter.pfs.inspect_commit_set(commit_set=one_set, wait=True)))
    for branch in chain[1:]:
        pachd.finish(pachd.head(branch))
    infos = waiting.result(PATIENCE)
    assert [info.commit.repo.name for info in infos] == [branch.repo.name for branch in chain]
    assert all(happened(info.finished) for info in infos)


def test_a_subscription_yields_existing_commits_and_then_new_ones(pachd: Pachd, branch: pfs.Branch) -> None:
    old = [pachd.write(branch, {}).id for _ in range(2)]
    shown = pachd.first(4, branch.repo, branch="master", state=STARTED)
    new = [pachd.write(branch, {}).id for _ in range(2)]
    assert ids(shown.result(PATIENCE)) == old + new


def test_a_subscription_to_a_branch_leaves_out_the_others(pachd: Pachd, branch: pfs.Branch) -> None:
    other = pfs.Branch(repo=branch.repo, name="other")
    pachd.write(other, {})
    shown = pachd.first(2, branch.repo, branch="master", state=STARTED)
    ours = [pachd.write(branch, {}).id]
    pachd.write(other, {})
    ours.append(pachd.write(branch, {}).id)
    assert ids(shown.result(PATIENCE)) == ours


def test_a_subscription_hides_the_commit_that_it_starts_from(pachd: Pachd, branch: pfs.Branch) -> None:
    old = [pachd.write(branch, {}) for _ in range(3)]
    shown = pachd.first(2, branch.repo, branch="master", state=STARTED, from_=old[1])
    assert ids(shown.result(PATIENCE)) == [old[0].id, old[2].id]


def test_a_subscription_to_output_commits_shows_each_as_it_opens(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    first = pachd.head(output).id
    shown = pachd.first(3, output.repo, branch="master", state=STARTED)
    opened = [pachd.write(source, {}).id for _ in range(2)]
    assert ids(shown.result(PATIENCE)) == [first, *opened]


def test_a_subscription_can_be_to_one_origin(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.branch(branch.repo)
    commit = pachd.write(branch, {})
    shown = pachd.first(1, branch.repo, branch="master", state=STARTED, origin_kind=pfs.OriginKind.USER)
    assert ids(shown.result(PATIENCE)) == [commit.id]


def test_a_subscription_to_finished_commits_waits_for_their_end(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.start(branch)
    shown = pachd.first(1, branch.repo, branch="master", state=FINISHED)
    assert not shown.done()
    pachd.client.pfs.finish_commit(commit=commit)
    assert happened(shown.result(PATIENCE)[0].finished)


def test_a_subscription_to_ready_commits_waits_for_their_inputs(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    before = pachd.head(output).id
    commit = pachd.start(source)
    shown = pachd.first(2, output.repo, branch="master", state=READY)
    assert not shown.done()
    pachd.client.pfs.finish_commit(commit=commit)
    assert ids(shown.result(PATIENCE)) == [before, commit.id]


def test_a_subscription_to_all_branches_shows_all_commits_in_the_order_of_their_birth(
    pachd: Pachd, branch: pfs.Branch
) -> None:
    other = pfs.Branch(repo=branch.repo, name="other")
    born = [pachd.write(each, {}).id for each in (branch, other, branch)]
    assert ids(pachd.first(3, branch.repo, state=STARTED).result(PATIENCE)) == born


def test_two_subscribers_see_the_same(pachd: Pachd, branch: pfs.Branch) -> None:
    streams = [pachd.first(2, branch.repo, branch="master", state=STARTED) for _ in range(2)]
    written = [pachd.write(branch, {}).id for _ in range(2)]
    assert [ids(stream.result(PATIENCE)) for stream in streams] == [written, written]


def test_a_subscription_to_an_unknown_repo_is_not_found(pachd: Pachd) -> None:
    unknown = pfs.Repo(name=pachd.name("nothing"), type="user")
    with refused("not found", NOT_FOUND):
        pachd.first(1, unknown, branch="master", state=STARTED).result(PATIENCE)
