"""Transactions: several requests, one commit set, all or nothing."""

import uuid

import grpc
import pytest
from pachyderm_sdk.api import metadata, pfs, transaction
from server_under_test import Pachd, happened, refused

pytestmark = pytest.mark.conformance

NOT_FOUND = grpc.StatusCode.NOT_FOUND


def test_commits_of_one_transaction_share_its_id(pachd: Pachd) -> None:
    left, right = (pfs.Branch(repo=repo, name="master") for repo in pachd.repos("left", "right"))
    with pachd.client.transaction.transaction() as opened:
        first, second = pachd.start(left), pachd.start(right)
    assert first.id == second.id == opened.id
    assert pachd.is_open(first)
    assert pachd.is_open(second)


def test_a_commit_on_two_inputs_in_one_transaction_opens_one_output_commit(pachd: Pachd) -> None:
    left, right, output = pachd.repos("left", "right", "output")
    a, b = pachd.branch(left), pachd.branch(right)
    c = pachd.branch(output, on=[a, b])
    pachd.finish(pachd.head(c))
    with pachd.client.transaction.transaction() as opened:
        pachd.start(a)
        pachd.start(b)
    assert len(pachd.history(output)) == 2
    assert {p.id for p in pachd.info(c).direct_provenance} == {opened.id}


def test_nothing_is_seen_outside_before_the_end(pachd: Pachd) -> None:
    branch = pachd.branch(pachd.repo())
    before = pachd.history(branch.repo)
    outsider = pachd.connect()
    with pachd.client.transaction.transaction():
        pachd.start(branch)
        repo = pachd.repo("inside")
        assert [info.commit.id for info in outsider.pfs.list_commit(repo=branch.repo)] == before
        with refused("not found", NOT_FOUND):
            outsider.pfs.inspect_repo(repo=repo)
    assert len(pachd.history(branch.repo)) == len(before) + 1


def test_an_abandoned_transaction_leaves_nothing(pachd: Pachd) -> None:
    branch = pachd.branch(pachd.repo())
    before = pachd.history(branch.repo)
    with pytest.raises(ZeroDivisionError), pachd.client.transaction.transaction() as opened:
        pachd.start(branch)
        repo = pachd.repo("inside")
        raise ZeroDivisionError
    assert pachd.history(branch.repo) == before
    with refused("not found", NOT_FOUND):
        pachd.client.pfs.inspect_repo(repo=repo)
    assert not pachd.client.transaction.transaction_exists(opened)


def test_a_transaction_sees_what_it_did(pachd: Pachd) -> None:
    with pachd.client.transaction.transaction():
        repo = pachd.repo()
        branch = pachd.branch(repo)
        pachd.branch(repo, "second", head=pachd.commit(branch))
    assert pachd.head(branch).id == pachd.head(pfs.Branch(repo=repo, name="second")).id


def test_two_commits_in_one_repo_are_refused_in_one_transaction(pachd: Pachd) -> None:
    repo = pachd.repo()
    with refused(), pachd.client.transaction.transaction():
        pachd.start(pfs.Branch(repo=repo, name="one"))
        pachd.start(pfs.Branch(repo=repo, name="two"))
    assert pachd.history(repo) == []


def test_a_transaction_that_moves_and_then_deletes_a_branch_is_not_an_internal_error(pachd: Pachd) -> None:
    branch = pachd.branch(pachd.repo())
    commit = pachd.write(branch, {})
    try:
        with pachd.client.transaction.transaction():
            pachd.branch(branch.repo, head=commit)
            pachd.client.pfs.delete_branch(branch=branch)
    except grpc.RpcError as refusal:
        assert refusal.code() is not grpc.StatusCode.INTERNAL
        assert pachd.head(branch).id == commit.id


def test_a_refused_request_leaves_the_transaction_as_it_was(pachd: Pachd) -> None:
    branch = pachd.branch(pachd.repo())
    with pachd.client.transaction.transaction():
        commit = pachd.start(branch)
        with refused("not found"):
            pachd.start(pfs.Branch(repo=pfs.Repo(name=pachd.name("nothing"), type="user"), name="master"))
    assert pachd.is_open(commit)


def test_a_transaction_can_be_inspected_and_listed_until_it_ends(pachd: Pachd) -> None:
    branch = pachd.branch(pachd.repo())
    with pachd.client.transaction.transaction() as opened:
        pachd.start(branch)
        outsider = pachd.connect()
        info = outsider.transaction.inspect_transaction(transaction=opened)
        assert info.transaction.id == opened.id
        assert [r.start_commit.branch.name for r in info.requests] == ["master"]
        listed = outsider.transaction.list_transaction().transaction_info
        assert opened.id in [each.transaction.id for each in listed]
    with refused("not found", NOT_FOUND):
        pachd.client.transaction.inspect_transaction(transaction=opened)


@pytest.mark.parametrize("act", ["finish_transaction", "delete_transaction", "inspect_transaction"])
def test_an_unknown_transaction_is_not_found(pachd: Pachd, act: str) -> None:
    with refused("not found", NOT_FOUND):
        getattr(pachd.client.transaction, act)(transaction=transaction.Transaction(id=uuid.uuid4().hex))


def test_a_batch_is_one_transaction(pachd: Pachd) -> None:
    name = pachd.name("batch")
    branch = pfs.Branch(repo=pfs.Repo(name=name, type="user"), name="master")
    requests = [
        transaction.TransactionRequest(create_repo=pfs.CreateRepoRequest(repo=branch.repo)),
        transaction.TransactionRequest(start_commit=pfs.StartCommitRequest(branch=branch)),
    ]
    info = pachd.client.transaction.batch_transaction(requests=requests)
    assert pachd.head(branch).id == info.transaction.id


