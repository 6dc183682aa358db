"""Branch triggers: a branch that follows another branch of its repo when a condition holds (pachd's TestTrigger)."""

from collections.abc import Iterator

import grpc
import pytest
from pachyderm_sdk.api import pfs
from server_under_test import PATIENCE, Pachd, refused, soon

pytestmark = pytest.mark.conformance


@pytest.fixture
def staging(pachd: Pachd) -> pfs.Branch:
    return pachd.branch(pachd.repo(), "staging")


def follow(pachd: Pachd, watched: pfs.Branch, name: str = "master", **conditions: object) -> pfs.Branch:
    branch = pfs.Branch(repo=watched.repo, name=name)
    trigger = pfs.Trigger(branch=watched.name, **conditions)
    pachd.client.pfs.create_branch(branch=branch, trigger=trigger)
    return branch


def follows(pachd: Pachd, branch: pfs.Branch, commit: pfs.Commit) -> bool:
    return pachd.head(branch).id == commit.id


def writes(pachd: Pachd, branch: pfs.Branch, *sizes: int) -> Iterator[pfs.Commit]:
    """Yield commits, each with one more file, written when it is asked for."""
    for number, size in enumerate(sizes):
        yield pachd.write(branch, {f"/{number}": b"x" * size})


def test_a_branch_shows_its_trigger(pachd: Pachd, staging: pfs.Branch) -> None:
    branch = follow(pachd, staging, size="1K", commits=3, rate_limit_spec="@hourly", all=True)
    trigger = pachd.client.pfs.inspect_branch(branch=branch).trigger
    assert trigger == pfs.Trigger(branch="staging", size="1K", commits=3, rate_limit_spec="@hourly", all=True)


def test_a_trigger_stays_when_the_branch_is_created_again_without_one(pachd: Pachd, staging: pfs.Branch) -> None:
    branch = follow(pachd, staging, commits=1)
    pachd.branch(branch.repo, branch.name)
    assert follows(pachd, branch, pachd.write(staging, {"/a": b"1"}))


def test_a_branch_follows_when_its_watched_branch_grew_by_the_size(pachd: Pachd, staging: pfs.Branch) -> None:
    branch = follow(pachd, staging, size="100B")
    results = [follows(pachd, branch, commit) for commit in writes(pachd, staging, 60, 60, 60, 60)]
    assert results == [False, True, False, True]


@pytest.mark.parametrize(("size", "grown"), [("0.1K", 100), ("1KiB", 1000), ("1 kb", 1000)])
def test_units_of_sizes_are_decimal(pachd: Pachd, staging: pfs.Branch, size: str, grown: int) -> None:
    branch = follow(pachd, staging, size=size)
    assert [follows(pachd, branch, commit) for commit in writes(pachd, staging, grown - 1, 1)] == [False, True]


def test_a_branch_follows_every_so_many_commits(pachd: Pachd, staging: pfs.Branch) -> None:
    branch = follow(pachd, staging, commits=2)
    results = [follows(pachd, branch, pachd.write(staging, {"/a": b"%d" % n})) for n in range(4)]
    assert results == [False, True, False, True]


def test_one_condition_is_enough(pachd: Pachd, staging: pfs.Branch) -> None:
    branch = follow(pachd, staging, size="1K", commits=2)
    assert [follows(pachd, branch, commit) for commit in writes(pachd, staging, 1, 1, 1000)] == [False, True, True]


def test_all_conditions_must_hold_if_the_trigger_requires_all(pachd: Pachd, staging: pfs.Branch) -> None:
    branch = follow(pachd, staging, size="100", commits=2, all=True)
    assert [follows(pachd, branch, commit) for commit in writes(pachd, staging, 200, 1, 99, 1)] == [
        False,
        True,
        False,
        True,
    ]


def test_a_rate_limit_that_is_not_over_holds_the_branch_back(pachd: Pachd, staging: pfs.Branch) -> None:
    branch = follow(pachd, staging, rate_limit_spec="@yearly")
    assert [follows(pachd, branch, commit) for commit in writes(pachd, staging, 1, 1)] == [False, False]


def test_a_failed_commit_fires_no_trigger(pachd: Pachd, staging: pfs.Branch) -> None:
    branch = follow(pachd, staging, commits=1)
    failed = pachd.start(staging)
    pachd.finish(failed, error="spoilt")
    assert not follows(pachd, branch, failed)


def test_an_open_commit_moves_nothing_until_it_is_finished(pachd: Pachd, staging: pfs.Branch) -> None:
    branch = follow(pachd, staging, commits=1)
    commit = pachd.start(staging)
    assert not follows(pachd, branch, commit)
    pachd.finish(commit)
    assert follows(pachd, branch, commit)


def test_a_trigger_opens_downstream_commits_under_a_new_id(pachd: Pachd, staging: pfs.Branch) -> None:
    branch = follow(pachd, staging, commits=1)
    output = pachd.branch(pachd.repo("output"), on=[branch])
    pachd.finish(pachd.head(output))
    pachd.put(staging, {"/a": b"1"})
    commit = pachd.wait(pachd.head(staging)).commit
    info = pachd.info(output)
    assert pachd.is_open(output)
    assert info.commit.id != commit.id
    assert [upstream.id for upstream in info.direct_provenance] == [commit.id]
    assert pachd.info(staging.repo, info.commit.id).commit.id == commit.id


