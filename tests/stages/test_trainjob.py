"""Training on several nodes: one TrainJob for each run, adopted after a restart, deleted at the end."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
import yaml
from fake_trainer import Document, FakeTrainer
from kubernetes import client as kubernetes_client
from stage_harness import StageHarness

from components.train.stage import STAGE
from components.train.trainjob import outcome
from components.train.trainjob.cluster import TrainJobApi
from components.train.trainjob.delegate import delegated
from components.train.trainjob.nodes import Nodes
from components.train.trainjob.worker import ClaimWatch, with_task
from pachyderm.client.commits import Commit, head
from pachyderm.client.files import files
from pachyderm.dag.repos import CHECKPOINT, TRAINING
from pachyderm.errors import CommitFailedError, LostClaimError, PermanentError
from pachyderm.output.attempt import Attempt
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import Resolved, Stage, StageOutput
from pachyderm.output.work_in_progress import UNFINISHED, UnfinishedWork
from pachyderm.queue.blockers import waiting
from pachyderm.queue.claims import STALE_AFTER, claims_of, give_back, take
from pix2pix.errors import WorkError

HOUSE = Path(__file__).parents[2]
ENVIRONMENT = {"PACHD_ADDRESS": "grpc://pachd:30650"}


@pytest.fixture
def trainer() -> Iterator[FakeTrainer]:
    with FakeTrainer() as trainer:
        yield trainer


class Cluster:
    """A cluster whose nodes leave a result in Pachyderm, and the train stage on it.

    Attributes:
        pauses: called instead of waiting, with the number of the pause.
    """

    def __init__(self, harness: StageHarness, trainer: FakeTrainer) -> None:
        self.harness, self.trainer = harness, trainer
        self.set_id = harness.put(TRAINING, {"/a.png": "A"})
        self.nodes = Nodes(2, "pix2pix-training", "example.com/pix2pix:1", {"limits": {"nvidia.com/gpu": "1"}})
        self.pauses: Callable[[int], None] = lambda number: None
        self._paused = 0

    def stage(self, environment: Mapping[str, str] = ENVIRONMENT, batch_size: int = 2) -> Stage:
        configuration = kubernetes_client.Configuration()
        configuration.host, configuration.retries = self.trainer.url, False
        train = self.harness.stages()["train"]
        unresolved = train.resolve

        def resolve(*arguments: Any) -> Resolved:
            return replace(unresolved(*arguments), values=SimpleNamespace(batch_size=batch_size))

        api = TrainJobApi(kubernetes_client.ApiClient(configuration), "team")
        return delegated(replace(train, resolve=resolve), self.nodes, environment, lambda: api)

    def fill(self, run: str = "run", **options: Any) -> Commit:
        def pause(seconds: float) -> None:
            self._paused += 1
            assert self._paused < 50, "it waits for ever"
            self.pauses(self._paused)

        worker = replace(self.harness.worker(run), pause=pause)
        return fill_set(self.harness.client, self.stage(**options), self.set_id, {}, worker)[0]

    def complete(self, job: Document) -> None:
        """Play the nodes: they save their result, and the TrainJob is complete."""
        self.save(job, "checkpoint/weights", "trained by two")
        self.trainer.end(job, "Complete")

    def save(self, job: Document, name: str, text: str) -> None:
        folder = self.harness.folder / "node" / str(len(list(self.harness.folder.glob("node/*"))))
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
        outcome.write(folder, StageOutput({}, metrics={"steps": 7}, notes=("said by node 0",)))
        with closing(self.harness.client.another()) as second:
            UnfinishedWork(second, job["spec"]["trainer"]["args"][1], folder).save()


@pytest.fixture
def cluster(harness: StageHarness, trainer: FakeTrainer) -> Cluster:
    cluster = Cluster(harness, trainer)
    trainer.on_read = cluster.complete
    return cluster


def test_the_nodes_result_is_published_and_the_trainjob_and_the_unfinished_work_are_deleted(cluster: Cluster) -> None:
    commit = cluster.fill()
    assert commit.state == "good"
    assert cluster.harness.content(commit) == {"/checkpoint/weights": "trained by two"}
    record = cluster.harness.record(commit)
    assert record.metrics == {"steps": 7}
    assert "Trained on 2 nodes." in record.notes
    assert len(cluster.trainer.created) == 1
    assert cluster.trainer.deleted == cluster.trainer.created
    newest = head(cluster.harness.client, UNFINISHED)
    assert files(cluster.harness.client, newest.repo, newest.id) == {}


def test_the_trainjob_names_commit_image_resources_and_workers(cluster: Cluster) -> None:
    jobs: list[Document] = []
    cluster.trainer.on_read = lambda job: (jobs.append(job), cluster.complete(job))[1]
    cluster.fill()
    trainer = jobs[0]["spec"]["trainer"]
    name = jobs[0]["metadata"]["name"]
    assert jobs[0]["metadata"]["labels"]["pix2pix/commit"] == cluster.set_id
    assert (trainer["numNodes"], trainer["image"]) == (2, "example.com/pix2pix:1")
    assert trainer["resourcesPerNode"] == {"limits": {"nvidia.com/gpu": "1"}}
    (configuration,) = [entry["value"] for entry in trainer["env"] if entry["name"] == "TF_CONFIG"]
    assert json.loads(with_task(configuration, 1)) == {
        "cluster": {"worker": [f"{name}-node-0-0.{name}:2222", f"{name}-node-0-1.{name}:2222"]},
        "task": {"type": "worker", "index": 1},
    }
    tokens = [entry for entry in trainer["env"] if entry["name"] == "PACH_TOKEN"]
    assert "secretKeyRef" in tokens[0]["valueFrom"], "the token is never a part of the TrainJob"


def test_a_restarted_task_adopts_the_trainjob_of_its_run(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    def killed(number: int) -> None:
        raise KeyboardInterrupt("the node of the task is gone")

    cluster.trainer.on_read = lambda job: None
    cluster.trainer.faults = lambda method, path: "500" if method == "DELETE" else None
    cluster.pauses = killed
    with pytest.raises(KeyboardInterrupt):
        cluster.fill()
    assert cluster.trainer.deleted == []
    cluster.trainer.faults = lambda method, path: None
    cluster.trainer.on_read, cluster.pauses = cluster.complete, lambda number: None
    with caplog.at_level(logging.INFO):
        assert cluster.fill().state == "good"
    assert len(cluster.trainer.created) == 1
    assert "adopting the TrainJob" in caplog.text
    assert cluster.trainer.deleted == cluster.trainer.created


def test_an_unclear_create_makes_no_second_trainjob(cluster: Cluster) -> None:
    answered: list[str] = []

    def lost(method: str, path: str) -> str | None:
        if method == "POST" and not answered:
            answered.append(path)
            return "after"
        return None

    cluster.trainer.faults = lost
    assert cluster.fill().state == "good"
    assert len(cluster.trainer.created) == 1


def test_a_kill_deletes_the_trainjob_and_leaves_the_commit_open(cluster: Cluster) -> None:
    def terminated(number: int) -> None:
        raise SystemExit(143)

    cluster.trainer.on_read = lambda job: cluster.save(job, "state/checkpoints/5", "step 5")
    cluster.pauses = terminated
    with pytest.raises(SystemExit):
        cluster.fill()
    assert cluster.trainer.deleted == cluster.trainer.created
    commit = cluster.harness.output(CHECKPOINT, cluster.set_id)
    assert commit.state == "open"
    newest = head(cluster.harness.client, UNFINISHED)
    kept = files(cluster.harness.client, newest.repo, newest.id)
    assert any(path.endswith("state/checkpoints/5") for path in kept), "what the nodes saved is kept"


def test_a_take_over_deletes_the_trainjob_of_the_other_run_before_it_creates_its_own(cluster: Cluster) -> None:
    def killed(number: int) -> None:
        raise KeyboardInterrupt

    cluster.trainer.on_read = lambda job: None
    cluster.trainer.faults = lambda method, path: "500" if method == "DELETE" else None
    cluster.pauses = killed
    with pytest.raises(KeyboardInterrupt):
        cluster.fill("first")
    cluster.trainer.faults = lambda method, path: None
    cluster.pauses = lambda number: None
    alive: list[int] = []
    cluster.trainer.on_read = lambda job: (alive.append(len(cluster.trainer.jobs)), cluster.complete(job))[1]
    assert cluster.fill("second").state == "good"
    assert len(cluster.trainer.created) == 2
    assert cluster.trainer.deleted == cluster.trainer.created
    assert set(alive) == {1}, "never two at a time"


def test_an_attempt_that_was_taken_over_leaves_the_trainjob_to_its_successor(cluster: Cluster) -> None:
    client = cluster.harness.client

    def taken_over(number: int) -> None:
        commit = cluster.harness.output(CHECKPOINT, cluster.set_id)
        if claims_of(commit.metadata)[-1].attempt != "successor":
            take(client, commit, "run", "successor", over="no heartbeat")
        else:
            cluster.trainer.on_read = cluster.complete
            give_back(client, commit, claims_of(commit.metadata)[-1].number, "done")

    cluster.trainer.on_read = lambda job: None
    cluster.pauses = taken_over
    assert cluster.fill().state == "good"
    assert len(cluster.trainer.created) == 1, "the next attempt of the same run adopted it"
    assert cluster.trainer.deleted == cluster.trainer.created


def test_a_failed_node_is_reported_with_what_it_wrote_and_the_next_run_goes_on(cluster: Cluster) -> None:
    def fail(job: Document) -> None:
        cluster.trainer.set_pod(job, 1, "Failed", terminated={"exitCode": 1, "message": "No space left on /tmp"})
        cluster.trainer.end(job, "Failed", "jobset failed due to one or more job failures")

    cluster.trainer.on_read = fail
    with pytest.raises(WorkError, match="node 1 exited with 1: No space left on /tmp"):
        cluster.fill("first")
    assert cluster.harness.output(CHECKPOINT, cluster.set_id).state == "open"
    assert cluster.trainer.deleted == cluster.trainer.created
    cluster.trainer.on_read = cluster.complete
    assert cluster.fill("first").state == "good", "a TrainJob that failed is not adopted"
    assert len(cluster.trainer.created) == 2


def test_what_no_retry_can_mend_fails_the_commit_with_the_nodes_words(cluster: Cluster) -> None:
    def fail(job: Document) -> None:
        ended = {
            "exitCode": 65,
            "message": "none of the 3 pictures is a usable pair",
            "finishedAt": "2026-11-27T21:00:02Z",
        }
        other = {"exitCode": 1, "message": "a peer is gone", "finishedAt": "2026-11-27T21:00:01Z"}
        cluster.trainer.set_pod(job, 0, "Failed", terminated=other)
        cluster.trainer.set_pod(job, 1, "Failed", terminated=ended)
        cluster.trainer.end(job, "Failed")

    cluster.trainer.on_read = fail
    with pytest.raises(CommitFailedError, match="failed: none of the 3 pictures is a usable pair"):
        cluster.fill()


@pytest.mark.parametrize(
    ("breaks", "message"),
    [
        ({"installed": False}, "this cluster has no TrainJobs .*install Kubeflow Trainer, or set nodes to 1"),
        ({"runtimes": set()}, "the TrainingRuntime pix2pix-training does not exist in the namespace team; apply"),
        ({"allowed": False}, "may not create TrainJobs in team; apply the kustomize component trainjob"),
    ],
)
def test_a_cluster_that_cannot_train_is_named_and_nothing_is_lost(
    cluster: Cluster, breaks: dict[str, Any], message: str
) -> None:
    cluster.trainer.on_read = lambda job: cluster.save(job, "state/checkpoints/5", "step 5")
    cluster.pauses = lambda number: (_ for _ in ()).throw(SystemExit(143))
    with pytest.raises(SystemExit):
        cluster.fill("first")
    cluster.pauses = lambda number: None
    for name, value in breaks.items():
        setattr(cluster.trainer, name, value)
    with pytest.raises(CommitFailedError, match=message):
        cluster.fill("second")
    newest = head(cluster.harness.client, UNFINISHED)
    kept = files(cluster.harness.client, newest.repo, newest.id)
    assert any(path.endswith("state/checkpoints/5") for path in kept)


@pytest.mark.parametrize(
    ("nodes", "batch_size", "environment", "message"),
    [
        (Nodes(0, "r"), 2, ENVIRONMENT, "nodes = 0 is not a number of nodes"),
        (Nodes(2, "Deployment/x"), 2, ENVIRONMENT, "runtime = 'Deployment/x' is not the name of a runtime"),
        (Nodes(2, ""), 2, ENVIRONMENT, "runtime = '' is not the name"),
        (Nodes(2, "r", "", {"gpu": "1"}), 2, ENVIRONMENT, "node_resources has gpu; it takes limits and requests"),
        (Nodes(2, "r"), 3, ENVIRONMENT, "batch_size = 3 cannot be shared by 2 nodes; allowed: 2, 4, 6"),
        (Nodes(2, "r"), 2, {}, "needs a Pachyderm that the nodes can reach; set PACHD_ADDRESS"),
    ],
)
def test_wrong_parameters_fail_before_anything_is_asked_of_the_cluster(
    nodes: Nodes, batch_size: int, environment: dict[str, str], message: str
) -> None:
    def untouched() -> TrainJobApi:
        raise AssertionError("the cluster is asked")

    job: Any = SimpleNamespace(parameters=SimpleNamespace(batch_size=batch_size))
    with pytest.raises(PermanentError, match=message):
        delegated(STAGE, nodes, environment, untouched).work(job)


def waits_of(cluster: Cluster, changes: Callable[[Document], None], monkeypatch: Any, **environment: str) -> str:
    """Return what `pix2pix status` shows while a TrainJob is as `changes` makes it; then it completes."""
    shown: list[str] = []

    def look(number: int) -> None:
        threading.Event().wait(0.05)
        shown.extend(entry.reason for entry in waiting(cluster.harness.client, 0.0) if "waits for" in entry.reason)
        if shown:
            cluster.trainer.on_read = lambda job: (job.pop("status", None), cluster.complete(job))[1]

    monkeypatch.setattr("pachyderm.queue.claims.RENEW_EVERY", 0.02)
    cluster.trainer.on_read = lambda job: None if "status" in job else changes(job)
    cluster.pauses = look
    cluster.fill(environment={**ENVIRONMENT, **environment})
    return shown[0]


def test_status_shows_that_the_queue_does_not_exist(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = waits_of(
        cluster, lambda job: cluster.trainer.end(job, "Suspended"), monkeypatch, PIX2PIX_QUEUE="team-queue"
    )
    assert shown.endswith("waits for the queue team-queue, which does not exist in the namespace team")


def test_status_shows_that_the_queue_is_full(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[Document] = []

    def suspended(job: Document) -> None:
        jobs.append(job)
        cluster.trainer.end(job, "Suspended")

    shown = waits_of(cluster, suspended, monkeypatch, PIX2PIX_QUEUE="gpus")
    assert "waits for the queue gpus of Kueue, which has not admitted the TrainJob" in shown
    assert jobs[0]["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"


def test_status_shows_why_a_node_is_not_scheduled(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def pending(job: Document) -> None:
        condition = {
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        }  # fmt: skip
        cluster.trainer.set_pod(job, 0, "Running", running={})
        cluster.trainer.set_pod(job, 1, "Pending", conditions=[condition])

    shown = waits_of(cluster, pending, monkeypatch)
    assert shown.endswith(
        "waits for node 1 of 2: Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    )


def test_the_log_of_node_0_is_relayed_once_and_its_progress_is_the_tasks(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    progress: list[tuple[int, int, str]] = []

    def look(job: Document) -> None:
        pod = cluster.trainer.set_pod(job, 0, "Running", running={})
        cluster.trainer.set_pod(job, 1, "Running", running={})
        log = cluster.trainer.logs.setdefault(pod, [])
        number = len(log)
        log.append((f"2026-11-27T21:00:0{number}.5Z", f"line {number}"))
        log.append((f"2026-11-27T21:00:0{number}.500000001Z", f"21:00 train {number}/9 (2.0/s, 4 s left) L1 0.5"))
        if number == 4:
            cluster.complete(job)

    cluster.trainer.on_read = look
    worker = cluster.harness.worker
    cluster.harness.worker = lambda run: replace(worker(run), progress=lambda *seen: progress.append(seen))  # type: ignore[method-assign]
    with caplog.at_level(logging.INFO):
        cluster.fill()
    relayed = [record.getMessage() for record in caplog.records if record.getMessage().startswith("node 0: ")]
    assert relayed == ["node 0: line 0", "node 0: line 2", "node 0: line 4"]
    assert progress == [(0, 9, "L1 0.5"), (2, 9, "L1 0.5"), (4, 9, "L1 0.5")]


def test_an_absence_of_the_kubernetes_api_is_waited_for(cluster: Cluster) -> None:
    left = ["503", "429", "500"]
    cluster.trainer.faults = lambda method, path: left.pop() if left and method == "GET" else None
    assert cluster.fill().state == "good"
    assert left == []
    assert len(cluster.trainer.created) == 1


def test_an_absence_of_pachyderm_leaves_the_trainjob_alone(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    unpatched, absences = Attempt._check, [1]

    def away(self: Attempt, *arguments: Any) -> None:
        if absences:
            absences.pop()
            raise grpc.RpcError
        unpatched(self, *arguments)

    monkeypatch.setattr(Attempt, "_check", away)
    assert cluster.fill().state == "good"
    assert absences == []
    assert cluster.trainer.deleted == cluster.trainer.created == [cluster.trainer.created[0]]


def test_a_trainjob_that_somebody_deletes_fails_the_attempt_alone(cluster: Cluster) -> None:
    cluster.trainer.on_read = lambda job: None
    cluster.pauses = lambda number: cluster.trainer.jobs.clear()
    with pytest.raises(WorkError, match="was deleted while it ran; the next attempt goes on"):
        cluster.fill()
    assert cluster.harness.output(CHECKPOINT, cluster.set_id).state == "open"


def test_one_node_trains_in_the_task_itself(cluster: Cluster) -> None:
    cluster.nodes = Nodes(1)
    assert not cluster.stage().delegates


def test_the_role_allows_what_the_task_asks_for_and_nothing_else(cluster: Cluster) -> None:
    def suspended(job: Document) -> None:
        pod = cluster.trainer.set_pod(job, 0, "Running", running={})
        cluster.trainer.logs[pod] = []
        if job.pop("status", None) is None:
            cluster.trainer.end(job, "Suspended")
        else:
            cluster.complete(job)

    cluster.trainer.on_read = suspended
    cluster.fill(environment={**ENVIRONMENT, "PIX2PIX_QUEUE": "gpus"})
    document = (HOUSE / "deploy/kustomize/components/trainjob/role.yaml").read_text()
    role = next(entry for entry in yaml.safe_load_all(document) if entry["kind"] == "Role")
    allowed = {
        (verb, group, resource)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert set(cluster.trainer.requests) == allowed


def test_a_node_stops_when_its_run_has_lost_the_commit_or_follows_it_no_more(cluster: Cluster) -> None:
    client, seconds = cluster.harness.client, [0.0]
    commit = cluster.harness.output(CHECKPOINT, cluster.set_id)
    claim = take(client, commit, "run", "first")
    assert claim is not None
    watch = ClaimWatch(cluster.set_id, "run", lambda: seconds[0])
    watch.check_followed(client)
    seconds[0] = STALE_AFTER - 1
    client.edit_keys(CHECKPOINT.repo, cluster.set_id, put={"alive.1": "1"})
    watch.check_followed(client)
    seconds[0] += STALE_AFTER - 1
    watch.check_followed(client)
    seconds[0] += 1
    with pytest.raises(LostClaimError, match="the run run does not follow its TrainJob any more"):
        watch.check_followed(client)
    give_back(client, cluster.harness.output(CHECKPOINT, cluster.set_id), 1, "interrupted: SystemExit: 143")
    watch.check(client)  # nodes that are asked to stop after their task still save, however long that takes
    take(client, cluster.harness.output(CHECKPOINT, cluster.set_id), "another", "second")
    with pytest.raises(LostClaimError, match="no longer claimed by the run run"):
        watch.check(client)


def test_a_node_checks_the_claim_every_half_minute_and_outlasts_an_absence(cluster: Cluster) -> None:
    seconds, checks = [0.0], [0]
    watch = ClaimWatch(cluster.set_id, "run", lambda: seconds[0])

    def away(client: object) -> Commit:
        checks[0] += 1
        raise grpc.RpcError

    watch.check_followed = away  # type: ignore[method-assign, assignment]
    progress = watch.checking(cluster.harness.client, lambda done, total, note: None)
    for _ in range(61):
        progress(1, 2, "")
        seconds[0] += 1.0
    assert checks == [2]
