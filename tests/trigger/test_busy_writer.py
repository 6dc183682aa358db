"""A writer that keeps committing, and promoting, beside a working trigger: every commit is processed, once.

With PACHD_ADDRESS set it runs against the server there, as all tests over a `TriggerHarness` do.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TriggerHarness
from test_crashes import one_effect_each, trigger, until

from pachyderm.client.commits import Commit, history, inspect
from pachyderm.client.connection import connect
from pachyderm.dag.promotion import record_promotion
from pachyderm.dag.repos import CANDIDATE, GENERATE_IMAGES, INPUT_IMAGES, MODEL, PROVENANCE, TRAINING
from pachyderm.fsck.check import fsck
from pachyderm.queue.claims import claims_of

TRAINING_EVERY = 3
"""One commit in so many is of training data; a model that is finished by then is promoted."""


class BusyWriter(threading.Thread):
    """Writes commits to both inputs, and promotes models, over a connection of its own."""

    def __init__(self, harness: TriggerHarness, commits: int, waiting: int) -> None:
        super().__init__()
        self._harness, self._commits, self._waiting = harness, commits, waiting
        self.pictures: list[str] = []
        self.trainings: list[str] = []
        self.promotions = 0

    def run(self) -> None:
        with connect(self._harness.target) as client:
            writer = TriggerHarness(self._harness.target, client, self._harness.context, self._harness.orders, [])
            for number in range(self._commits):
                if number % TRAINING_EVERY == TRAINING_EVERY - 1:
                    self.trainings.append(writer.train(f"unique {number}"))
                else:
                    self.pictures.append(writer.draw(f"unique {number}"))
                self._promote(writer)
                # No faster than they are processed: a longer queue tests nothing more.
                while len(open_commits(writer)) >= self._waiting:
                    time.sleep(0.2)

    def _promote(self, writer: TriggerHarness) -> None:
        in_use = writer.head(MODEL).id
        newest = next((c for c in history(writer.client, CANDIDATE) if c.parent and c.state == "good"), None)
        if newest is not None and newest.id != in_use:
            # Not `promote`, which refuses what these tasks make: a commit without a model's files.
            with writer.client.transaction.transaction() as transaction:
                record_promotion(writer.client, transaction.id, newest, in_use, time.time())
            self.promotions += 1


def open_commits(harness: TriggerHarness) -> list[Commit]:
    return [commit for branch in PROVENANCE for commit in history(harness.client, branch) if not commit.ended]


def check_all_processed(harness: TriggerHarness, writer: BusyWriter, commits: int) -> None:
    assert len(writer.pictures) + len(writer.trainings) == commits
    assert writer.promotions > 0
    one_effect_each(harness, writer.pictures)
    generated = [commit for commit in history(harness.client, GENERATE_IMAGES) if commit.parent]
    assert {commit.state for commit in generated} == {"good"}
    assert len(generated) == len(writer.pictures) + writer.promotions
    for commit_set in writer.trainings:
        commit = harness.output("model", commit_set)
        if commit.state == "superseded":
            by = commit.error.split()[-1]
            assert {inspect(harness.client, repo, by).id for repo in ("checkpoint", "model")} == {by}, commit.error
        else:
            assert commit.state == "good", (str(commit), commit.error)
            assert len(harness.by("model", commit_set).split()) == 1
            assert [claim.over for claim in claims_of(commit.metadata)] == ["good"]
    assert harness.output("model", writer.trainings[-1]).state == "good"
    for branch, sets in ((INPUT_IMAGES, writer.pictures), (TRAINING, writer.trainings)):
        assert {commit.id for commit in history(harness.client, branch) if commit.parent} == set(sets)
    # These tasks write no record.
    assert {problem.code for problem in fsck(harness.client, now=time.time()).problems} == {"NO_RECORD"}


def beside(harness: TriggerHarness, commits: int, waiting: int, work: Callable[[], object]) -> None:
    writer = BusyWriter(harness, commits, waiting)
    writer.start()
    while writer.is_alive() or open_commits(harness):
        work()
    writer.join()
    check_all_processed(harness, writer, commits)


def test_commits_and_promotions_beside_a_working_trigger_are_all_processed_once(harness: TriggerHarness) -> None:
    beside(harness, commits=9, waiting=4, work=harness.once)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_fifty_commits_and_promotions_beside_a_trigger_process_are_all_processed_once(
    harness: TriggerHarness, filling: dict[str, Path], volume: Callable[[int, int], int]
) -> None:
    process = trigger(harness, filling)
    try:
        beside(harness, commits=volume(50, 12), waiting=8, work=lambda: time.sleep(0.5))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    until(lambda: not harness.processes(), 10)
