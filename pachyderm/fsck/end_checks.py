"""Whether every output commit is good with a record, ended with a reason, or still within reach of a run.

It exists because a commit that nobody will ever fill, and pachd's ways of never finishing one, look like patience.
"""

from __future__ import annotations

from collections.abc import Iterator

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import PROVENANCE, pipeline_of
from pachyderm.errors import RequestError
from pachyderm.fsck.distrusted import AFRESH
from pachyderm.fsck.evidence import INPUT_REPOS, Evidence, ancestors
from pachyderm.fsck.problem import Mend, Problem, unreadable
from pachyderm.queue.ends import finish_with
from pachyderm.record.stage_record import STAGE_JSON

FINISHES_WITHIN = 600.0
"""Seconds within which a server has checked a commit that was finished."""


def check_ends(evidence: Evidence) -> Iterator[Problem]:
    """Ended commits say why; open ones lead to a branch; what is finishing can finish."""
    reachable = {
        (branch.repo, one.id)
        for branch in PROVENANCE
        for one in (evidence.heads[branch], *ancestors(evidence, evidence.heads[branch]))
    }
    for commit in evidence.outputs:
        if commit.error:
            yield from _reason(evidence, commit)
        if commit.state == "finishing":
            yield from _locked(evidence, commit)
        elif commit.state == "open" and commit.provenance and (commit.repo, commit.id) not in reachable:
            repair = "ends it as cancelled; results come from what the branch's head leads to"
            what = "it is open, and no branch leads to it: a head was moved by hand, so nobody fills it"
            yield Problem("OUT_OF_REACH", str(commit), what, repair, _cancel(commit))


def check_open_inputs(evidence: Evidence) -> Iterator[Problem]:
    """An open input commit is the head of a branch; what was opened for one that is lost waits for it for ever."""
    for repo in sorted(INPUT_REPOS):
        still = [one for one in evidence.commits[repo] if one.state == "open"]
        led_to = _led_to(evidence, repo) if still else frozenset()
        for commit in still:
            if commit.id not in led_to:
                what = "it is open, and no branch leads to it: the head was moved away while somebody wrote it"
                advice = (
                    f"finish it: pachctl finish commit {commit}; or drop it with what was opened for it:"
                    f" pachctl delete commit {commit}"
                )
                yield Problem("INPUT_OUT_OF_REACH", str(commit), what, advice)


def _led_to(evidence: Evidence, repo: str) -> frozenset[str]:
    """Ids of the commits that a branch of a repo leads to; people may have made branches beside ours."""
    client = evidence.client
    heads = [info.head.id for info in client.pfs.list_branch(repo=client.repo(repo))]
    known = [evidence.known[repo, head] for head in heads if (repo, head) in evidence.known]
    return frozenset(one.id for head in known for one in (head, *ancestors(evidence, head)))


def _reason(evidence: Evidence, commit: Commit) -> Iterator[Problem]:
    word, _, reason = commit.error.partition(":")
    if word not in ("failed", "superseded", "cancelled") or not reason.strip():
        what = f"it ended with {commit.error!r}, which is none of failed, superseded or cancelled with a reason"
        yield Problem("NO_REASON", str(commit), what, f"`pix2pix retry {commit.id}` runs it again, if it is the newest")
    if word != "superseded":
        return
    by = reason.strip().removeprefix("by ").split(" ")[0]
    heads = {(head.repo, head.id) for branch, head in evidence.heads.items() if branch in PROVENANCE}
    if (commit.repo, commit.id) in heads:
        what = f"it is the newest and was superseded by {by or 'nothing'}: nothing covers its inputs"
        yield Problem("NEWEST_SUPERSEDED", str(commit), what, f"pix2pix retry {commit.id}")
    elif len(by) == 32 and (commit.repo, by) not in evidence.known:
        what = f"it was superseded by {by}, and {commit.repo} has no commit of that set"
        yield Problem("SUPERSEDED_BY_NOTHING", str(commit), what, "its inputs are covered if a later commit is good")


def _locked(evidence: Evidence, commit: Commit) -> Iterator[Problem]:
    """On pachd a commit that was finished good before an older open one locks the repo up for ever (seen)."""
    before = []
    for one in ancestors(evidence, commit):
        before.append(one)
        if one.state == "good":
            break
    unended = [one for one in before if not one.ended]
    advice = (
        f"drop it: pachctl delete commit {commit} (with what is made from it), then"
        f" pix2pix run {pipeline_of(_branch(commit)).name} --commit-set new"
    )
    if unended:
        what = f"it was finished before the older {unended[-1]}, which is {unended[-1].state}; pachd never ends it"
        yield Problem("LOCKED_UP", str(commit), what, advice)
    elif commit.finishing is not None and evidence.now - commit.finishing > FINISHES_WITHIN:
        minutes = (evidence.now - commit.finishing) / 60
        what = f"the server has been finishing it for {minutes:.0f} minutes; a late writer destroys a commit so"
        yield Problem("NEVER_FINISHES", str(commit), what, advice)


def _branch(commit: Commit) -> BranchName:
    return next(branch for branch in PROVENANCE if branch.repo == commit.repo)


def _cancel(commit: Commit) -> Mend:
    def mend(client: Connection) -> str:
        done = finish_with(client, commit, "cancelled: no branch leads to it any more (pix2pix fsck --repair)")
        return f"{commit} " + ("ended as cancelled" if done else "had ended by itself")

    return mend


def check_recorded(evidence: Evidence, commit: Commit) -> Iterator[Problem]:
    """A good commit has a record that can be read, unless it is a first one, made of nothing and empty."""
    try:
        reading = evidence.reading(commit)
    except RequestError as error:
        yield unreadable(commit, error)
        return
    if reading.record is None and reading.trouble:
        yield Problem("RECORD_UNREADABLE", f"{commit}:{STAGE_JSON}", reading.trouble, AFRESH)
    elif reading.record is None and (reading.files or _made_of_something(evidence, commit)):
        what = "it is good and has no stage.json: it was finished by hand, or by another program"
        yield Problem("NO_RECORD", str(commit), what, AFRESH)


def _made_of_something(evidence: Evidence, commit: Commit) -> bool:
    """Whether a stage should have filled it; set-up finishes first commits whose inputs hold nothing."""
    try:
        return any(
            (one.repo, one.id) in evidence.known and evidence.listing(one.repo, one.id)[0] for one in commit.provenance
        )
    except RequestError:
        return True