def test_a_batch_with_one_refused_request_does_nothing(pachd: Pachd) -> None:
    repo = pfs.Repo(name=pachd.name("batch"), type="user")
    requests = [
        transaction.TransactionRequest(create_repo=pfs.CreateRepoRequest(repo=repo)),
        transaction.TransactionRequest(create_repo=pfs.CreateRepoRequest(repo=repo)),
    ]
    with refused("already exists"):
        pachd.client.transaction.batch_transaction(requests=requests)
    with refused("not found", NOT_FOUND):
        pachd.client.pfs.inspect_repo(repo=repo)


def test_repos_branches_and_finished_heads_can_be_set_up_in_one_transaction(pachd: Pachd) -> None:
    with pachd.client.transaction.transaction() as opened:
        source, output = pachd.repos("source", "output")
        upstream = pachd.branch(source)
        branch = pachd.branch(output, on=[upstream])
        pachd.client.pfs.finish_commit(commit=pachd.commit(branch))
    assert pachd.head(branch).id == pachd.head(upstream).id == opened.id
    assert happened(pachd.wait(pachd.head(branch)).finished)


def test_a_start_and_a_finish_in_one_transaction_make_a_finished_commit(pachd: Pachd) -> None:
    branch = pachd.branch(pachd.repo())
    with pachd.client.transaction.transaction():
        commit = pachd.start(branch)
        pachd.client.pfs.finish_commit(commit=commit)
    assert happened(pachd.wait(commit).finished)


def test_files_are_not_part_of_a_transaction(pachd: Pachd) -> None:
    """A file set that is added in an open transaction is visible at once, and stays if the transaction is abandoned."""
    commit = pachd.start(pachd.branch(pachd.repo()))
    with pytest.raises(ZeroDivisionError), pachd.client.transaction.transaction():
        pachd.publish(commit, pfs.AddFile(path="/a", raw=b"1"))
        raise ZeroDivisionError
    assert pachd.files(commit) == {"/a": b"1"}


def test_finishing_and_moving_a_head_onto_it_is_one_step(pachd: Pachd) -> None:
    source, output = pachd.repos("source", "output")
    upstream, candidate = pachd.branch(source), pfs.Branch(repo=output, name="candidate")
    pachd.branch(output, "candidate", on=[upstream])
    pachd.finish(pachd.head(candidate))
    master = pachd.branch(output)
    commit = pfs.Commit(repo=output, id=pachd.write(upstream, {"/a": b"1"}).id)
    with pachd.client.transaction.transaction():
        pachd.client.pfs.finish_commit(commit=commit)
        pachd.branch(output, head=commit)
    assert pachd.head(master).id == commit.id
    assert happened(pachd.wait(commit).finished)


def test_metadata_is_not_part_of_a_transaction(pachd: Pachd) -> None:
    """It is written at once and stays if the transaction is abandoned."""
    commit = pachd.start(pachd.branch(pachd.repo()))
    outsider = pachd.connect()
    with pytest.raises(ZeroDivisionError), pachd.client.transaction.transaction():
        pachd.edit(commit, metadata.EditAddKey(key="run.1", value="we"))
        assert outsider.pfs.inspect_commit(commit=commit).metadata == {"run.1": "we"}
        raise ZeroDivisionError
    assert pachd.info(commit).metadata == {"run.1": "we"}


def test_a_refused_fence_in_the_block_of_a_transaction_stops_all_of_it(pachd: Pachd) -> None:
    commit = pachd.start(pachd.branch(pachd.repo()))
    pachd.edit(commit, metadata.EditAddKey(key="over.1", value="another"))
    with refused("already exists"), pachd.client.transaction.transaction():
        pachd.client.pfs.finish_commit(commit=commit)
        pachd.edit(commit, metadata.EditAddKey(key="over.1", value="we"))
    assert pachd.is_open(commit)
    assert pachd.info(commit).metadata == {"over.1": "another"}


def test_a_fence_that_holds_lets_the_transaction_through(pachd: Pachd) -> None:
    commit = pachd.start(pachd.branch(pachd.repo()))
    with pachd.client.transaction.transaction():
        pachd.edit(commit, metadata.EditAddKey(key="over.1", value="we"))
        pachd.client.pfs.finish_commit(commit=commit)
    info = pachd.wait(commit)
    assert happened(info.finished)
    assert info.metadata == {"over.1": "we"}


def test_a_head_named_by_its_branch_is_resolved_when_the_transaction_ends(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    pachd.write(source, {"/a": b"old"})
    with pachd.client.transaction.transaction() as opened:
        pachd.branch(source.repo, head=pachd.commit(source))
        outsider = Pachd(pachd.connect)
        newest = outsider.write(source, {"/a": b"new"})
    assert pachd.head(source).id == newest.id
    info = pachd.info(output)
    assert info.commit.id == opened.id
    assert [c.id for c in info.direct_provenance] == [newest.id]


def test_metadata_of_an_existing_commit_can_carry_the_id_of_the_coming_set(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    commit = pachd.write(source, {"/a": b"1"})
    with pachd.client.transaction.transaction() as opened:
        pachd.branch(source.repo, head=pachd.commit(source))
        pachd.edit(commit, metadata.EditAddKey(key=f"hyperparameters.{opened.id}", value="{}"))
    assert pachd.head(output).id == opened.id
    assert pachd.info(commit).metadata == {f"hyperparameters.{opened.id}": "{}"}


def test_metadata_of_a_commit_that_the_transaction_itself_makes_is_not_found(pachd: Pachd) -> None:
    branch = pachd.branch(pachd.repo())
    with refused("not found"), pachd.client.transaction.transaction():
        commit = pachd.start(branch)
        pachd.edit(commit, metadata.EditAddKey(key="run.1", value="we"))
