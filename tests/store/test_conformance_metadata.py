"""Metadata on commits, Pachyderm's only compare-and-set and therefore the basis of claims."""

import grpc
import pytest
from pachyderm_sdk.api import metadata, pfs
from server_under_test import PATIENCE, Pachd, refused, soon

pytestmark = pytest.mark.conformance

FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture
def commit(pachd: Pachd) -> pfs.Commit:
    return pachd.start(pfs.Branch(repo=pachd.repo(), name="master"))


def add(key: str, value: str) -> metadata.EditAddKey:
    return metadata.EditAddKey(key=key, value=value)


def test_a_key_is_added_once(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.edit(commit, add("run.1", "first"))
    with refused('"run.1" already exists; use edit_key instead', FAILED_PRECONDITION):
        pachd.edit(commit, add("run.1", "second"))
    assert pachd.info(commit).metadata == {"run.1": "first"}


def test_of_many_concurrent_clients_exactly_one_adds_a_key(pachd: Pachd, commit: pfs.Commit) -> None:
    def claim(name: str) -> str:
        try:
            pachd.edit(commit, add("run.1", name), client=pachd.connect())
        except grpc.RpcError:
            return ""
        return name

    claims = [soon(lambda name=f"attempt {n}": claim(name)) for n in range(8)]
    winners = [name for name in (claimed.result(PATIENCE) for claimed in claims) if name]
    assert len(winners) == 1
    assert pachd.info(commit).metadata == {"run.1": winners[0]}


def test_several_edits_in_one_request_are_all_or_nothing(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.edit(commit, add("over.1", "another"))
    with refused("already exists", FAILED_PRECONDITION):
        pachd.edit(commit, add("run.2", "we"), add("over.1", "we"))
    assert pachd.info(commit).metadata == {"over.1": "another"}
    pachd.edit(commit, add("over.2", "we"), add("run.3", "we"))
    assert pachd.info(commit).metadata == {"over.1": "another", "over.2": "we", "run.3": "we"}


def test_edits_apply_in_their_order(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.edit(commit, add("k", "1"), metadata.EditDeleteKey(key="k"), add("k", "2"))
    assert pachd.info(commit).metadata == {"k": "2"}


def test_an_edited_key_takes_the_last_value_and_need_not_exist(pachd: Pachd, commit: pfs.Commit) -> None:
    for value in ("1", "2"):
        pachd.edit(commit, metadata.EditEditKey(key="alive.1", value=value))
    assert pachd.info(commit).metadata == {"alive.1": "2"}


def test_a_deleted_key_is_gone_and_can_be_added_again(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.edit(commit, add("k", "1"))
    pachd.edit(commit, metadata.EditDeleteKey(key="k"))
    assert pachd.info(commit).metadata == {}
    pachd.edit(commit, add("k", "2"))
    assert pachd.info(commit).metadata == {"k": "2"}


def test_all_keys_are_replaced_at_once(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.edit(commit, add("old", "1"))
    pachd.edit(commit, metadata.EditReplace(replacement={"new": "2"}))
    assert pachd.info(commit).metadata == {"new": "2"}


def test_a_finished_commit_accepts_metadata(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.finish(commit)
    pachd.edit(commit, add("fingerprint", "abc"))
    assert pachd.info(commit).metadata == {"fingerprint": "abc"}


def test_an_open_output_commit_accepts_metadata(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    claimed = pfs.Commit(repo=output.repo, id=pachd.write(source, {}).id)
    pachd.edit(claimed, add("run.1", "we"))
    assert pachd.info(output).metadata == {"run.1": "we"}


def test_metadata_shows_in_lists_too(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.edit(commit, add("k", "v"))
    assert [info.metadata for info in pachd.client.pfs.list_commit(repo=commit.repo)] == [{"k": "v"}]


def test_metadata_is_not_inherited(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.edit(commit, add("k", "v"))
    pachd.finish(commit)
    assert pachd.info(pachd.start(pfs.Branch(repo=commit.repo, name="master"))).metadata == {}


def test_a_set_id_does_not_lead_metadata_to_an_older_commit(pachd: Pachd) -> None:
    left, right, output = pachd.repos("left", "right", "output")
    a, b = pachd.branch(left), pachd.branch(right)
    pachd.finish(pachd.head(pachd.branch(output, on=[a, b])))
    newer = pachd.write(a, {})
    with refused("not found"):
        pachd.edit(pfs.Commit(repo=right, id=newer.id), add("k", "v"))
    assert pachd.info(b).metadata == {}


def test_an_empty_key_is_refused(pachd: Pachd, commit: pfs.Commit) -> None:
    with refused():
        pachd.edit(commit, add("", "v"))


def test_metadata_of_an_unknown_commit_is_refused(pachd: Pachd, commit: pfs.Commit) -> None:
    with refused("not found"):
        pachd.edit(pfs.Commit(repo=commit.repo, id="0123456789ab4def8123456789abcdef"), add("k", "v"))


def test_branches_repos_and_projects_take_metadata(pachd: Pachd, commit: pfs.Commit) -> None:
    branch = pfs.Branch(repo=commit.repo, name="master")
    project = pfs.Project(name=pachd.name("project"))
    pachd.client.pfs.create_project(project=project)
    key = add("k", "v")
    pachd.client.metadata.edit_metadata(
        edits=[
            metadata.Edit(branch=branch.as_picker(), add_key=key),
            metadata.Edit(repo=commit.repo.as_picker(), add_key=key),
            metadata.Edit(project=project.as_picker(), add_key=key),
        ]
    )
    assert pachd.client.pfs.inspect_branch(branch=branch).metadata == {"k": "v"}
    assert pachd.client.pfs.inspect_repo(repo=commit.repo).metadata == {"k": "v"}
    assert pachd.client.pfs.inspect_project(project=project).metadata == {"k": "v"}
