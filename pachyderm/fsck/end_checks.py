"""Checks that every output commit is good with a record, ended with a reason, or can still be filled."""

from __future__ import annotations

from collections.abc import Iterator

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import PROVENANCE, pipeline_of
from pachyderm.errors import RequestError
from pachyderm.fsck.evidence import INPUT_REPOS, Evidence, ancestors
from pachyderm.fsck.problem import Problem, Repair, unreadable
from pachyderm.fsck.quarantine_findings import FRESH_RESULTS
from pachyderm.queue.ends import finish_with
from pachyderm.record.stage_record import STAGE_JSON

FINISHING_TIMEOUT = 600.0
"""Seconds within which a server validates a commit that is being finished."""


def check_ends(evidence: Evidence) -> Iterator[Problem]:
    """Check that failed commits give a reason, open ones are on a branch, and finishing ones can finish."""
    reachable = {
        (branch.repo, commit.id)
        for branch in PROVENANCE
        for commit in (evidence.heads[branch], *ancestors(evidence, evidence.heads[branch]))
    }
    for commit in evidence.outputs:
        if commit.error:
            yield from _check_reason(evidence, commit)
        if commit.state == "finishing":
            yield from _check_finishing(evidence, commit)
        elif commit.state == "open" and commit.provenance and (commit.repo, commit.id) not in reachable:
            repair = "ends it as cancelled; results come from the commits of the branch's head"
            what = "it is open, and on no branch: a head was moved by hand, so no run fills it"
            yield Problem("OUT_OF_REACH", str(commit), what, repair, _cancel(commit))


def check_open_inputs(evidence: Evidence) -> Iterator[Problem]:
    """Check that open input commits are on a branch; the output commits of one that is not wait forever."""
    for repo in sorted(INPUT_REPOS):
        commits = [commit for commit in evidence.commits[repo] if commit.state == "open"]
        reachable = _reachable(evidence, repo) if commits else frozenset()
        for commit in commits:
            if commit.id not in reachable:
                what = "it is open, and on no branch: the head was moved away while it was being written"
                advice = (
                    f"finish it: pachctl finish commit {commit}; or drop it with the output commits opened for it:"
                    f" pachctl delete commit {commit}"
                )
                yield Problem("INPUT_OUT_OF_REACH", str(commit), what, advice)


def _reachable(evidence: Evidence, repo: str) -> frozenset[str]:
    """Return the ids of the commits on any branch of a repo, branches outside this DAG included."""
    client = evidence.client
    heads = [info.head.id for info in client.pfs.list_branch(repo=client.repo(repo))]
    known = [evidence.known[repo, head] for head in heads if (repo, head) in evidence.known]
    return frozenset(commit.id for head in known for commit in (head, *ancestors(evidence, head)))


def _check_reason(evidence: Evidence, commit: Commit) -> Iterator[Problem]:
    word, _, reason = commit.error.partition(":")
    if word not in ("failed", "superseded", "cancelled") or not reason.strip():
        what = f"it ended with {commit.error!r}, not with failed, superseded or cancelled and a reason"
        advice = f"`pix2pix retry {commit.id}` runs it again, if it is the newest"
        yield Problem("NO_REASON", str(commit), what, advice)
    if word != "superseded":
        return
    successor = reason.strip().removeprefix("by ").split(" ")[0]
    heads = {(head.repo, head.id) for branch, head in evidence.heads.items() if branch in PROVENANCE}
    if (commit.repo, commit.id) in heads:
        what = f"it is the newest and was superseded by {successor or 'nothing'}: no commit covers its inputs"
        yield Problem("NEWEST_SUPERSEDED", str(commit), what, f"pix2pix retry {commit.id}")
    elif len(successor) == 32 and (commit.repo, successor) not in evidence.known:
        what = f"it was superseded by {successor}, and {commit.repo} has no commit of that commit set"
        advice = "its inputs are covered if a later commit is good"
        yield Problem("SUPERSEDED_BY_NOTHING", str(commit), what, advice)


def _check_finishing(evidence: Evidence, commit: Commit) -> Iterator[Problem]:
    """Check that a finishing commit can finish.

    Seen on pachd 2.12: a commit finished without error before an older open one locks its repo up forever; one that
    was still written to while it was being finished never ends.
    """
    older = []
    for ancestor in ancestors(evidence, commit):
        older.append(ancestor)
        if ancestor.state == "good":
            break
    unended = [ancestor for ancestor in older if not ancestor.ended]
    advice = (
        f"drop it: pachctl delete commit {commit} (with what is made from it), then"
        f" pix2pix run {pipeline_of(_branch(commit)).name} --commit-set new"
    )
    if unended:
        what = f"it was finished before the older {unended[-1]}, which is {unended[-1].state}; pachd never ends it"
        yield Problem("LOCKED_UP", str(commit), what, advice)
    elif commit.finishing is not None and evidence.now - commit.finishing > FINISHING_TIMEOUT:
        minutes = (evidence.now - commit.finishing) / 60
        what = f"the server has been finishing it for {minutes:.0f} minutes; a late writer can cause this"
        yield Problem("NEVER_FINISHES", str(commit), what, advice)


def _branch(commit: Commit) -> BranchName:
    return next(branch for branch in PROVENANCE if branch.repo == commit.repo)


def _cancel(commit: Commit) -> Repair:
    def repair(client: Connection) -> str:
        ended = finish_with(client, commit, "cancelled: on no branch any more (pix2pix fsck --repair)")
        return f"{commit} " + ("ended as cancelled" if ended else "had ended already")

    return repair


def check_recorded(evidence: Evidence, commit: Commit) -> Iterator[Problem]:
    """Check that a good commit has a readable record, unless it is an empty first commit without inputs."""
    try:
        reading = evidence.reading(commit)
    except RequestError as error:
        yield unreadable(commit, error)
        return
    if reading.record is None and reading.problem:
        yield Problem("RECORD_UNREADABLE", f"{commit}:{STAGE_JSON}", reading.problem, FRESH_RESULTS)
    elif reading.record is None and (reading.files or _has_inputs(evidence, commit)):
        what = "it is good and has no stage.json: it was finished by hand, or by another program"
        yield Problem("NO_RECORD", str(commit), what, FRESH_RESULTS)


def _has_inputs(evidence: Evidence, commit: Commit) -> bool:
    """Return whether any input has files, so that a stage should have filled the commit.

    `pix2pix setup` finishes the first output commits, whose inputs are empty, without a record.
    """
    try:
        return any(
            (source.repo, source.id) in evidence.known and evidence.listing(source.repo, source.id)[0]
            for source in commit.provenance
        )
    except RequestError:
        return True
