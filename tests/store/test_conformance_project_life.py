"""The life of this project's repos: set-up, training, promotion, rollback and revert."""

from dataclasses import dataclass

import grpc
import pytest
from pachyderm_sdk.api import pfs
from server_under_test import Pachd, happened, ids, refused, replacing

pytestmark = pytest.mark.conformance


@dataclass(frozen=True)
class Pipelines:
    """The six repos of the two pipelines, with names that are unique to the test."""

    training: pfs.Branch
    checkpoint: pfs.Branch
    candidate: pfs.Branch
    model: pfs.Branch
    pictures: pfs.Branch
    prepared: pfs.Branch
    generated: pfs.Branch

    def of(self, branch: pfs.Branch, commit_id: str) -> pfs.Commit:
        return pfs.Commit(repo=branch.repo, id=commit_id)


@pytest.fixture
def dag(pachd: Pachd) -> Pipelines:
    """Create the repos in two transactions: two heads of one repo in one transaction are refused."""
    with pachd.client.transaction.transaction():
        training, checkpoint, model = pachd.repos("training", "checkpoint", "model")
        pictures, prepared, generated = pachd.repos("input_images", "preprocess_images", "generate_images")
        first = pachd.branch(training)
        second = pachd.branch(checkpoint, on=[first])
        candidate = pachd.branch(model, "candidate", on=[second])
        source = pachd.branch(pictures)
        resized = pachd.branch(prepared, on=[source])
        for branch in (second, candidate, resized):
            pachd.client.pfs.finish_commit(commit=pachd.commit(branch))
    with pachd.client.transaction.transaction():
        master = pachd.branch(model)
        result = pachd.branch(generated, on=[resized, master])
        pachd.client.pfs.finish_commit(commit=pachd.commit(result))
    for branch in (second, candidate, resized, result):
        pachd.wait(pachd.head(branch))
    return Pipelines(first, second, candidate, master, source, resized, result)


def fill(pachd: Pachd, commit: pfs.Commit, files: dict[str, bytes]) -> None:
    """Do what a stage does: add one file set that replaces the commit's files, then finish."""
    stale = [pfs.DeleteFile(path=path) for path in pachd.files(commit) if path not in files]
    pachd.publish(commit, *stale, *replacing(files))
    pachd.finish(commit)


def train(pachd: Pachd, dag: Pipelines, words: bytes) -> str:
    """Make a commit on training and its two results; return the id of the commit set."""
    commit = pachd.write(dag.training, {"/pair.png": words})
    fill(pachd, dag.of(dag.checkpoint, commit.id), {"/checkpoint/weights": words})
    fill(pachd, dag.of(dag.candidate, commit.id), {"/1/saved_model.pb": words})
    return commit.id


def promote(pachd: Pachd, dag: Pipelines, set_id: str) -> str:
    """Move the model's head; return the id of the commit set in which the pictures are made again."""
    pachd.branch(dag.model.repo, head=dag.of(dag.candidate, set_id))
    return pachd.head(dag.generated).id


def test_set_up_leaves_nothing_open_and_every_repo_empty(pachd: Pachd, dag: Pipelines) -> None:
    branches = (dag.training, dag.checkpoint, dag.candidate, dag.model, dag.pictures, dag.prepared, dag.generated)
    for branch in branches:
        info = pachd.info(branch)
        assert happened(info.finished)
        assert info.error == ""
        assert pachd.ls(branch) == []


def test_both_heads_of_the_model_repo_cannot_be_set_up_in_one_transaction(pachd: Pachd) -> None:
    with refused(), pachd.client.transaction.transaction():
        model = pachd.repo("model")
        pachd.branch(model, "candidate")
        pachd.branch(model, "master")


def test_training_data_opens_a_checkpoint_and_a_candidate_and_no_pictures(pachd: Pachd, dag: Pipelines) -> None:
    before = {branch.repo.name: pachd.head(branch).id for branch in (dag.prepared, dag.generated, dag.model)}
    commit = pachd.write(dag.training, {"/pair.png": b"1"})
    assert pachd.head(dag.checkpoint).id == pachd.head(dag.candidate).id == commit.id
    assert {branch.repo.name: pachd.head(branch).id for branch in (dag.prepared, dag.generated, dag.model)} == before


def test_a_finished_candidate_stays_a_candidate(pachd: Pachd, dag: Pipelines) -> None:
    before = pachd.head(dag.generated).id
    set_id = train(pachd, dag, b"first")
    assert pachd.files(dag.candidate) == {"/1/saved_model.pb": b"first"}
    assert pachd.head(dag.model).id != set_id
    assert pachd.head(dag.generated).id == before


