"""Branches, their provenance, and the commits that a change opens downstream."""

import uuid

import grpc
import pytest
from pachyderm_sdk.api import pfs
from server_under_test import Pachd, refused

pytestmark = pytest.mark.conformance

NOT_FOUND = grpc.StatusCode.NOT_FOUND
AUTO, USER = pfs.OriginKind.AUTO, pfs.OriginKind.USER


def names(branches: list[pfs.Branch]) -> list[str]:
    return sorted(branch.repo.name for branch in branches)


def test_a_branch_without_provenance_has_an_empty_finished_head(pachd: Pachd) -> None:
    branch = pachd.branch(pachd.repo())
    info = pachd.wait(pachd.head(branch))
    assert (info.origin.kind, info.error) == (AUTO, "")
    assert pachd.files(branch) == {}


def test_a_branch_with_provenance_opens_an_output_commit(pachd: Pachd) -> None:
    source, output = pachd.repos("source", "output")
    upstream = pachd.branch(source)
    branch = pachd.branch(output, on=[upstream])
    info = pachd.info(branch)
    assert pachd.is_open(branch)
    assert info.origin.kind == AUTO
    assert [(c.repo.name, c.id) for c in info.direct_provenance] == [(source.name, pachd.head(upstream).id)]


def test_a_missing_provenance_branch_is_created_with_an_empty_head(pachd: Pachd) -> None:
    source, output = pachd.repos("source", "output")
    pachd.branch(output, on=[pfs.Branch(repo=source, name="master")])
    head = pachd.head(pfs.Branch(repo=source, name="master"))
    assert pachd.wait(head).error == ""


