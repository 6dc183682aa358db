"""A Pachyderm for the tests of the trigger, and a trigger on it whose tasks fill commits with one line.

With PACHD_ADDRESS set each test has a project of its own at that address; without, an embedded store of its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from filling_pipelines import compile_all
from instant_runner import InstantRunner
from own_target import own_target, set_up_at

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, head, inspect
from pachyderm.client.connection import Connection, Target
from pachyderm.client.files import read
from pachyderm.dag.repos import INPUT_IMAGES, TRAINING
from workflows.runners.local import LocalRunner, child_environment
from workflows.settings.configuration import Configuration
from workflows.settings.policy import Policy
from workflows.trigger import wiring
from workflows.trigger.controller import Outcome


@pytest.fixture(scope="session")
def filling(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return compile_all(tmp_path_factory.mktemp("filling"))


@dataclass
class TriggerHarness:
    """A Pachyderm with the repos set up, and the context of a trigger on it."""

    target: Target
    client: Connection
    context: wiring.TriggerContext
    orders: Path
    messages: list[str]

    def commit(self, branch: BranchName = TRAINING, content: str = "x", path: str = "/a") -> str:
        """Commit one file; return the id of the commit set."""
        with self.client.pfs.commit(branch=self.client.branch(branch)) as commit:
            self.client.pfs.put_file_from_bytes(commit=commit, path=path, data=content.encode())
        return str(commit.id)

    def train(self, content: str = "x") -> str:
        return self.commit(TRAINING, content)

    def draw(self, content: str = "x") -> str:
        return self.commit(INPUT_IMAGES, content)

    def order(self, name: str, text: str = "") -> Path:
        (self.orders / name).write_text(text)
        return self.orders / name

    def began(self) -> list[list[str]]:
        """Return repo, commit set, run and process of each task that began."""
        file = self.orders / "began"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def on_kfp(self, filling: dict[str, Path]) -> None:
        """Use real runs of `kfp.local` from now on."""
        environment = child_environment(self.target, self.context.folder / "scratch", os.environ)
        runner = LocalRunner(self.context.folder / "runs", environment, filling, self.messages.append)
        self.context = replace(self.context, runner=runner)

    def processes(self) -> list[int]:
        """Return the processes of the runs of this harness's triggers."""
        mark = f"PIX2PIX_SCRATCH={self.target.store / 'scratch'}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def once(self, **policy: object) -> tuple[Outcome, ...]:
        return wiring.once(self.context, configuration(**policy))

    def output(self, repo: str, commit_set: str) -> Commit:
        return inspect(self.client, repo, commit_set)

    def by(self, repo: str, commit_set: str) -> str:
        return (read(self.client, repo, commit_set, "/by") or b"").decode().strip()

    def head(self, branch: BranchName) -> Commit:
        return head(self.client, branch)


def configuration(**policy: object) -> Configuration:
    """Return a configuration without back-off."""
    quick = Configuration(poll_interval=0.5)
    policies = {name: replace(policy, backoff=0.0) for name, policy in quick.policy.items()}
    changed: dict[str, Policy] = {name: replace(default, **policy) for name, default in policies.items()}  # type: ignore[arg-type]
    return replace(quick, policy=changed)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return own_target(tmp_path)


@pytest.fixture
def harness(
    target: Target, filling: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TriggerHarness]:
    orders = tmp_path / "orders"
    orders.mkdir()
    monkeypatch.setenv("TEST_ORDERS", str(orders))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    messages: list[str] = []
    # A trigger may serve in a thread of its own.
    with set_up_at(target) as client, contextlib.closing(client.another()) as runners:
        context = wiring.TriggerContext(
            target, tmp_path / "store", "tests:1", messages.append, InstantRunner(runners, orders)
        )
        yield TriggerHarness(target, client, context, orders, messages)
