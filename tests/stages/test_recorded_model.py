"""A model whose files are not those of its commit's record does not reach TensorFlow."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from pachyderm_sdk.api import pfs
from stage_harness import StageHarness

from components.generate import stage
from components.recorded_model import fetch_model
from pachyderm.client.commits import head, inspect
from pachyderm.client.files import content, files
from pachyderm.dag.repos import CANDIDATE, TRAINING
from pachyderm.errors import PermanentError
from pachyderm.output.stage import Input, StageContext
from pachyderm.record.stage_record import STAGE_JSON, OutputFile, StageRecord, read_record
from pix2pix.hyperparameters import GenerateParameters

FILES = {"/1/saved_model.pb": b"graph", "/1/variables/data": b"weights"}


def recorded(harness: StageHarness) -> StageRecord:
    """Return a record of the stage export, from a real one."""
    harness.put(TRAINING, {"/a.png": "A"})
    harness.run("train", "export")
    record = read_record(harness.client, "model", head(harness.client, CANDIDATE).id)
    assert record is not None
    return record


def make_model(harness: StageHarness, held: Mapping[str, bytes], record: StageRecord | None) -> StageContext:
    """Finish a commit of `model` by hand with these files and this record; return the work of a generate commit."""
    client = harness.client
    commit = inspect(client, "model", harness.put(TRAINING, {"/b.png": str(len(held))}))
    if record is not None:
        record = dataclasses.replace(record, commit=record.commit or str(commit))
        held = {**held, STAGE_JSON: record.to_json()}
    # A new commit begins with its parent's files, and a file that is added again is appended to.
    changes = [
        pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path)) for path in files(client, "model", commit.parent)
    ]
    changes += [pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=data)) for path, data in held.items()]
    client.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=client.commit("model", commit.id)), *changes]))
    # Errored first, so that the model may be finished before its checkpoint.
    client.pfs.finish_commit(commit=client.commit("checkpoint", commit.id))
    client.pfs.finish_commit(commit=client.commit("model", commit.id))
    finished = inspect(client, "model", commit.id, wait=True)
    source = Input(finished, content(files(client, "model", commit.id)), "")
    scratch = harness.folder / "fetched"
    plan = SimpleNamespace(compute={"/a.png": "/a.png"})
    parameters = GenerateParameters()
    return StageContext(client, finished, {"model": source}, parameters, plan, scratch, scratch, lambda *_: None)  # type: ignore[arg-type]


def of(held: Mapping[str, bytes], record: StageRecord, **changes: object) -> StageRecord:
    """Return the record of a commit that holds these files; its name is filled in later."""
    listed = {
        path: OutputFile(len(data), hashlib.sha256(data).hexdigest(), "", None, None, None, "a" * 32)
        for path, data in held.items()
    }
    return dataclasses.replace(record, **{"files": listed, "commit": "", **changes})  # type: ignore[arg-type]


def test_a_model_as_its_record_states_is_fetched(harness: StageHarness) -> None:
    folder = fetch_model(make_model(harness, FILES, of(FILES, recorded(harness))), lambda _: True)
    assert {path: (folder / path.lstrip("/")).read_bytes() for path in FILES} == FILES


def test_only_the_files_that_are_needed_are_fetched(harness: StageHarness) -> None:
    job = make_model(harness, FILES, of(FILES, recorded(harness)))
    folder = fetch_model(job, lambda path: "variables" not in path)
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()] == ["1/saved_model.pb"]


@pytest.mark.parametrize(
    ("held", "listed", "changes", "message"),
    [
        ({**FILES, "/1/saved_model.pb": b"grAph"}, FILES, {}, "its file /1/saved_model.pb is not as its record states"),
        ({**FILES, "/1/saved_model.cpb": b""}, FILES, {}, "its file /1/saved_model.cpb is not as its record states"),
        ({"/1/saved_model.pb": b"graph"}, FILES, {}, "its file /1/variables/data is not as its record states"),
        (FILES, FILES, {"commit": f"model@{'b' * 32}"}, "it has no record of the stage export"),
        (FILES, FILES, {"stage": "train"}, "it has no record of the stage export"),
        (FILES, FILES, {"schema": 99}, "has version 99"),
        (FILES, None, {}, "it has no record of the stage export"),
    ],
)
def test_a_model_that_is_not_as_its_record_states_ends_the_work_with_the_reason(
    harness: StageHarness,
    monkeypatch: pytest.MonkeyPatch,
    held: Mapping[str, bytes],
    listed: Mapping[str, bytes] | None,
    changes: dict[str, object],
    message: str,
) -> None:
    exported = recorded(harness)
    job = make_model(harness, held, None if listed is None else of(listed, exported, **changes))
    monkeypatch.setattr(stage, "imported_meanwhile", lambda *names: contextlib.nullcontext())
    with pytest.raises(PermanentError, match=rf"the model model@\w+ is not loaded: .*{message}.*promote COMMIT"):
        stage.work(job)
