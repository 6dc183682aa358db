"""`workflows.run_open`: one pass of the trigger from a script or a notebook."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from conftest import TriggerHarness

import pachyderm
import workflows
from workflows.trigger import wiring


@pytest.fixture
def data(harness: TriggerHarness, monkeypatch: pytest.MonkeyPatch) -> pachyderm.VersionedData:
    """The harness's data, on which its instant runner works."""
    monkeypatch.setattr(wiring, "runner_for", lambda context, configuration: harness.context.runner)
    return pachyderm.VersionedData(harness.target)


def test_it_runs_what_is_open_and_returns_how_it_ended(harness: TriggerHarness, data: pachyderm.VersionedData) -> None:
    commit_set = harness.train()
    (outcome,) = workflows.run_open(data)
    assert (outcome.commit_set, outcome.pipeline, outcome.state) == (commit_set, "training_and_export", "good")
    assert workflows.run_open(data) == ()


def test_a_failed_run_is_an_error_that_names_it(
    harness: TriggerHarness, data: pachyderm.VersionedData, tmp_path: Path
) -> None:
    harness.order("fail-checkpoint", "no luck")
    settings = tmp_path / "trigger.toml"
    settings.write_text("[policy.training_and_export]\nbackoff = 0.0\n", encoding="utf-8")
    commit_set = harness.train()
    with pytest.raises(workflows.RunFailedError, match=rf"1 of 1.*{commit_set}.*no luck"):
        workflows.run_open(data, config=settings)


def test_it_works_in_a_thread_where_no_signal_handlers_can_be_set(
    harness: TriggerHarness, data: pachyderm.VersionedData
) -> None:
    harness.train()
    outcomes: list[workflows.Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.extend(workflows.run_open(data)))
    thread.start()
    thread.join()
    assert [outcome.state for outcome in outcomes] == ["good"]


def test_wrong_settings_start_nothing(harness: TriggerHarness, data: pachyderm.VersionedData, tmp_path: Path) -> None:
    harness.train()
    with pytest.raises(workflows.RunInputError, match=r"runner.*kubeflow"):
        workflows.run_open(data, runner="kubernetes")
    with pytest.raises(workflows.RunInputError, match="cannot be read"):
        workflows.run_open(data, config=tmp_path / "missing.toml")
    assert harness.began() == []


def test_a_store_without_repos_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(pachyderm.RequestError, match="setup"):
        workflows.run_open(tmp_path / "store", show=lambda line: None)