def test_promotion_opens_one_commit_of_pictures_whose_set_names_the_whole_lineage(pachd: Pachd, dag: Pipelines) -> None:
    picture = pachd.write(dag.pictures, {"/cat.png": b"cat"})
    fill(pachd, dag.of(dag.prepared, picture.id), {"/cat.png": b"small cat"})
    fill(pachd, dag.of(dag.generated, picture.id), {})
    set_id = train(pachd, dag, b"first")
    new = promote(pachd, dag, set_id)
    assert pachd.head(dag.model).id == set_id
    assert new not in (set_id, picture.id)
    assert sorted(pachd.commit_set(new)) == sorted(
        [
            (dag.training.repo.name, set_id),
            (dag.checkpoint.repo.name, set_id),
            (dag.model.repo.name, set_id),
            (dag.pictures.repo.name, picture.id),
            (dag.prepared.repo.name, picture.id),
            (dag.generated.repo.name, new),
        ]
    )


def test_promoting_the_same_model_again_opens_the_pictures_again(pachd: Pachd, dag: Pipelines) -> None:
    set_id = train(pachd, dag, b"first")
    once = promote(pachd, dag, set_id)
    fill(pachd, dag.of(dag.generated, once), {})
    again = promote(pachd, dag, set_id)
    assert again != once
    assert pachd.head(dag.model).id == set_id
    assert pachd.info(dag.generated).parent_commit.id == once


def test_a_roll_back_brings_the_older_model_back_and_leaves_the_candidate(pachd: Pachd, dag: Pipelines) -> None:
    old, new = train(pachd, dag, b"old"), train(pachd, dag, b"new")
    for set_id in (old, new):
        fill(pachd, dag.of(dag.generated, promote(pachd, dag, set_id)), {})
    back = promote(pachd, dag, old)
    assert pachd.files(dag.model) == {"/1/saved_model.pb": b"old"}
    assert pachd.head(dag.candidate).id == new
    assert (dag.model.repo.name, old) in pachd.commit_set(back)
    assert pachd.is_open(dag.generated)


def test_finishing_a_candidate_and_promoting_it_is_one_step(pachd: Pachd, dag: Pipelines) -> None:
    commit = pachd.write(dag.training, {"/pair.png": b"1"})
    fill(pachd, dag.of(dag.checkpoint, commit.id), {"/checkpoint/weights": b"1"})
    candidate = dag.of(dag.candidate, commit.id)
    pachd.publish(candidate, *replacing({"/1/saved_model.pb": b"1"}))
    with pachd.client.transaction.transaction() as opened:
        pachd.client.pfs.finish_commit(commit=candidate)
        pachd.branch(dag.model.repo, head=candidate)
    assert pachd.head(dag.model).id == commit.id
    assert pachd.head(dag.generated).id == opened.id
    pachd.wait(candidate)
    assert pachd.files(dag.model) == {"/1/saved_model.pb": b"1"}


def test_pictures_are_made_with_the_present_model(pachd: Pachd, dag: Pipelines) -> None:
    model = train(pachd, dag, b"first")
    fill(pachd, dag.of(dag.generated, promote(pachd, dag, model)), {})
    picture = pachd.write(dag.pictures, {"/cat.png": b"cat"})
    assert pachd.head(dag.prepared).id == pachd.head(dag.generated).id == picture.id
    provenance = {c.repo.name: c.id for c in pachd.info(dag.generated).direct_provenance}
    assert provenance == {dag.prepared.repo.name: picture.id, dag.model.repo.name: model}
    for branch in (dag.model, dag.checkpoint, dag.training):
        assert pachd.info(branch.repo, picture.id).commit.id == model


def test_a_set_of_new_pictures_never_leads_a_writer_into_the_model(pachd: Pachd, dag: Pipelines) -> None:
    model = train(pachd, dag, b"first")
    fill(pachd, dag.of(dag.generated, promote(pachd, dag, model)), {})
    picture = pachd.write(dag.pictures, {"/cat.png": b"cat"})
    with refused("already finished"):
        pachd.publish(dag.of(dag.model, picture.id), *replacing({"/1/saved_model.pb": b"wrong"}))
    assert pachd.files(dag.model) == {"/1/saved_model.pb": b"first"}


def test_a_commit_on_both_inputs_is_one_set_that_uses_the_model_of_before(pachd: Pachd, dag: Pipelines) -> None:
    before = pachd.head(dag.model).id
    with pachd.client.transaction.transaction() as opened:
        pachd.start(dag.training)
        pachd.start(dag.pictures)
    for branch in (dag.checkpoint, dag.candidate, dag.prepared, dag.generated):
        assert pachd.head(branch).id == opened.id
    provenance = {c.repo.name: c.id for c in pachd.info(dag.generated).direct_provenance}
    assert provenance == {dag.prepared.repo.name: opened.id, dag.model.repo.name: before}