def test_creating_a_branch_again_with_the_same_provenance_changes_nothing(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    before = pachd.history(output.repo)
    pachd.branch(output.repo, on=[source])
    assert pachd.history(output.repo) == before


def test_another_provenance_opens_a_commit_whose_parent_is_the_head(pachd: Pachd) -> None:
    _, output = pachd.chain("source", "output")
    old = pachd.head(output)
    other = pachd.branch(pachd.repo("other"))
    pachd.branch(output.repo, on=[other])
    info = pachd.info(output)
    assert info.commit.id != old.id
    assert info.parent_commit.id == old.id
    assert [c.repo.name for c in info.direct_provenance] == [other.repo.name]
    assert names(pachd.client.pfs.inspect_branch(branch=output).direct_provenance) == [other.repo.name]


def test_provenance_that_is_left_out_is_removed(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    head = pachd.head(output)
    pachd.branch(output.repo, head=head)
    assert pachd.client.pfs.inspect_branch(branch=output).direct_provenance == []
    pachd.write(source, {"/a": b"1"})
    assert pachd.head(output).id == head.id


def test_provenance_taken_away_and_given_back_opens_a_new_commit(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    old = pachd.head(output)
    pachd.branch(output.repo, head=old)
    newest = pachd.write(source, {"/a": b"1"})
    pachd.branch(output.repo, on=[source])
    info = pachd.info(output)
    assert info.parent_commit.id == old.id
    assert [c.id for c in info.direct_provenance] == [newest.id]


def test_a_branch_cannot_depend_on_its_own_repo(pachd: Pachd) -> None:
    repo = pachd.repo()
    with refused():
        pachd.branch(repo, "b", on=[pachd.branch(repo, "a")])


def test_a_cycle_of_branches_is_refused(pachd: Pachd) -> None:
    first, _, last = pachd.chain("first", "middle", "last")
    with refused():
        pachd.branch(first.repo, on=[last])
    assert pachd.client.pfs.inspect_branch(branch=first).direct_provenance == []


def test_two_branches_of_one_repo_cannot_take_part_in_one_dag(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    with refused("multiple branches"):
        pachd.branch(source.repo, "second", on=[output])
    second = pachd.branch(source.repo, "second")
    with refused("multiple branches"):
        pachd.branch(pachd.repo("meeting"), on=[source, second])


def test_a_head_must_be_of_the_same_repo(pachd: Pachd) -> None:
    ours, theirs = pachd.repos("ours", "theirs")
    head = pachd.write(pfs.Branch(repo=theirs, name="master"), {"/a": b"1"})
    with refused("branch and head commit must belong to the same repo"):
        pachd.branch(ours, head=head)


@pytest.mark.parametrize("name", ["", "two words", "a/b", "a@b", "a.b", "a^"])
def test_a_branch_name_of_other_than_letters_digits_dashes_is_refused(pachd: Pachd, name: str) -> None:
    repo = pachd.repo()
    with refused():
        pachd.branch(repo, name)


def test_a_branch_name_that_could_be_a_commit_id_is_refused(pachd: Pachd) -> None:
    repo = pachd.repo()
    with refused():
        pachd.branch(repo, uuid.uuid4().hex)


def test_an_unknown_branch_is_not_found(pachd: Pachd) -> None:
    with refused("not found", NOT_FOUND):
        pachd.client.pfs.inspect_branch(branch=pfs.Branch(repo=pachd.repo(), name="nothing"))


def test_branches_are_listed_newest_first(pachd: Pachd) -> None:
    repo = pachd.repo()
    for name in ("b", "a", "c"):
        pachd.branch(repo, name)
    listed = [info.branch.name for info in pachd.client.pfs.list_branch(repo=repo)]
    assert listed == ["c", "a", "b"]
    backwards = [info.branch.name for info in pachd.client.pfs.list_branch(repo=repo, reverse=True)]
    assert backwards == ["b", "a", "c"]


def test_a_branch_shows_direct_and_whole_provenance_and_subvenance(pachd: Pachd) -> None:
    first, middle, last = pachd.chain("first", "middle", "last")
    end = pachd.client.pfs.inspect_branch(branch=last)
    assert names(end.direct_provenance) == [middle.repo.name]
    assert names(end.provenance) == sorted([first.repo.name, middle.repo.name])
    start = pachd.client.pfs.inspect_branch(branch=first)
    assert names(start.subvenance) == sorted([middle.repo.name, last.repo.name])


def test_a_branch_in_the_provenance_of_another_is_only_deleted_by_force(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    with refused("cannot be deleted"):
        pachd.client.pfs.delete_branch(branch=source)
    pachd.client.pfs.delete_branch(branch=source, force=True)
    with refused("not found", NOT_FOUND):
        pachd.client.pfs.inspect_branch(branch=source)
    assert pachd.client.pfs.inspect_branch(branch=output).direct_provenance == []


def test_deleting_a_branch_keeps_its_commits(pachd: Pachd) -> None:
    branch = pachd.branch(pachd.repo())
    commit = pachd.write(branch, {"/a": b"1"})
    pachd.client.pfs.delete_branch(branch=branch)
    assert pachd.read(commit, "/a") == b"1"
    assert commit.id in pachd.history(branch.repo)


def test_a_deleted_branch_is_made_again_on_its_old_head(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    pachd.write(source, {"/a": b"1"})
    old = pachd.head(output)
    pachd.finish(old)
    pachd.client.pfs.delete_branch(branch=output)
    pachd.branch(output.repo, on=[source], head=old)
    assert pachd.history(output.repo)[1] == old.id


def test_a_commit_on_an_input_opens_the_whole_downstream_under_its_id(pachd: Pachd) -> None:
    first, middle, last = pachd.chain("first", "middle", "last")
    parents = {branch.repo.name: pachd.head(branch).id for branch in (middle, last)}
    commit = pachd.write(first, {"/a": b"1"})
    for branch, upstream in ((middle, first), (last, middle)):
        info = pachd.info(branch)
        assert (info.commit.id, info.origin.kind) == (commit.id, AUTO)
        assert info.parent_commit.id == parents[branch.repo.name]
        assert [(c.repo.name, c.id) for c in info.direct_provenance] == [(upstream.repo.name, commit.id)]
        assert pachd.is_open(branch)
    assert pachd.info(commit).origin.kind == USER


def test_the_output_commit_opens_while_its_input_is_still_open(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    commit = pachd.start(source)
    assert pachd.head(output).id == commit.id
    assert pachd.is_open(output)


def test_a_second_input_gives_its_present_head_to_the_output_commit(pachd: Pachd) -> None:
    left, right, output = pachd.repos("left", "right", "output")
    a, b = pachd.branch(left), pachd.branch(right)
    branch = pachd.branch(output, on=[a, b])
    pachd.finish(pachd.head(branch))
    old = pachd.write(b, {"/b": b"1"})
    pachd.finish(pachd.head(branch))
    new = pachd.write(a, {"/a": b"1"})
    provenance = {c.repo.name: c.id for c in pachd.info(branch).direct_provenance}
    assert provenance == {left.name: new.id, right.name: old.id}


def test_a_diamond_opens_each_output_once(pachd: Pachd) -> None:
    top, left, right, bottom = pachd.repos("top", "left", "right", "bottom")
    source = pachd.branch(top)
    sides = [pachd.branch(left, on=[source]), pachd.branch(right, on=[source])]
    end = pachd.branch(bottom, on=sides)
    for branch in (*sides, end):
        pachd.finish(pachd.head(branch))
    commit = pachd.write(source, {"/a": b"1"})
    assert [len(pachd.history(branch.repo)) for branch in (*sides, end)] == [2, 2, 2]
    provenance = sorted((c.repo.name, c.id) for c in pachd.info(end).direct_provenance)
    assert provenance == sorted((branch.repo.name, commit.id) for branch in sides)


def test_an_edge_that_never_propagates_opens_nothing(pachd: Pachd) -> None:
    source, quiet, loud = pachd.repos("source", "quiet", "loud")
    upstream = pachd.branch(source)
    never = pfs.BranchPropagationSpec(branch=upstream, propagation_spec=pfs.PropagationSpec(never=True))
    silent = pfs.Branch(repo=quiet, name="master")
    pachd.client.pfs.create_branch(branch=silent, provenance=[upstream], branch_propagation_specs=[never])
    pachd.finish(pachd.head(silent))
    spoken = pachd.branch(loud, on=[upstream])
    pachd.finish(pachd.head(spoken))
    before = pachd.head(silent).id
    commit = pachd.write(upstream, {"/a": b"1"})
    assert pachd.head(silent).id == before
    assert pachd.head(spoken).id == commit.id


def test_a_new_output_branch_gets_one_commit_for_all_that_came_before(pachd: Pachd) -> None:
    source = pachd.branch(pachd.repo("source"))
    for round_ in range(3):
        newest = pachd.write(source, {"/a": b"%d" % round_})
    branch = pachd.branch(pachd.repo("output"), on=[source])
    assert len(pachd.history(branch.repo)) == 1
    assert [c.id for c in pachd.info(branch).direct_provenance] == [newest.id]


def test_moving_an_input_head_back_opens_the_outputs_under_a_new_id(pachd: Pachd) -> None:
    source, middle, last = pachd.chain("source", "middle", "last")
    old = pachd.write(source, {"/a": b"old"})
    pachd.write(source, {"/a": b"new"})
    before = pachd.head(middle).id
    pachd.branch(source.repo, head=old)
    assert pachd.head(source).id == old.id
    info = pachd.info(middle)
    assert info.commit.id not in (old.id, before)
    assert info.parent_commit.id == before
    assert [c.id for c in info.direct_provenance] == [old.id]
    assert pachd.head(last).id == info.commit.id
    assert len(pachd.history(source.repo)) == 3


def test_moving_an_output_head_back_reuses_its_commit_and_opens_what_is_downstream(pachd: Pachd) -> None:
    source, middle, last = pachd.chain("source", "middle", "last")
    old = pachd.write(source, {"/a": b"old"})
    pachd.finish(pfs.Commit(repo=middle.repo, id=old.id))
    pachd.write(source, {"/a": b"new"})
    pachd.branch(middle.repo, on=[source], head=pfs.Commit(repo=middle.repo, id=old.id))
    assert pachd.head(middle).id == old.id
    info = pachd.info(last)
    assert [c.id for c in info.direct_provenance] == [old.id]
    assert pachd.read(pfs.Commit(repo=source.repo, id=info.commit.id), "/a") == b"old"


def test_moving_a_head_onto_itself_opens_fresh_output_commits(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    commit = pachd.write(source, {"/a": b"1"})
    before = pachd.head(output)
    pachd.branch(source.repo, head=commit)
    assert pachd.head(source).id == commit.id
    info = pachd.info(output)
    assert info.commit.id != before.id
    assert info.parent_commit.id == before.id


def test_a_head_named_by_its_branch_stays_where_it_is(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    commit = pachd.write(source, {"/a": b"1"})
    before = pachd.head(output).id
    pachd.branch(source.repo, head=pachd.commit(source))
    assert pachd.head(source).id == commit.id
    assert pachd.head(output).id != before


def test_two_branches_may_share_a_head(pachd: Pachd) -> None:
    staging = pachd.branch(pachd.repo("source"), "staging")
    master = pachd.branch(staging.repo, "master")
    output = pachd.branch(pachd.repo("output"), on=[master])
    pachd.finish(pachd.head(output))
    before = pachd.head(output).id
    commit = pachd.write(staging, {"/a": b"1"})
    assert pachd.head(output).id == before
    pachd.branch(staging.repo, "master", head=pachd.commit(staging))
    assert pachd.head(master).id == pachd.head(staging).id == commit.id
    assert [c.id for c in pachd.info(output).direct_provenance] == [commit.id]


def test_a_head_that_does_not_exist_is_not_found(pachd: Pachd) -> None:
    branch = pachd.branch(pachd.repo())
    with refused("not found", NOT_FOUND):
        pachd.branch(branch.repo, head=pfs.Commit(repo=branch.repo, id=uuid.uuid4().hex))
