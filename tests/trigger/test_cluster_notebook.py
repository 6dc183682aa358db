"""The notebook for a cluster, on a Pachyderm at an address and a Kubeflow whose workflows fill commits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from fake_kubeflow import Document, FakeKubeflow
from filling_stage import fill
from served import Served

from pachyderm.client.connection import Target, connect
from pachyderm.dag.repos import PIPELINES

sys.path.append(str(Path(__file__).resolve().parents[1] / "examples"))
from notebooks import execute, html, read, text


@pytest.mark.long
def test_the_cluster_notebook_runs_on_kubeflow(tmp_path: Path, monkeypatch: Any) -> None:
    with Served(tmp_path / "store") as served, FakeKubeflow() as kubeflow:

        def work(run: Document) -> None:
            """Fill the commits of a run, as its tasks on the cluster would."""
            kubeflow.advance(run["run_id"], "RUNNING")
            pipeline, commit_set, _ = run["display_name"].split()
            with connect(Target(pachd=served.address)) as client:
                for branch in next(one.outputs for one in PIPELINES if one.name == pipeline):
                    fill(client, branch.repo, commit_set, run["run_id"], tmp_path)
            kubeflow.advance(run["run_id"], "SUCCEEDED")

        kubeflow.on_workflow = work
        monkeypatch.setenv("PACHD_ADDRESS", served.address)
        monkeypatch.setenv("PIX2PIX_TRIGGER_KUBEFLOW_ENDPOINT", kubeflow.url)
        monkeypatch.setenv("PIX2PIX_TRIGGER_LEASE_NAME", "")
        monkeypatch.setenv("PIX2PIX_TRIGGER_POLL_INTERVAL", "0.2")
        done = execute(read("cluster"), tmp_path)
    (run_id,) = kubeflow.runs
    assert text(done, 5) == f"[('training_and_export', 'good', '{run_id}')]"
    assert "good" in html(done, 7)[0]
    assert "training@" in html(done, 8)[0]