def test_going_back_to_older_training_data_opens_new_outputs_of_it(pachd: Pachd, dag: Pipelines) -> None:
    old = train(pachd, dag, b"old")
    train(pachd, dag, b"new")
    pachd.branch(dag.training.repo, head=dag.of(dag.training, old))
    again = pachd.head(dag.checkpoint).id
    assert pachd.head(dag.candidate).id == again
    assert [c.id for c in pachd.info(dag.checkpoint).direct_provenance] == [old]
    assert pachd.info(dag.training.repo, again).commit.id == old
    assert len(pachd.history(dag.training.repo, origin_kind=pfs.OriginKind.USER)) == 2


def test_an_earlier_result_can_be_copied_into_a_new_commit_without_its_bytes(pachd: Pachd, dag: Pipelines) -> None:
    old = train(pachd, dag, b"old")
    train(pachd, dag, b"new")
    pachd.branch(dag.training.repo, head=dag.of(dag.training, old))
    again = pachd.head(dag.checkpoint)
    deletes = [pfs.DeleteFile(path=path) for path in pachd.files(again)]
    source = pachd.file(dag.of(dag.checkpoint, old), "/")
    pachd.publish(again, *deletes, pfs.CopyFile(src=source, dst="/"))
    pachd.finish(again)
    assert pachd.files(again) == {"/checkpoint/weights": b"old"}


def test_dropping_a_bad_training_commit_takes_its_results_with_it(pachd: Pachd, dag: Pipelines) -> None:
    good, bad = train(pachd, dag, b"good"), train(pachd, dag, b"bad")
    pachd.client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=bad))
    assert {pachd.head(branch).id for branch in (dag.training, dag.checkpoint, dag.candidate)} == {good}


def test_a_failed_training_leaves_the_model_and_the_next_training_alone(pachd: Pachd, dag: Pipelines) -> None:
    good = train(pachd, dag, b"good")
    promote(pachd, dag, good)
    bad = pachd.write(dag.training, {"/pair.png": b"bad"})
    pachd.finish(dag.of(dag.checkpoint, bad.id), error="failed: no pairs")
    pachd.finish(dag.of(dag.candidate, bad.id), error="failed: no checkpoint")
    assert pachd.head(dag.model).id == good
    better = train(pachd, dag, b"better")
    assert pachd.files(dag.candidate) == {"/1/saved_model.pb": b"better"}
    assert pachd.info(dag.of(dag.candidate, better)).error == ""


def test_a_set_of_training_data_opens_no_commits_of_pictures(pachd: Pachd, dag: Pipelines) -> None:
    set_id = train(pachd, dag, b"first")
    for branch in (dag.pictures, dag.prepared, dag.generated):
        with refused("not found", grpc.StatusCode.NOT_FOUND):
            pachd.info(branch.repo, set_id)


def test_a_newer_set_may_fail_before_the_older_one_is_done(pachd: Pachd, dag: Pipelines) -> None:
    older = pachd.write(dag.training, {"/pair.png": b"older"})
    newer = pachd.write(dag.training, {"/pair.png": b"newer"})
    info = pachd.finish(dag.of(dag.checkpoint, newer.id), error="cancelled: by hand")
    assert happened(info.finished)
    fill(pachd, dag.of(dag.checkpoint, older.id), {"/checkpoint/weights": b"older"})
    assert pachd.files(dag.of(dag.checkpoint, older.id)) == {"/checkpoint/weights": b"older"}


def test_a_set_superseded_while_open_is_not_the_base_of_the_next(pachd: Pachd, dag: Pipelines) -> None:
    older = pachd.write(dag.training, {"/pair.png": b"older"})
    newer = pachd.write(dag.training, {"/pair.png": b"newer"})
    for branch in (dag.checkpoint, dag.candidate):
        pachd.publish(dag.of(branch, older.id), *replacing({"/half": b"done"}))
        pachd.finish(dag.of(branch, older.id), error=f"superseded: by {newer.id}")
        fill(pachd, dag.of(branch, newer.id), {"/whole": b"done"})
        assert pachd.files(branch) == {"/whole": b"done"}


def test_the_work_that_waits_is_found_along_the_parents_of_the_head(pachd: Pachd, dag: Pipelines) -> None:
    done = train(pachd, dag, b"1")
    waiting = [pachd.write(dag.training, {"/pair.png": b"%d" % n}).id for n in range(2)]
    along = list(pachd.client.pfs.list_commit(repo=dag.candidate.repo, to=pachd.commit(dag.candidate)))
    still_open = [info for info in along if not happened(info.finishing)]
    assert ids(still_open) == waiting[::-1]
    assert ids(along)[len(waiting)] == done
