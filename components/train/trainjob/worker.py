"""A node of a TrainJob: ``python -m components.train.trainjob.worker COMMIT FINGERPRINT RUN STATE PARENT``.

TF_CONFIG lists the workers, and JOB_COMPLETION_INDEX is the number of this one. Worker 0 saves.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

import grpc

from components.task import interruptible, logged
from components.termination import Termination
from components.train.stage import STAGE
from components.train.trainjob import outcome
from components.train.trainjob.manifest import Assignment
from components.train.trainjob.worker_exit import PERMANENT, leave_message
from components.train.warm_start import WEIGHTS
from pachyderm.client.commits import Commit, inspect
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.dag.repos import CHECKPOINT
from pachyderm.errors import LostClaimError, PachydermError, PermanentError
from pachyderm.output.derivation import derive
from pachyderm.output.settlement import settled
from pachyderm.output.stage import Beginning, StageContext
from pachyderm.output.work_in_progress import UnfinishedWork
from pachyderm.queue.claims import RENEW_EVERY, HeartbeatMonitor, claims_of
from pachyderm.record.parent import read_parent
from pix2pix.errors import Pix2PixError
from pix2pix.escaping import escape_message, escaping_handler
from pix2pix.progress import Progress
from pix2pix.tensorflow import configure_tensorflow

logger = logging.getLogger("components.train.trainjob.worker")  # the module itself is __main__


class ClaimWatch:
    """Whether the run that created the TrainJob still has the claim on the output commit.

    Args:
        commit: id of the output commit.
        run: id of the run.
        clock: returns seconds.
    """

    def __init__(self, commit: str, run: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._commit, self._run, self._clock = commit, run, clock
        self._monitor = HeartbeatMonitor(clock)
        self._checked = clock()

    def check(self, client: Connection) -> Commit:
        """Return the output commit; a run that has just given its claim back still has it, until another takes it.

        Raises:
            LostClaimError: it has ended, or another run has claimed it since.
        """
        commit = inspect(client, CHECKPOINT.repo, self._commit)
        claims = claims_of(commit.metadata)
        if commit.state != "open" or not claims or claims[-1].holder != self._run:
            raise LostClaimError(f"{commit} is {commit.state} and no longer claimed by the run {self._run}")
        return commit

    def check_followed(self, client: Connection) -> None:
        """Check the claim, and that the run renews it.

        Raises:
            LostClaimError: as `check`, or nobody has renewed the claim.
        """
        commit = self.check(client)
        if self._monitor.stale(commit, claims_of(commit.metadata)[-1]):
            raise LostClaimError(f"the run {self._run} does not follow its TrainJob any more")

    def checking(self, client: Connection, progress: Progress) -> Progress:
        """Return a progress callback that also checks the claim every `RENEW_EVERY` seconds."""

        def report(done: int, total: int, note: str) -> None:
            progress(done, total, note)
            if self._clock() - self._checked >= RENEW_EVERY:
                self._checked = self._clock()
                try:
                    self.check_followed(client)
                except grpc.RpcError as error:
                    logger.warning("the claim cannot be checked: %s", error)

        return report


def train(client: Connection, assignment: Assignment, index: int, scratch: Path, progress: Progress) -> None:
    """Train as one worker; worker 0 saves the states and the result as unfinished work.

    Raises:
        PermanentError: no retry can succeed.
        LostClaimError: another attempt has taken the output commit over.
    """
    watch = ClaimWatch(assignment.commit, assignment.run)
    commit = watch.check(client)
    sources = {key.repo: inspect(client, key.repo, key.id) for key in commit.provenance}
    start = _start(client, assignment.parent)
    derivation = settled(client, commit, derive(client, STAGE, commit, sources, None)).with_parent(start.content)
    if derivation.fingerprint.value != assignment.fingerprint:
        raise PermanentError(
            "the nodes' image holds another version of the program or of its libraries than the task's; set the same"
            " image for both"
        )
    keep = scratch / "keep"
    keep.mkdir()
    with closing(client.another()) as second:
        unfinished = UnfinishedWork(second, assignment.fingerprint, keep)
        if unfinished.version() != assignment.state:
            raise LostClaimError("the unfinished work has changed since the TrainJob was created")
        unfinished.fetch()
        saves = index == 0
        save = partial(_save, second, unfinished, watch) if saves else nothing
        context = StageContext(
            client=client,
            commit=commit,
            inputs=derivation.inputs,
            parameters=derivation.resolved.values,
            plan=None,
            scratch=scratch,
            keep=keep,
            progress=watch.checking(client, progress),
            save=save,
            start=start,
        )
        try:
            output = STAGE.work(context)
        except BaseException:
            save()
            raise
        if saves:
            outcome.write(keep, output)
            watch.check(second)
            unfinished.save()


def _start(client: Connection, parent_id: str) -> Beginning:
    """Return what the training begins with: the parent that the task chose.

    Raises:
        LostClaimError: it was quarantined or dropped since; the next attempt chooses another one.
    """
    if not parent_id:
        return Beginning()
    parent = read_parent(client, CHECKPOINT.repo, parent_id)
    if parent is None:
        raise LostClaimError(f"{CHECKPOINT.repo}@{parent_id}, which the training begins with, can no longer be used")
    return Beginning(parent, parent.content(WEIGHTS))


def nothing() -> None:
    """Save nothing: worker 0 does."""


def _save(client: Connection, unfinished: UnfinishedWork, watch: ClaimWatch) -> None:
    try:
        watch.check(client)
        saved = unfinished.save()
        logger.info("saved %d files of unfinished work (%.1f MB)", len(saved.files), saved.bytes / 1e6)
    except (grpc.RpcError, OSError, PachydermError) as error:
        logger.warning("the unfinished work could not be saved: %s", error)


def with_task(configuration: str, index: int) -> str:
    """Return TF_CONFIG with the task of this worker."""
    return json.dumps({**json.loads(configuration), "task": {"type": "worker", "index": index}})


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run one worker; return its exit code."""
    logging.basicConfig(handlers=[escaping_handler("%(asctime)s %(message)s")], level=logging.WARNING, force=True)
    for package in ("components", "pachyderm", "pix2pix"):
        logging.getLogger(package).setLevel(logging.INFO)
    index = int(environment.get("JOB_COMPLETION_INDEX", "0"))
    os.environ["TF_CONFIG"] = with_task(environment["TF_CONFIG"], index)
    configure_tensorflow()
    termination = Termination()
    try:
        with (
            termination.watched(),
            tempfile.TemporaryDirectory(prefix="pix2pix-") as scratch,
            connect(Target.from_environment(dict(environment))) as client,
        ):
            progress = interruptible(logged(STAGE.name), termination)
            train(client, Assignment(*arguments), index, Path(scratch), progress)
    except (PachydermError, Pix2PixError) as error:
        text = escape_message(str(error))
        leave_message(text)
        logger.warning("%s", text)
        return PERMANENT if isinstance(error, PermanentError) else 1
    except Exception as error:
        leave_message(escape_message(f"{type(error).__name__}: {error}"))
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