def test_triggers_form_chains(pachd: Pachd, staging: pfs.Branch) -> None:
    near = follow(pachd, staging, "near", size="100")
    far = follow(pachd, near, "far", size="200")
    seen = [
        (follows(pachd, near, commit), follows(pachd, far, commit)) for commit in writes(pachd, staging, 50, 50, 50, 50)
    ]
    assert seen == [(False, False), (True, False), (False, False), (True, True)]


def test_a_head_that_is_moved_by_hand_fires_nothing(pachd: Pachd, staging: pfs.Branch) -> None:
    other = pachd.branch(staging.repo, "other")
    branch = follow(pachd, other, commits=1)
    commit = pachd.write(staging, {"/a": b"1"})
    pachd.branch(other.repo, other.name, head=commit)
    assert follows(pachd, other, commit)
    assert not follows(pachd, branch, commit)


def test_a_trigger_of_an_output_branch_fires_when_its_commit_is_finished(pachd: Pachd) -> None:
    source = pachd.branch(pachd.repo("source"))
    candidate = pachd.branch(pachd.repo("output"), "candidate", on=[source])
    branch = follow(pachd, candidate, commits=1)
    pachd.finish(pachd.head(candidate))
    commit = pachd.write(source, {"/a": b"1"})
    output = pfs.Commit(repo=candidate.repo, id=commit.id)
    assert not follows(pachd, branch, output)
    pachd.finish(output)
    assert follows(pachd, branch, output)


def test_a_schedule_moves_the_branch(pachd: Pachd, staging: pfs.Branch) -> None:
    branch = follow(pachd, staging, cron_spec="@every 1s")
    output = pachd.branch(pachd.repo("output"), on=[branch])
    client = pachd.connect()

    def wait_for(commit_id: str) -> None:
        for info in client.pfs.subscribe_commit(repo=output.repo, state=pfs.CommitState.STARTED):
            if commit_id in [upstream.id for upstream in info.direct_provenance]:
                return

    try:
        commit = pachd.write(staging, {"/a": b"1"})
        soon(lambda: wait_for(commit.id)).result(PATIENCE)
        assert follows(pachd, branch, commit)
    finally:
        # On pachd every tick opens an output commit, for as long as the branch exists.
        for repo in (output.repo, staging.repo):
            pachd.client.pfs.delete_repo(repo=repo, force=True)


def test_a_schedule_that_is_far_away_moves_nothing_and_no_other_condition_counts(
    pachd: Pachd, staging: pfs.Branch
) -> None:
    branch = follow(pachd, staging, cron_spec="@yearly", commits=1)
    assert not follows(pachd, branch, pachd.write(staging, {"/a": b"1"}))


@pytest.mark.parametrize(
    ("conditions", "text"),
    [
        ({"size": "this is not a size"}, "invalid trigger size"),
        ({"size": "5 parsecs"}, "invalid trigger size"),
        ({"commits": -1}, "negative number of commits"),
        ({"cron_spec": "this is not a cron spec"}, "invalid trigger cron spec"),
        ({"cron_spec": "61 * * * *"}, "invalid trigger cron spec"),
        ({"cron_spec": "* * * * * *"}, "invalid trigger cron spec"),
        ({"cron_spec": "@every soon"}, "invalid trigger cron spec"),
        ({"rate_limit_spec": "@often"}, "invalid trigger rate limit spec"),
    ],
)
def test_a_condition_that_cannot_be_read_is_refused(
    pachd: Pachd, staging: pfs.Branch, conditions: dict[str, object], text: str
) -> None:
    with refused(text):
        follow(pachd, staging, **conditions)


def test_a_trigger_names_an_existing_branch_other_than_its_own(pachd: Pachd, staging: pfs.Branch) -> None:
    with refused("must specify a branch"):
        follow(pachd, pfs.Branch(repo=staging.repo, name=""), size="1K")
    with refused("cannot form a loop"):
        follow(pachd, staging, "staging", size="1K")
    with refused("not found", grpc.StatusCode.NOT_FOUND):
        follow(pachd, pfs.Branch(repo=staging.repo, name="missing"), size="1K")


def test_triggers_cannot_form_a_loop(pachd: Pachd, staging: pfs.Branch) -> None:
    near = follow(pachd, staging, "near", commits=1)
    far = follow(pachd, near, "far", commits=1)
    with refused("cannot form a loop"):
        follow(pachd, far, "staging", commits=1)


def test_a_branch_has_provenance_or_a_trigger(pachd: Pachd, staging: pfs.Branch) -> None:
    source = pachd.branch(pachd.repo("source"))
    with refused("both provenance and a trigger"):
        pachd.client.pfs.create_branch(
            branch=pfs.Branch(repo=staging.repo, name="master"),
            trigger=pfs.Trigger(branch="staging", commits=1),
            provenance=[source],
        )


def test_a_branch_with_a_part_in_a_trigger_is_deleted_by_force_alone(pachd: Pachd, staging: pfs.Branch) -> None:
    branch = follow(pachd, staging, commits=1)
    for involved in (staging, branch):
        with refused("cannot be deleted because it"):
            pachd.client.pfs.delete_branch(branch=involved)
    pachd.client.pfs.delete_branch(branch=staging, force=True)
    assert pachd.client.pfs.inspect_branch(branch=branch).trigger == pfs.Trigger()
