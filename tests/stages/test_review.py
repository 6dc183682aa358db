"""Review of candidates: one verdict each, promotion by approval alone, and no verdict lost to a kill."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable

import pytest
from dying import Killed, living
from stage_harness import StageHarness

from pachyderm.client.commits import Commit, all_commits, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.gate_decision import GATE, gate_decision_of
from pachyderm.dag.promotion import promote, promotions, rollback
from pachyderm.dag.repos import CANDIDATE, GENERATE_IMAGES, MODEL, TRAINING
from pachyderm.dag.review import approve, complete, newest_waiting, reject, standing, superseded_by
from pachyderm.dag.verdict import VERDICT, Verdict, verdict_of
from pachyderm.errors import RequestError
from pachyderm.fsck.check import fsck
from pachyderm.record.explain import explain
from pachyderm.record.lineage_backward import backward

NUMBERS = itertools.count(1)
LATER = 10.0**10


def candidate(harness: StageHarness, policy: str = "review") -> Commit:
    """Train and export a model that the gate decides about by a policy."""
    text = {"/a.png": f"pair {next(NUMBERS)}", "/pix2pix.toml": f"promote={policy}"}
    set_id = harness.put(TRAINING, text)
    harness.run("train", "export", commit_set=set_id)
    harness.run("generate")
    return harness.output(CANDIDATE, set_id)


def codes(harness: StageHarness, repair: bool = False) -> list[str]:
    return [problem.code for problem in fsck(harness.client, now=time.time(), repair=repair, contents=False).problems]


def approved(harness: StageHarness, commit: Commit) -> Verdict:
    return approve(harness.client, commit.id, "ann", "sharper windows", LATER)[0]


def test_a_candidate_waits_until_it_is_approved_and_is_promoted_with_the_approval(harness: StageHarness) -> None:
    first = candidate(harness, "always")
    waiting = candidate(harness)
    assert harness.head(MODEL).id == first.id
    assert newest_waiting(harness.client) == waiting
    verdict, move = approve(harness.client, waiting.id, "ann", "sharper windows", LATER)
    assert (move.before, move.after) == (first.id, waiting.id)
    assert harness.head(MODEL).id == waiting.id
    latest = harness.output(CANDIDATE, waiting.id)
    assert (
        verdict_of(latest) == verdict == Verdict("approved", "ann", "sharper windows", LATER, waiting.id, first.id, ())
    )
    assert promotions(harness.client)[-1].commit == waiting.id
    assert newest_waiting(harness.client) is None
    assert codes(harness) == []
    assert rollback(harness.client, None, time.time()).after == first.id


def test_a_rejection_needs_a_reason_and_leaves_the_model_in_use(harness: StageHarness) -> None:
    first = candidate(harness, "always")
    waiting = candidate(harness)
    with pytest.raises(RequestError, match="give one: -m WHY"):
        reject(harness.client, waiting.id, "bob", " ", LATER)
    reject(harness.client, waiting.id, "bob", "blurred roofs", LATER)
    assert harness.head(MODEL).id == first.id
    with pytest.raises(RequestError, match="was rejected by bob: blurred roofs"):
        promote(harness.client, waiting.id, LATER)
    assert codes(harness) == []


@pytest.mark.parametrize("first", ["approved", "rejected"])
def test_a_second_verdict_is_refused_and_names_the_first(harness: StageHarness, first: str) -> None:
    commit = candidate(harness)
    if first == "approved":
        approved(harness, commit)
    else:
        reject(harness.client, commit.id, "ann", "blurred", LATER)
    kept = verdict_of(harness.output(CANDIDATE, commit.id))
    for second in (
        lambda: approve(harness.client, commit.id, "bob", "", LATER),
        lambda: reject(harness.client, commit.id, "bob", "no", LATER),
    ):
        with pytest.raises(RequestError, match=f"gets one: it was {first} by ann"):
            second()
    assert verdict_of(harness.output(CANDIDATE, commit.id)) == kept


def test_of_two_people_who_decide_at_once_one_is_refused(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = candidate(harness)
    unpatched = Connection.edit_keys

    def faster(self: Connection, *arguments: str, **keys: dict[str, str]) -> None:
        monkeypatch.setattr(Connection, "edit_keys", unpatched)
        reject(harness.client.another(), commit.id, "bob", "blurred", LATER)
        self.edit_keys(*arguments, **keys)

    monkeypatch.setattr(Connection, "edit_keys", faster)
    with pytest.raises(RequestError, match="it was rejected by bob"):
        approved(harness, commit)
    assert harness.head(MODEL).id != commit.id
    assert codes(harness) == []


def test_a_candidate_that_waits_is_not_promoted_by_hand(harness: StageHarness) -> None:
    commit = candidate(harness)
    with pytest.raises(RequestError, match=f"pix2pix review {commit.id} --approve"):
        promote(harness.client, None, 1.0)
    assert harness.head(MODEL).id != commit.id


def test_a_verdict_is_refused_where_nothing_waits_for_one(harness: StageHarness) -> None:
    held_back = candidate(harness, "never")
    with pytest.raises(RequestError, match="does not wait for a verdict: it was held back: the harness says so"):
        approved(harness, held_back)
    in_use = candidate(harness, "always")
    with pytest.raises(RequestError, match="is in use, so there is nothing to decide"):
        approved(harness, in_use)
    opened = harness.put(TRAINING, {"/a.png": "open"})
    with pytest.raises(RequestError, match="it is open"):
        approved(harness, harness.output(CANDIDATE, opened))


def test_a_newer_candidate_supersedes_one_that_waits(harness: StageHarness) -> None:
    older = candidate(harness)
    harness.fill("export", harness.fill("train", train={"size": "32"}).id)
    assert newest_waiting(harness.client) == older, "a model of a run's own hyperparameters supersedes nothing"
    newer = candidate(harness)
    models = list(all_commits(harness.client, MODEL.repo))
    assert newest_waiting(harness.client) == newer
    assert superseded_by(older, models) == newer
    assert standing(older, "", models) == "superseded"
    with pytest.raises(RequestError, match=f"superseded by the newer candidate model@{newer.id}"):
        approved(harness, older)
    approved(harness, newer)
    assert harness.head(MODEL).id == newer.id


@pytest.mark.parametrize(
    ("by", "reason", "words"),
    [
        ("", "good", "--by NAME"),
        (" ", "good", "--by NAME"),
        ("a" * 101, "good", "101 characters"),
        ("ann", "x" * 2001, "2001 characters"),
        ("ann", "\x1b[2J", "control or invisible"),
        ("ann\nbob", "good", "control or invisible"),
        ("ann", "good\u202egnp", "control or invisible"),
        ("ann", "\udcff", "not valid UTF-8"),
    ],
)
def test_a_name_or_reason_that_cannot_be_shown_is_refused(
    harness: StageHarness, by: str, reason: str, words: str
) -> None:
    commit = candidate(harness)
    with pytest.raises(RequestError, match=words):
        approve(harness.client, commit.id, by, reason, LATER)
    assert VERDICT not in harness.output(CANDIDATE, commit.id).metadata


@pytest.mark.parametrize(
    "reason", ["<script>alert(1)</script>", "{{ 7*7 }} %s ${x}", "fenêtres plus nettes 👩‍🎨", "می‌خواهم"]
)
def test_any_printable_reason_is_kept_as_it_is(harness: StageHarness, reason: str) -> None:
    commit = candidate(harness)
    reject(harness.client, commit.id, reason[:100], reason, LATER)
    verdict = verdict_of(harness.output(CANDIDATE, commit.id))
    assert verdict is not None and (verdict.by, verdict.reason) == (reason[:100], reason)


def test_decision_and_verdict_are_in_why_and_in_the_lineage(harness: StageHarness) -> None:
    commit = candidate(harness)
    approved(harness, commit)
    decisions = explain(harness.client, commit.id, time.time()).decisions
    found = [(decision.decision, decision.by, decision.reason) for decision in decisions]
    assert set(found) == {("approved", "ann", "sharper windows"), ("waiting", "gate", "the harness says so")}
    facts = backward(harness.client, harness.output(CANDIDATE, commit.id)).nodes[str(commit)].facts
    assert facts["gate"] == "waiting: the harness says so"
    assert facts["verdict"]["by"] == "ann"


def test_fsck_completes_an_interrupted_approval_and_nothing_else(harness: StageHarness) -> None:
    first = candidate(harness, "always")
    commit = candidate(harness)
    verdict = Verdict("approved", "ann", "", LATER, commit.id, first.id)
    harness.client.edit_keys(MODEL.repo, commit.id, add={VERDICT: verdict.to_json()})
    assert codes(harness) == ["VERDICT_INCOMPLETE"]
    assert codes(harness, repair=True) == [] == codes(harness)
    assert harness.head(MODEL).id == commit.id
    rollback(harness.client, None, time.time())
    assert complete(harness.client, harness.output(CANDIDATE, commit.id), 9.0) is None, "it was promoted once"


def test_an_interrupted_approval_is_not_completed_over_another_model(harness: StageHarness) -> None:
    candidate(harness, "always")
    commit = candidate(harness)
    verdict = Verdict("approved", "ann", "", LATER, commit.id, harness.head(MODEL).id)
    harness.client.edit_keys(MODEL.repo, commit.id, add={VERDICT: verdict.to_json()})
    newer = candidate(harness, "always")
    assert complete(harness.client, harness.output(CANDIDATE, commit.id), 9.0) is None
    assert harness.head(MODEL).id == newer.id
    assert codes(harness) == []


def test_fsck_finds_a_promotion_without_approval_and_metadata_that_was_changed(harness: StageHarness) -> None:
    first = candidate(harness, "never")
    harness.client.edit_keys(MODEL.repo, first.id, put={GATE: "{"})
    with pytest.raises(RequestError, match="fsck --repair"):
        promote(harness.client, first.id, 1.0)
    assert codes(harness) == ["GATE_METADATA"]
    assert codes(harness, repair=True) == []
    decision = gate_decision_of(harness.output(CANDIDATE, first.id))
    assert decision is not None and decision.outcome == "held back"
    commit = candidate(harness)
    harness.client.edit_keys(MODEL.repo, commit.id, add={VERDICT: "{"})
    assert codes(harness) == ["VERDICT_UNREADABLE"]
    with harness.client.transaction.transaction() as transaction:
        value = '{"time": 1, "from": ""}'
        harness.client.edit_keys(MODEL.repo, commit.id, add={f"promoted.{transaction.id}": value})
        harness.client.pfs.create_branch(
            branch=harness.client.branch(MODEL), head=harness.client.commit(MODEL.repo, commit.id), provenance=[]
        )
    assert set(codes(harness)) == {"VERDICT_UNREADABLE", "PROMOTED_UNAPPROVED"}


def check_kill(harness: StageHarness, monkeypatch: pytest.MonkeyPatch, draw: random.Random) -> bool:
    """Kill a process at one of its requests around a verdict, and check that nothing was promoted without one."""
    commit = candidate(harness) if draw.random() < 0.7 else candidate(harness, "always")
    in_use, wants_approval = harness.head(MODEL).id, draw.random() < 0.7
    actions: list[Callable[[Connection], object]] = [
        lambda client: approve(client, commit.id, "ann", "", time.time()),
        lambda client: reject(client, commit.id, "ann", "blurred", time.time()),
        lambda client: promote(client, commit.id, time.time()),
        lambda client: rollback(client, None, time.time()),
    ]
    action = actions[0] if wants_approval else draw.choice(actions[1:])
    killed = False
    with living(monkeypatch, draw.randint(1, 12), answered=draw.random() < 0.5):
        client = harness.client.another()
        try:
            action(client)
        except Killed:
            killed = True
        except RequestError:
            pass
        finally:
            client.close()
    check_after(harness, commit, in_use)
    return killed


def check_after(harness: StageHarness, commit: Commit, in_use: str) -> None:
    """Check the invariants, then that the verdict, if there is one, stands and is carried out once more is tried."""
    now = harness.head(MODEL).id
    latest = inspect(harness.client, MODEL.repo, commit.id)
    verdict, decision = verdict_of(latest), gate_decision_of(latest)
    assert decision is not None
    if decision.outcome == "waiting" and now == commit.id != in_use:
        assert verdict is not None and verdict.verdict == "approved"
    if verdict is not None and verdict.verdict == "rejected":
        assert now == in_use
    # pachd keeps the transaction of a killed process open; it never takes effect.
    complete(harness.client, latest, time.time())
    if verdict is not None:
        assert (harness.head(MODEL).id == commit.id) == (verdict.verdict == "approved")
        assert verdict_of(inspect(harness.client, MODEL.repo, commit.id)) == verdict
    opened = [commit.id for commit in all_commits(harness.client, GENERATE_IMAGES.repo)]
    for promotion in promotions(harness.client):
        assert promotion.transaction in opened
        promoted = inspect(harness.client, MODEL.repo, promotion.commit)
        gate, given = gate_decision_of(promoted), verdict_of(promoted)
        assert gate is not None
        assert gate.outcome != "waiting" or (given is not None and given.verdict == "approved")
    harness.run("generate")


def test_a_kill_around_a_verdict_loses_no_verdict_and_promotes_nothing_unapproved(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate(harness, "always")
    draw = random.Random(1)
    assert sum(check_kill(harness, monkeypatch, draw) for _ in range(12)) >= 4
    assert codes(harness) == []


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_kills_around_verdicts_lose_no_verdict_and_promote_nothing_unapproved(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch, volume: Callable[[int, int], int], seed: int
) -> None:
    candidate(harness, "always")
    draw, kills = random.Random(seed), 0
    while kills < volume(100, 4):
        kills += check_kill(harness, monkeypatch, draw)
    assert codes(harness) == []
