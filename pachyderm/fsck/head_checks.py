"""Checks of branch heads: output branches follow their inputs, and `model@master` is a promoted model."""

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
from pachyderm.fsck.problem import Problem, Repair
from pachyderm.queue.commit_sets import open_fresh
from pachyderm.record.quarantine import QUARANTINED, is_quarantined


def check_heads(evidence: Evidence) -> Iterator[Problem]:
    """Check that each output branch's head is made from the heads of its inputs and is not quarantined."""
    for branch, sources in PROVENANCE.items():
        head = evidence.heads[branch]
        if is_quarantined(head):
            what = f"its head {head} is quarantined: {head.metadata[QUARANTINED]}"
            yield Problem("HEAD_UNTRUE", str(branch), what, f"pix2pix run {pipeline_of(branch).name} --commit-set new")
        made_from = {source.repo: source.id for source in head.provenance}
        for source in sources:
            newest = evidence.heads[source]
            if made_from.get(source.repo) != newest.id:
                what = f"its head {head} is not made from {newest}, the head of {source}: no commit covers that"
                root = pipeline_of(branch).source
                repair = f"moves {root} onto itself, which opens fresh output commits for the newest inputs"
                yield Problem("HEAD_BEHIND", str(branch), what, repair, _open_fresh(root, branch, source))
                break


def _open_fresh(root: BranchName, behind: BranchName, source: BranchName) -> Repair:
    def repair(client: Connection) -> str:
        # The two heads were read one after the other; a commit may have arrived in between.
        made_from = {commit.id for commit in head(client, behind).provenance if commit.repo == source.repo}
        if head(client, source).id in made_from:
            return f"{behind} follows {source} by now"
        return f"opened the commit set {open_fresh(client, root)} for the newest {root}"

    return repair


def check_model(evidence: Evidence) -> Iterator[Problem]:
    """Check that `model@master` is a good commit that was promoted."""
    head = evidence.heads[MODEL]
    promotions = effective_promotions(evidence)
    last = max(promotions, default=None)
    advice = f"pix2pix promote {last.commit}, the last promoted" if last else "pix2pix models; pix2pix promote COMMIT"
    if head.state != "good":
        yield Problem("MODEL_NOT_GOOD", str(MODEL), f"its head {head} is {head.state}: it cannot generate", advice)
        return
    if head.id in {promotion.commit for promotion in promotions}:
        return
    try:
        holds_model = bool(content(evidence.reading(head).files))
    except RequestError:
        holds_model = True  # reported as UNREADABLE
    if holds_model or last is not None:
        what = f"its head {head} was never promoted: the branch was moved by hand"
        yield Problem("MODEL_NOT_PROMOTED", str(MODEL), what, advice)


def effective_promotions(evidence: Evidence) -> list[Promotion]:
    """Return the promotions that happened.

    Pachyderm keeps metadata of abandoned transactions; a promotion that happened opened a commit of `generate_images`
    under the transaction's id.
    """
    opened = {commit.id for commit in evidence.commits["generate_images"]}
    return [
        promotion
        for commit in evidence.commits[MODEL.repo]
        for promotion in promotions_of(commit)
        if promotion.transaction in opened
    ]
