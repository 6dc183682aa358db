"""Nodes of a TrainJob as processes of this machine: what JobSet and the kubelet do, for `FakeTrainer`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from fake_trainer import Document, FakeTrainer


class NodesOnOneMachine:
    """Starts the nodes of each TrainJob when it is first read, and ends it with them.

    Args:
        trainer: the cluster; its `on_read` is taken.
        address: of Pachyderm.
        folder: for logs and temporary files.
    """

    def __init__(self, trainer: FakeTrainer, address: str, folder: Path) -> None:
        self._trainer, self._address, self._folder = trainer, address, folder
        self.processes: dict[str, list[subprocess.Popen[bytes]]] = {}
        trainer.on_read = self._reconcile

    def _reconcile(self, job: Document) -> None:
        name = job["metadata"]["name"]
        if name not in self.processes:
            self.processes[name] = self._start(job["spec"]["trainer"], len(self.processes))
        codes = [process.poll() for process in self.processes[name]]
        for index, code in enumerate(codes):
            state: dict[str, Any] = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
            phase = "Running" if code is None else "Failed" if code else "Succeeded"
            pod = self._trainer.set_pod(job, index, phase, **state)
            if index == 0:
                self._read_log(pod)
        if any(codes):
            self.stop(name)
            self._trainer.end(job, "Failed", "jobset failed due to one or more job failures")
        elif all(code == 0 for code in codes):
            self._trainer.end(job, "Complete")

    def _start(self, trainer: Document, number: int) -> list[subprocess.Popen[bytes]]:
        count, ports = trainer["numNodes"], []
        for _ in range(count):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                ports.append(probe.getsockname()[1])
        # In a cluster the headless service of the JobSet resolves these names.
        names = next(json.loads(entry["value"]) for entry in trainer["env"] if entry["name"] == "TF_CONFIG")
        assert len(names["cluster"]["worker"]) == count
        configuration = json.dumps({"cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]}})
        environment = {**os.environ, "PACHD_ADDRESS": self._address, "TF_CONFIG": configuration}
        processes = []
        for index in range(count):
            with (self._folder / f"node-{number}-{index}.log").open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, *trainer["command"][1:], *trainer["args"]],
                        env={**environment, "JOB_COMPLETION_INDEX": str(index)},
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        cwd=Path(__file__).parents[2],
                    )
                )
        return processes

    def _read_log(self, pod: str) -> None:
        lines = sorted(self._folder.glob("node-*-0.log"))[-1].read_text(errors="replace").splitlines()
        self._trainer.logs[pod] = [(f"2026-11-27T21:00:00.{n:09}Z", line) for n, line in enumerate(lines, 1)]

    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in sorted(self._folder.glob("node-*.log")))

    def stop(self, name: str) -> None:
        """Ask the nodes of a TrainJob to stop, as a deletion does, and wait for them."""
        for process in self.processes[name]:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes[name]:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
