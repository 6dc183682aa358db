"""One output commit, from find to finish: the protocol around every stage's work.

It exists so that a reader of an output commit sees all of one attempt's result or nothing, whatever is started twice,
killed, paused or late: find, claim, reuse, plan, work, publish, finish.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, CommitId, head, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.files import PARAMETERS_FILE, Listing, content, read
from pachyderm.dag.repos import CANDIDATE, pipeline_of
from pachyderm.errors import CommitFailedError, HopelessError, LostClaimError, RequestError
from pachyderm.output.ancestor import Ancestor, datums_of, nearest_good, present_in
from pachyderm.output.finish import finish
from pachyderm.output.plan import CarryBase, plan
from pachyderm.output.publish import differences, publish
from pachyderm.output.result import Result, computed, empty, reused
from pachyderm.output.reuse import reusable
from pachyderm.output.stage import Input, Job, Resolved, Stage
from pachyderm.output.work_in_progress import kept
from pachyderm.queue.claims import (
    Claim,
    Watch,
    claims_of,
    end_of,
    give_back,
    kept_alive,
    live_claim,
    predecessor,
    take,
    working,
)
from pachyderm.queue.commit_sets import NEW, commits_of, fresh_set, open_fresh, own_parameters, to_fill
from pachyderm.queue.ends import finish_with
from pachyderm.queue.source_commit import source_of
from pachyderm.record.fingerprints import Fingerprint, digest, listing_digest
from pachyderm.record.quarantine import quarantine

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """Who fills, and with what.

    Attributes:
        run: id of the run, which the trigger knows too; attempts of one run relieve each other (`claims.predecessor`).
        name: unique among the attempts of all runs.
        scratch: folder for this attempt's files and for what the next attempt shall find.
        progress: called as ``progress(done, total, note)``.
        keeps: whether the next attempt finds this scratch folder again; where it does not, as in a pod, unfinished work
            is kept in Pachyderm.
        now: seconds since 1970.
        clock: seconds, of any beginning; what an observer measures with.
        pause: waits the given seconds; how often it is called is no promise.
    """

    run: str
    name: str
    scratch: Path
    progress: Callable[[int, int, str], None]
    keeps: bool = True
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


def fill_set(
    client: Connection, stage: Stage, commit_set: str, hyperparameters: Mapping[str, object], attempt: Attempt
) -> tuple[Commit, str]:
    """Fill a stage's output commit of a set.

    Args:
        client: the connection.
        stage: whose branch is filled.
        commit_set: an id; ``new`` for a fresh set; empty for all that is open on the branch, oldest first.
        hyperparameters: section -> name -> value, belonging to a fresh set alone; empty for none.
        attempt: who fills.

    Returns:
        the commit that was filled last (or is the newest), and the set to hand to the next task.

    Raises:
        CommitFailedError: the commit ended with an error.
        RequestError: no such set, or one that does not reach this stage.
    """
    pipeline = pipeline_of(stage.output)
    if hyperparameters and commit_set not in ("", NEW):
        raise RequestError(
            f"the set {commit_set} cannot be given hyperparameters of its own any more; leave the set out, or say {NEW}"
        )
    if hyperparameters or commit_set == NEW:
        commit_set = fresh_set(client, stage.output, pipeline.source, hyperparameters, attempt.run)
    if commit_set:
        found = find(client, stage.output, commit_set)
        if found.id != commit_set:
            logger.info("the set %s has no new commit in %s; %s stands", commit_set, found.repo, found)
            return found, commit_set
        return fill(client, stage, found, attempt), commit_set
    filled = None
    for commit in to_fill(client, stage.output, pipeline.policy, pipeline.source):
        filled = fill(client, stage, commit, attempt)
    if filled is None:
        logger.info("nothing is open on %s; its newest commit stands", stage.output)
    return filled or head(client, stage.output), ""


def find(client: Connection, branch: BranchName, commit_set: str) -> Commit:
    """Find the commit of a set in an output repo; an alias gives an older commit, which nobody may write to.

    Raises:
        RequestError: there is no such set, or it does not reach the repo.
    """
    members = commits_of(client, commit_set)
    if not any(commit.repo == branch.repo for commit in members):
        repos = ", ".join(sorted({commit.repo for commit in members}))
        raise RequestError(f"the set {commit_set} has no commit in {branch.repo}, only in {repos}")
    return inspect(client, branch.repo, commit_set)


def fill(client: Connection, stage: Stage, commit: Commit, attempt: Attempt, *, relieved: bool = False) -> Commit:
    """Fill one output commit, or wait for whoever does; running it twice is harmless.

    Args:
        client: the connection.
        stage: whose output commit it is.
        commit: to fill.
        attempt: who fills.
        relieved: whether another attempt took the commit over from this one. It then waits like any other run, so that
            two attempts of one run cannot take turns for ever.

    Raises:
        CommitFailedError: the commit ended with an error, before or now.
    """
    if commit.state != "open":
        return _ended(client, commit)
    if not _inputs_ended_well(client, commit):
        return _ended(client, commit)
    _wait_for_older(client, commit)
    claim, commit = _claim(client, commit, attempt, relieved)
    if claim is None:
        return _ended(client, commit)
    attempt, done = _counted(attempt)
    try:
        with kept_alive(client, commit, claim, done):
            _fill_claimed(client, stage, commit, claim, attempt)
    except HopelessError as error:
        if _taken_over(client, commit, claim):
            return _relieved(client, stage, commit, attempt, error)
        finish_with(client, commit, f"failed: {error}")
    except LostClaimError as error:
        return _relieved(client, stage, commit, attempt, error)
    except BaseException as error:
        # Interrupted or failed: the next attempt may begin at once.
        given_back = give_back(client, commit, claim.number, end_of(error))
        if not given_back and isinstance(error, Exception) and _taken_over(client, commit, claim):
            return _relieved(client, stage, commit, attempt, error)
        raise
    return _ended(client, commit)


def _counted(attempt: Attempt) -> tuple[Attempt, Callable[[], int]]:
    """The attempt, and how far its progress has come."""
    latest = [0]

    def progress(done: int, total: int, note: str) -> None:
        latest[0] = int(done)
        attempt.progress(done, total, note)

    return replace(attempt, progress=progress), lambda: latest[0]


def _taken_over(client: Connection, commit: Commit, claim: Claim) -> bool:
    """Whether another attempt has claimed the commit since; then an error of this one decides nothing."""
    return claims_of(inspect(client, commit.repo, commit.id).metadata)[-1].number > claim.number


def _relieved(client: Connection, stage: Stage, commit: Commit, attempt: Attempt, error: Exception) -> Commit:
    """Wait for the attempt that took the commit over, and return its commit."""
    logger.warning("another attempt took %s over; nothing of this attempt is kept (%s)", commit, error)
    return fill(client, stage, inspect(client, commit.repo, commit.id), attempt, relieved=True)


def _ended(client: Connection, commit: Commit) -> Commit:
    ended = inspect(client, commit.repo, commit.id, wait=True)
    if ended.error:
        raise CommitFailedError(str(ended), ended.error)
    return ended


def _inputs_ended_well(client: Connection, commit: Commit) -> bool:
    """Wait for the inputs; where one ended badly, end this commit alike, naming it."""
    for one in commit.provenance:
        before = inspect(client, one.repo, one.id)
        if not before.ended:
            logger.info("%s waits for its input %s", commit, before)
        ended = inspect(client, one.repo, one.id, wait=True)
        if ended.error:
            word, _, reason = ended.error.partition(":")
            alike = ended.error if word == "superseded" else f"{ended.state}: {ended}:{reason or ' ' + ended.error}"
            finish_with(client, commit, alike)
            return False
    return True


def _wait_for_older(client: Connection, commit: Commit) -> None:
    """Wait until every older commit of the branch back to the first good one has ended.

    A good commit finished before any of them locks pachd's repo up for ever (seen on pachd).
    """
    at = commit
    while at.parent is not None:
        older = inspect(client, at.repo, at.parent)
        if not older.ended:
            logger.info("%s waits for the older %s, which is %s; pix2pix trigger fills it", commit, older, older.state)
            older = inspect(client, older.repo, older.id, wait=True)
        if older.state == "good":
            return
        at = older


def _claim(client: Connection, commit: Commit, attempt: Attempt, relieved: bool) -> tuple[Claim | None, Commit]:
    """Claim a commit, or wait until it has ended; the claim is None then."""
    watch, told = Watch(attempt.clock), False
    while True:
        commit = inspect(client, commit.repo, commit.id)
        if commit.state != "open":
            return None, commit
        holder = working(commit.metadata)
        earlier = None if relieved else predecessor(commit.metadata, attempt.run, attempt.name)
        if holder is None or earlier is not None or watch.stale(commit, holder):
            over = f"no sign of life; taken over by {attempt.run}"
            if earlier is not None:
                over = f"taken over by {attempt.name}, the next attempt of the same run"
                logger.info(
                    "%s was claimed by %s, an earlier attempt of this run; taking over", commit, earlier.attempt
                )
            claim = take(client, commit, attempt.run, attempt.name, over=over)
            if claim is not None:
                return claim, inspect(client, commit.repo, commit.id)
            continue
        if not told:
            logger.info("%s is being filled by the run %s; waiting for it", commit, holder.holder)
            told = True
        attempt.pause(1.0)


def _fill_claimed(client: Connection, stage: Stage, commit: Commit, claim: Claim, attempt: Attempt) -> None:
    started = attempt.now()
    ancestor = nearest_good(client, commit, stage.datums) if stage.datums else None
    inputs = {
        one.repo: _input(client, one, ancestor if one.repo == stage.datums else None) for one in commit.provenance
    }
    source, own = source_of(client, commit), own_parameters(client, commit)
    resolved = _resolve(client, stage, source, own)
    fingerprint = _fingerprint(stage, inputs, resolved)
    keep = attempt.scratch / "keep" / fingerprint.value
    keep.mkdir(parents=True, exist_ok=True)

    def look() -> Listing:
        return present_in(client, commit, ancestor)

    def check(through: Connection = client) -> None:
        live = live_claim(inspect(through, commit.repo, commit.id).metadata)
        if live is None or live.number != claim.number:
            raise LostClaimError(f"the claim {claim.number} on {commit} is over")

    unfinished = nullcontext(lambda: None) if attempt.keeps else kept(client, fingerprint.value, keep, check)
    with unfinished as save, tempfile.TemporaryDirectory(prefix=f"{stage.name}-", dir=attempt.scratch) as scratch:
        job = Job(client, commit, inputs, resolved.values, None, Path(scratch), keep, attempt.progress, save)
        result = _result(stage, job, fingerprint, ancestor)
        record = result.record(
            stage=stage,
            commit=commit,
            inputs=inputs,
            fingerprint=fingerprint,
            resolved=resolved,
            parameters_from=str(source),
            run={"id": attempt.run, "attempt": attempt.name, "claim": str(claim.number)},
            started=started,
            seconds=attempt.now() - started,
            present=content(look()),
        )
        check()
        want = publish(client, commit, {**result.content, **result.report(stage, record)}, check, look)
    promote = resolved.promote and not own and stage.output == CANDIDATE and result.outcome != "empty"
    finish(client, commit, claim, fingerprint.value, promote=promote, now=attempt.now())
    shutil.rmtree(keep, ignore_errors=True)
    wrong = differences(look(), want)
    if wrong:
        quarantine(client, commit, f"changed by another writer at {', '.join(wrong[:5])}")
        fresh = open_fresh(client, pipeline_of(stage.output).source)
        logger.error("%s was changed by another writer at %s; the fresh set %s does it again", commit, wrong[:5], fresh)


def _input(client: Connection, one: CommitId, ancestor: Ancestor | None) -> Input:
    listing = datums_of(client, one.repo, one.id, ancestor)
    return Input(inspect(client, one.repo, one.id), listing, listing_digest(listing))


def _resolve(client: Connection, stage: Stage, source: Commit, own: Mapping[str, object]) -> Resolved:
    text = read(client, source.repo, source.id, PARAMETERS_FILE)
    where = f"{source}:{PARAMETERS_FILE}"
    try:
        return stage.resolve(None if text is None else text.decode("utf-8-sig"), own, where)
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if text and text[:2] in (b"\xff\xfe", b"\xfe\xff") else "not UTF-8"
        raise HopelessError(f"{where} is {encoding}; save it as UTF-8 and commit it again") from error


def _fingerprint(stage: Stage, inputs: Mapping[str, Input], resolved: Resolved) -> Fingerprint:
    return Fingerprint(
        {
            "stage": stage.name,
            "code": stage.code(),
            "parameters": digest({name: one.value for name, one in resolved.parameters.items()}),
            **{f"versions.{name}": version for name, version in stage.versions().items()},
            **{f"inputs.{repo}": one.digest for repo, one in inputs.items()},
        }
    )


def _result(stage: Stage, job: Job, fingerprint: Fingerprint, ancestor: Ancestor | None) -> Result:
    """Nothing to do, done before, or work."""
    awaited = stage.awaited(job.inputs)
    if awaited is not None:
        logger.info("%s has nothing to work on: %s", job.commit, awaited)
        return empty(awaited)
    earlier = reusable(job.client, job.commit, fingerprint.value)
    if earlier is not None:
        logger.info("%s holds the same already; its files are copied", earlier.commit)
        return reused(earlier)
    if stage.datums is None or stage.assign is None:
        return computed(job, stage.work(job), None)
    inputs = job.inputs[stage.datums].files
    base = None
    if ancestor is not None and not set(fingerprint.differs_from(ancestor.record.parts)) - {f"inputs.{stage.datums}"}:
        base = CarryBase(ancestor.commit.id, ancestor.files, ancestor.record)
    datums = plan(inputs, stage.assign, base)
    logger.info("%d of %d files are work", len(datums.compute), len(inputs))
    return computed(replace(job, plan=datums), stage.work(replace(job, plan=datums)), base)
