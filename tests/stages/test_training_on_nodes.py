"""Two nodes, as processes of this machine, train what one process trains, and go on where they were stopped."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_trainer import FakeTrainer
from kubernetes import client as kubernetes_client
from nodes_on_one_machine import NodesOnOneMachine
from PIL import Image
from served import Served

from components.train.stage import STAGE
from components.train.trainjob.cluster import TrainJobApi
from components.train.trainjob.delegate import delegated
from components.train.trainjob.nodes import Nodes
from pachyderm.client.commits import Commit, head, inspect
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.files import files, read
from pachyderm.client.upload import put
from pachyderm.dag.repos import CHECKPOINT, TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import Stage
from pachyderm.output.work_in_progress import UNFINISHED
from pachyderm.output.worker import Worker
from pachyderm.record.stage_record import read_record
from pix2pix.training import checkpoints

PARAMETERS = """
[train]
size = 32
scale_size = 36
ngf = 2
ndf = 2
discriminator_layers = 1
batch_size = 4
max_steps = {steps}
learning_rate = 1e-3
held_out = 0.0
keep_best = "last"
save_seconds = 0
save_steps = 1
"""

ALONE = """
import sys, tomllib
from pathlib import Path
from pix2pix.tensorflow import configure_tensorflow
configure_tensorflow()
from pix2pix.hyperparameters import resolve
from pix2pix.training.train import train
pairs, work = map(Path, sys.argv[1:])
parameters = tomllib.loads((pairs / "pix2pix.toml").read_text())["train"]
(pairs / "pix2pix.toml").unlink()
train(pairs, work, resolve("train", parameters))
"""
"""Trains in one process."""


class Machine:
    """A Pachyderm and a cluster, both on this machine."""

    def __init__(self, client: Connection, address: str, trainer: FakeTrainer, folder: Path) -> None:
        self.client, self.trainer, self.folder = client, trainer, folder
        self.nodes = NodesOnOneMachine(trainer, address, folder)
        self._attempts = 0
        configuration = kubernetes_client.Configuration()
        configuration.host, configuration.retries = trainer.url, False
        api = TrainJobApi(kubernetes_client.ApiClient(configuration), "team")
        self.stage = delegated(STAGE, Nodes(2, "pix2pix-training"), {"PACHD_ADDRESS": address}, lambda: api)

    def commit(self, steps: int) -> str:
        pairs = self.folder / f"pairs-{steps}"
        pairs.mkdir()
        draw = np.random.default_rng(1)
        for number in range(4):
            Image.fromarray(draw.integers(0, 255, (32, 64, 3)).astype(np.uint8)).save(pairs / f"{number}.png")
        (pairs / "pix2pix.toml").write_text(PARAMETERS.format(steps=steps))
        commit = put(self.client, TRAINING, {f"/{path.name}": path for path in pairs.iterdir()}).commit
        assert commit is not None
        return commit

    def fill(self, stage: Stage, set_id: str, run: str, **options: Any) -> Commit:
        self._attempts += 1
        scratch = self.folder / f"attempt-{self._attempts}"
        scratch.mkdir()
        worker = Worker(run, scratch.name, scratch, lambda done, total, note: None, keeps=False)
        try:
            return fill_set(self.client, stage, set_id, {}, replace(worker, **options))[0]
        except Exception as error:
            raise AssertionError(self.nodes.log()) from error

    def alone(self, steps: int) -> dict[str, np.ndarray[Any, Any]]:
        """Return the weights that one process trains on the pairs of `commit`."""
        pairs, work = self.folder / f"pairs-{steps}", self.folder / "alone"
        command = [sys.executable, "-c", ALONE, str(pairs), str(work)]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[2], timeout=200)
        return arrays_of(work / "checkpoint")

    def weights(self, commit: Commit) -> dict[str, np.ndarray[Any, Any]]:
        folder = self.folder / commit.id
        folder.mkdir(exist_ok=True)
        for path in files(self.client, commit.repo, commit.id, "/checkpoint/"):
            (folder / Path(path).name).write_bytes(read(self.client, commit.repo, commit.id, path) or b"")
        return arrays_of(folder)


def arrays_of(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    arrays = checkpoints.read(folder, "generator", "discriminator").arrays
    return {f"{a}/{name}": np.asarray(values) for a, named in arrays.items() for name, values in named.items()}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with Served(tmp_path / "store") as served, FakeTrainer() as trainer:
        address = f"grpc://{served.address}"
        with connect(Target(pachd=address)) as client:
            set_up(client)
            machine = Machine(client, address, trainer, tmp_path)
            try:
                yield machine
            finally:
                for name in machine.nodes.processes:
                    machine.nodes.stop(name)


def rest(seconds: float) -> None:
    threading.Event().wait(0.2)


@pytest.mark.long
def test_two_nodes_train_the_same_weights_as_one_process(machine: Machine) -> None:
    set_id = machine.commit(steps=4)
    together = machine.fill(machine.stage, set_id, "two", pause=rest)
    assert together.state == "good"
    record = read_record(machine.client, together.repo, together.id)
    assert record is not None
    assert "Trained on 2 nodes." in record.notes
    assert record.metrics["steps"] == 4
    found = machine.weights(together)
    alone = machine.alone(4)
    difference = max(float(np.abs(found[name] - alone[name]).max()) for name in alone)
    assert found.keys() == alone.keys()
    assert 0 < difference <= 1e-5, "the sums of the gradients are rounded in another order"


@pytest.mark.long
def test_nodes_that_were_stopped_save_and_the_next_run_resumes_them(machine: Machine) -> None:
    set_id = machine.commit(steps=100_000)

    def stop_after_a_save(seconds: float) -> None:
        rest(seconds)
        if "files of unfinished work" in machine.nodes.log():
            raise SystemExit(143)

    with pytest.raises(SystemExit):
        machine.fill(machine.stage, set_id, "first", pause=stop_after_a_save)
    (name,) = machine.nodes.processes
    machine.nodes.stop(name)
    assert machine.trainer.deleted == [name]
    newest = head(machine.client, UNFINISHED)
    saved = {path for path in files(machine.client, newest.repo, newest.id) if "/state/checkpoints/" in path}
    assert saved
    resumed: list[str] = []

    def stop_once_resumed(seconds: float) -> None:
        rest(seconds)
        resumed.extend(line for line in machine.nodes.log().splitlines() if "resuming the unfinished work" in line)
        if resumed:
            raise SystemExit(143)

    with pytest.raises(SystemExit):
        machine.fill(machine.stage, set_id, "second", pause=stop_once_resumed)
    assert len(machine.trainer.created) == 2
    assert inspect(machine.client, CHECKPOINT.repo, set_id).state == "open"
