"""fsck: healthy stores have no findings; every corruption is found by its code and repaired or left with advice."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from corruptions import CORRUPTIONS, CorruptibleStore, Corruption
from pachyderm_sdk.api import pfs
from populated_store import populate
from stage_harness import StageHarness, set_up_harness

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, CommitId, all_commits
from pachyderm.client.connection import Connection
from pachyderm.client.files import files
from pachyderm.dag.repos import CANDIDATE, CHECKPOINT, GENERATE_IMAGES, INPUT_IMAGES, PROVENANCE, REPOS, TRAINING
from pachyderm.fsck import evidence as reading
from pachyderm.fsck.check import Findings, fsck
from pachyderm.fsck.end_checks import check_ends
from pachyderm.fsck.head_checks import check_heads
from pachyderm.queue.ends import finish_with
from pachyderm.record.lineage_backward import backward
from pachyderm.record.lineage_forward import forward


def check(harness: StageHarness, repair: bool = False, contents: bool = True) -> Findings:
    return fsck(
        harness.client,
        now=time.time(),
        repair=repair,
        contents=contents,
        run_end=lambda run: "vanished: its process is gone" if run == "dead-run" else None,
    )


@dataclass(frozen=True)
class Planted:
    where: dict[str, str]
    found: Findings
    found_again: Findings
    repaired: Findings
    after: Findings


def by_place(found: Findings) -> dict[str, set[str]]:
    """Commit or branch -> the codes found there."""
    codes: dict[str, set[str]] = defaultdict(set)
    for problem in found.problems:
        codes[problem.where.partition(":")[0]].add(problem.code)
    return codes


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    with set_up_harness(tmp_path_factory.mktemp("planted")) as harness:
        store = CorruptibleStore(harness)
        store.populate()
        assert check(harness).problems == ()
        where = {corruption.name: corruption.plant(store) for corruption in CORRUPTIONS}
        found = check(harness)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "HELD", 1)
            found_again = check(harness)
        yield Planted(where, found, found_again, check(harness, repair=True), check(harness))


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)
def test_a_corruption_is_found_named_and_repaired_or_left_with_advice(planted: Planted, corruption: Corruption) -> None:
    where = planted.where[corruption.name]
    assert by_place(planted.found)[where] == corruption.codes
    for problem in planted.found.problems:
        if problem.where.startswith(where):
            assert problem.what and problem.repair
    assert by_place(planted.after)[where] == (set() if corruption.repaired else corruption.codes)
    done = [repaired.done for repaired in planted.repaired.repaired if repaired.problem.where.startswith(where)]
    assert bool(done) == corruption.repaired


def test_nothing_but_what_was_planted_is_found(planted: Planted) -> None:
    assert len(CORRUPTIONS) >= 30
    assert set(by_place(planted.found)) == set(planted.where.values())


def test_what_is_found_does_not_depend_on_what_is_held_in_memory(planted: Planted) -> None:
    assert set(map(str, planted.found_again.problems)) == set(map(str, planted.found.problems))


def test_the_values_used_last_are_held_and_always_the_last_one() -> None:
    held: reading.Held[str] = reading.Held(10)
    for name, number in (("a", 4), ("b", 4), ("c", 2)):
        held.add(("repo", name), name, number)
    assert held.get(("repo", "a")) == "a"
    held.add(("repo", "d"), "d", 1)
    assert [name for name in "abcd" if ("repo", name) in held] == ["a", "c", "d"]
    held.add(("repo", "e"), "e", 100)
    assert [name for name in "abcde" if ("repo", name) in held] == ["e"]
    assert held.get(("repo", "a")) is None


def test_a_populated_store_has_no_findings(harness: StageHarness) -> None:
    assert check(harness).problems == ()
    populate(harness)
    assert check(harness).problems == ()


def test_without_contents_the_servers_hash_shows_a_changed_byte_and_no_sha256_is_checked(harness: StageHarness) -> None:
    store = CorruptibleStore(harness)
    store.populate()
    by_name = {corruption.name: corruption for corruption in CORRUPTIONS}
    changed = by_name["a changed byte"].plant(store)
    missing = by_name["a missing file"].plant(store)
    digest = by_name["another SHA-256"].plant(store)
    assert set(by_place(check(harness, contents=False))) == {changed, missing}
    assert set(by_place(check(harness))) == {changed, missing, digest}


def test_work_that_is_open_or_waits_or_failed_with_a_reason_is_healthy(harness: StageHarness) -> None:
    first = harness.put(TRAINING, {"/a.png": "A"})
    harness.put(INPUT_IMAGES, {"/1.jpg": "1"})
    assert check(harness).problems == ()
    finish_with(harness.client, harness.output(CHECKPOINT, first), "failed: the disk was full; free some and retry")
    assert check(harness).problems == ()


def test_a_commit_that_was_dropped_leaves_what_is_left_consistent(harness: StageHarness) -> None:
    harness.put(TRAINING, {"/a.png": "A"})
    harness.run("train", "export")
    harness.put(INPUT_IMAGES, {"/1.jpg": "1"})
    harness.run("resize", "generate")
    middle = harness.put(INPUT_IMAGES, {"/2.jpg": "2"})
    harness.run("resize", "generate")
    last = harness.put(INPUT_IMAGES, {"/3.jpg": "3"})
    harness.run("resize", "generate")
    harness.client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=middle))
    found = check(harness)
    assert {(problem.code, problem.where) for problem in found.problems} == {
        ("ORIGIN_GONE", f"preprocess_images@{last}"),
        ("ORIGIN_GONE", f"generate_images@{last}"),
    }


def test_a_store_without_set_up_is_reported(harness: StageHarness) -> None:
    harness.client.pfs.delete_branch(branch=harness.client.branch(GENERATE_IMAGES))
    found = check(harness)
    assert [problem.code for problem in found.problems] == ["SET_UP"]
    assert "generate_images@master" in found.problems[0].what


def commit(name: str, parent: str | None = None, **facts: Any) -> Commit:
    values: dict[str, Any] = {"started": 0.0, "finishing": None, "finished": None, "error": "", "auto": True, **facts}
    values.setdefault("provenance", (CommitId("training", "t"),))
    return Commit(repo="checkpoint", id=name, parent=parent, **values)


def evidence(*commits: Commit, head: str, now: float = 0.0) -> Any:
    """Return the state of a server that the embedded store never reaches."""
    known = {(commit.repo, commit.id): commit for commit in commits}
    idle = commit("idle", finished=1.0, finishing=1.0)
    heads = dict.fromkeys(PROVENANCE, idle) | {CHECKPOINT: known["checkpoint", head]}
    return SimpleNamespace(outputs=commits, known=known, heads=heads, now=now)


def test_a_commit_finished_before_an_older_open_one_is_reported_with_the_remedy() -> None:
    open_one, later = commit("a"), commit("b", parent="a", finishing=1.0)
    (problem,) = check_ends(evidence(open_one, later, head="b"))
    assert (problem.code, problem.where) == ("LOCKED_UP", "checkpoint@b")
    assert "checkpoint@a, which is open" in problem.what
    assert "pachctl delete commit checkpoint@b" in problem.repair and "training_and_export" in problem.repair


def test_a_grandparent_locks_up_as_well_and_what_is_behind_a_good_commit_does_not() -> None:
    failed = commit("b", parent="a", finishing=1.0, finished=1.0, error="failed: x")
    (problem,) = check_ends(evidence(commit("a"), failed, commit("c", parent="b", finishing=2.0), head="c"))
    assert problem.code == "LOCKED_UP"
    good = commit("b", parent="a", finishing=1.0, finished=1.0)
    found = list(check_ends(evidence(commit("a"), good, commit("c", parent="b", finishing=2.0), head="c", now=5.0)))
    assert found == []


def test_a_commit_that_a_late_writer_destroyed_is_reported_after_ten_minutes() -> None:
    finishing = commit("a", finishing=100.0)
    assert list(check_ends(evidence(finishing, head="a", now=600.0))) == []
    (problem,) = check_ends(evidence(finishing, head="a", now=760.0))
    assert (problem.code, "11 minutes" in problem.what) == ("NEVER_FINISHES", True)


def test_an_open_commit_on_no_branch_is_reported_and_cancelled() -> None:
    lost, newest = commit("a"), commit("b", finishing=1.0, finished=1.0)
    (problem,) = check_ends(evidence(lost, newest, head="b"))
    assert (problem.code, problem.where) == ("OUT_OF_REACH", "checkpoint@a")
    assert problem.automatic is not None


def test_a_head_that_is_not_made_from_the_newest_input_is_reported() -> None:
    heads: dict[BranchName, Commit] = {}
    for branch in (TRAINING, INPUT_IMAGES, BranchName("model", "master"), *PROVENANCE):
        sources = tuple(CommitId(source.repo, heads[source].id) for source in PROVENANCE.get(branch, ()))
        heads[branch] = Commit(branch.repo, f"{branch}1", None, 0.0, 1.0, 1.0, "", True, {}, sources)
    healthy: Any = SimpleNamespace(heads=heads)
    assert list(check_heads(healthy)) == []
    heads[TRAINING] = Commit("training", "newer", None, 0.0, 1.0, 1.0, "", False)
    (problem,) = check_heads(healthy)
    assert (problem.code, problem.where) == ("HEAD_BEHIND", "checkpoint@master")
    assert "training@newer" in problem.what and problem.automatic is not None


def test_repairing_twice_is_harmless(harness: StageHarness) -> None:
    store = CorruptibleStore(harness)
    store.populate()
    by_name = {corruption.name: corruption for corruption in CORRUPTIONS}
    for name in ("a claim of a dead run", "two live claims", "another fingerprint in the metadata"):
        by_name[name].plant(store)
    first, second = check(harness, repair=True), check(harness, repair=True)
    assert len(first.repaired) == 3 and first.problems == ()
    assert second.repaired == () and second.problems == ()


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_thousand_commits_are_checked_in_ten_seconds_and_a_picture_is_traced_in_one(
    harness: StageHarness, volume: Callable[[int, int], int]
) -> None:
    """Measures CPU seconds of this process, which includes the store: other load on the machine has no effect."""
    harness.put(TRAINING, {"/a.png": "A"})
    harness.run("train", "export")
    for number in range(volume(332, 40)):
        harness.put(INPUT_IMAGES, {f"/{number % 40}.jpg": f"picture {number}"})
        harness.run("resize", "generate")
    commits = sum(len(list(all_commits(harness.client, repo))) for repo in REPOS)
    start = time.process_time()
    found = check(harness)
    checked = time.process_time() - start
    start = time.process_time()
    graph = backward(harness.client, harness.head(GENERATE_IMAGES), "/1.png")
    traced = time.process_time() - start
    start = time.process_time()
    first = list(all_commits(harness.client, "input_images"))[-2]
    ahead = forward(harness.client, first, next(iter(files(harness.client, first.repo, first.id))))
    followed = time.process_time() - start
    figures = f"{commits} commits: fsck {checked:.2f} s, lineage {traced:.3f} s, forward {followed:.2f} s"
    assert found.problems == () and graph.problems() == [] and len(ahead.nodes) > 2, figures
    assert checked < 1 + 10 * commits / 1000 and traced < 1, figures


def test_a_superseded_set_on_both_inputs_is_healthy(harness: StageHarness) -> None:
    harness.run("train", "export", commit_set=harness.put(TRAINING, {"/a.png": "1"}))
    with harness.client.transaction.transaction() as transaction:
        for branch in (TRAINING, INPUT_IMAGES):
            harness.client.pfs.start_commit(branch=harness.client.branch(branch))
    both = str(transaction.id)
    for repo in ("training", "input_images"):
        commit = harness.client.commit(repo, both)
        harness.client.pfs.put_file_from_bytes(commit=commit, path="/b.png", data=b"2")
        harness.client.pfs.finish_commit(commit=commit)
    newer = harness.put(TRAINING, {"/c.png": "3"})
    for branch in (CHECKPOINT, CANDIDATE):
        finish_with(harness.client, harness.output(branch, both), f"superseded: by {newer}")
    harness.run("resize", "generate", "train", "export", "generate")
    assert fsck(harness.client, now=time.time()).problems == ()


@pytest.mark.parametrize("repo", ["input_images", "preprocess_images"])
def test_a_commit_that_the_server_cannot_read_is_a_finding_and_not_the_end(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch, repo: str
) -> None:
    harness.run("train", "export", commit_set=harness.put(TRAINING, {"/a.png": "1"}))
    lost = harness.put(INPUT_IMAGES, {"/a.png": "x"})
    harness.run("resize", "generate")
    harness.put(INPUT_IMAGES, {"/b.png": "y"})
    harness.run("resize", "generate")

    class ForgottenError(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.UNKNOWN

        def details(self) -> str:
            return "the commit is forgotten"

    def forgetful(really: Callable[..., Any]) -> Callable[..., Any]:
        def ask(client: Connection, *about: str) -> Any:
            if about[0] == repo and lost in about[1:]:
                raise ForgottenError
            return really(client, *about)

        return ask

    for name in ("files", "differing"):
        monkeypatch.setattr(reading, name, forgetful(getattr(reading, name)))
    problems = fsck(harness.client, now=time.time()).problems
    assert [problem.where for problem in problems if problem.code == "UNREADABLE"] == [f"{repo}@{lost}"]
    # The origin of files carried over from it can no longer be checked.
    assert {problem.code for problem in problems} <= {"UNREADABLE", "ORIGIN_GONE"}


def test_each_commit_is_read_once_however_little_is_held(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.run("train", "export", commit_set=harness.put(TRAINING, {"/a.png": "1"}))
    for content in ("x", "y", "x"):  # the third reuses the first
        harness.put(INPUT_IMAGES, {"/a.png": content})
        harness.run("resize", "generate")
    read: list[str] = []
    really = reading.Evidence._fetch

    def fetch(evidence: reading.Evidence, commit: Commit) -> reading.Reading:
        read.append(str(commit))
        return really(evidence, commit)

    monkeypatch.setattr(reading, "HELD", 1)
    monkeypatch.setattr(reading.Evidence, "_fetch", fetch)
    assert fsck(harness.client, now=time.time()).problems == ()
    assert sorted(read) == sorted(set(read)) and len(read) >= 8


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_a_server_that_is_away_during_the_check_is_no_finding(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch, code: grpc.StatusCode
) -> None:
    harness.run("train", "export", commit_set=harness.put(TRAINING, {"/a.png": "1"}))

    class AwayError(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return code

        def details(self) -> str:
            return "shutting down"

    def ask(client: Connection, *about: str) -> Any:
        raise AwayError

    monkeypatch.setattr(reading, "files", ask)
    with pytest.raises(AwayError):
        fsck(harness.client, now=time.time())
