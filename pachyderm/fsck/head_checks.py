"""Whether the branches stand where they should: outputs at what their inputs lead to, the model at a promoted commit.

It exists because a head that somebody moved by hand changes what generates, and no commit tells of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import head
from pachyderm.client.connection import Connection
from pachyderm.client.files import content
from pachyderm.dag.promotion import Promotion, promotions_of
from pachyderm.dag.repos import MODEL, PROVENANCE, pipeline_of
from pachyderm.errors import RequestError
from pachyderm.fsck.evidence import Evidence
from pachyderm.fsck.problem import Mend, Problem
from pachyderm.queue.commit_sets import open_fresh
from pachyderm.record.quarantine import UNTRUE, trusted


def check_heads(evidence: Evidence) -> Iterator[Problem]:
    """Each output branch's head is made from the heads of what it is made from, and holds what its record says."""
    for branch, sources in PROVENANCE.items():
        head = evidence.heads[branch]
        if not trusted(head):
            what = f"its head {head} is marked untrue: {head.metadata[UNTRUE]}"
            yield Problem("HEAD_UNTRUE", str(branch), what, f"pix2pix run {pipeline_of(branch).name} --commit-set new")
        made_from = {one.repo: one.id for one in head.provenance}
        for source in sources:
            newest = evidence.heads[source]
            if made_from.get(source.repo) != newest.id:
                what = f"its head {head} is not made from {newest}, the head of {source}: nothing covers that"
                root = pipeline_of(branch).source
                repair = f"moves {root} onto itself, which opens fresh output commits for the newest inputs"
                yield Problem("HEAD_BEHIND", str(branch), what, repair, _fresh(root, branch, source))
                break


def _fresh(source: BranchName, behind: BranchName, of: BranchName) -> Mend:
    def mend(client: Connection) -> str:
        # A commit may have come between the two heads that were read.
        if head(client, of).id in {one.id for one in head(client, behind).provenance if one.repo == of.repo}:
            return f"{behind} follows {of} by now"
        return f"opened the set {open_fresh(client, source)} for the newest {source}"

    return mend


def check_model(evidence: Evidence) -> Iterator[Problem]:
    """`model@master` is at a commit that was promoted, and that can generate."""
    head = evidence.heads[MODEL]
    moved = {commit.id for commit in evidence.commits["generate_images"]}
    done: list[Promotion] = []
    for commit in evidence.commits[MODEL.repo]:
        try:
            done += [one for one in promotions_of(commit) if one.transaction in moved]
        except (ValueError, KeyError, TypeError):
            continue  # told as PROMOTION_UNREADABLE
    last = max(done, default=None)
    advice = f"pix2pix promote {last.commit}, the last promoted" if last else "pix2pix models; pix2pix promote COMMIT"
    if head.state != "good":
        yield Problem("MODEL_NOT_GOOD", str(MODEL), f"its head {head} is {head.state}: nothing can generate", advice)
        return
    if head.id in {one.commit for one in done}:
        return
    try:
        holds = bool(content(evidence.reading(head).files))
    except RequestError:
        holds = True  # told as UNREADABLE
    if holds or last is not None:
        what = f"its head {head} was never promoted: somebody moved it by hand"
        yield Problem("MODEL_NOT_PROMOTED", str(MODEL), what, advice)
