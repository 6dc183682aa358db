"""Pods that are killed, evicted or lost: every commit set gets its result, once, and none ends as failed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TriggerHarness
from fake_kubeflow import Document
from filling_stage import Died, fill
from test_on_kubeflow import Cluster

from pachyderm.client.connection import Connection
from pachyderm.dag.repos import PIPELINES
from pachyderm.queue.claims import claims_of

KILLS = ("kill -9", "deleted", "evicted before it began", "node lost", "run deleted before it began")


class KillingCluster(Cluster):
    """A Kubeflow that kills pods a given number of times."""

    def __init__(self, client: Connection, orders: Path, kills: int, seed: int) -> None:
        super().__init__(client, orders)
        self._chance = random.Random(seed)
        # All kinds are equally frequent.
        self.kills = [KILLS[number % len(KILLS)] for number in range(kills)]
        self._chance.shuffle(self.kills)

    def work(self) -> None:
        """Execute the started runs; each is killed with a probability of 3/4 while kills are left."""
        waiting, self.orders[:] = list(self.orders), []
        for run in waiting:
            if self.kills and self._chance.random() < 0.75:
                self._kill(run, self.kills.pop())
            else:
                self.orders.append(run)
                super().work()

    def _kill(self, run: Document, how: str) -> None:
        name, commit_set, _ = run["display_name"].split()
        outputs = next(pipeline.outputs for pipeline in PIPELINES if pipeline.name == name)
        self.api.advance(run["run_id"], "RUNNING")
        if "before it began" not in how:
            # It claims its commit and disappears. An earlier attempt may have filled the first one.
            (self._orders / "die").touch()
            with pytest.raises(Died):
                for branch in outputs:
                    fill(self._client, branch.repo, commit_set, run["run_id"], self._orders)
        if how == "run deleted before it began":
            self.api.delete(run["run_id"])
        elif how == "kill -9":
            self.api.fail(run["run_id"], "fill")
        elif how == "deleted":
            # Argo has retried twice, and the API names no cause.
            self.api.fail(run["run_id"], "fill", retried=2)
        elif how == "node lost":
            self.api.fail(run["run_id"], "fill", "pod deleted", "node lost")
        else:
            self.api.fail(run["run_id"], "fill", "The node was low on resource: memory.")


def killed(harness: TriggerHarness, filling: dict[str, Path], kills: int, seed: int) -> None:
    cluster = KillingCluster(harness.client, harness.orders, kills, seed)
    sets: dict[str, str] = {}
    with cluster.api:
        for number in range(1000):
            if not cluster.kills and number >= 2:
                break
            if number % 2:
                sets[harness.train(str(number))] = "model"
            else:
                sets[harness.draw(str(number))] = "generate_images"
            # A restarted trigger must know as much as its predecessor.
            with cluster.controller(harness, filling, by=f"a:{number}") as drive:
                done = drive.until_nothing_is_open()
            assert {item.state for item in done.values()} == {"good"}
    assert not cluster.kills
    for commit_set, repo in sets.items():
        commit = harness.output(repo, commit_set)
        assert commit.state == "good"
        # Two fillers that interleaved would leave two lines.
        assert len(harness.by(repo, commit_set).split()) == 1
        assert [claim.over for claim in claims_of(commit.metadata)][-1] == "good"


def test_five_kills_of_pods_end_nothing_as_failed(harness: TriggerHarness, filling: dict[str, Path]) -> None:
    killed(harness, filling, kills=5, seed=3)


@pytest.mark.long
def test_fifty_kills_of_pods_end_nothing_as_failed(
    harness: TriggerHarness, filling: dict[str, Path], volume: Callable[[int, int], int]
) -> None:
    killed(harness, filling, kills=volume(50, 8), seed=4)
