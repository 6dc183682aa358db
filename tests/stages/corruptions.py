"""Corruptions of a store, and the codes that `fsck` must report for each.

All are made in one store, so that one check finds each under its own code and none hides another.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from stage_harness import StageHarness

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, inspect
from pachyderm.client.file_contents import FileContent
from pachyderm.dag.repos import CANDIDATE, CHECKPOINT, GENERATE_IMAGES, INPUT_IMAGES, MODEL, PREPROCESS_IMAGES, TRAINING
from pachyderm.output import attempt, reuse
from pachyderm.output.publish import publish as really_publish
from pachyderm.queue.claims import take
from pachyderm.queue.commit_sets import open_fresh
from pachyderm.record.stage_record import REPORT_HTML, STAGE_JSON

RecordJson = dict[str, Any]
Files = dict[str, FileContent]
MISSING = "0" * 32


@dataclass
class CorruptibleStore:
    """A store with an older and a current commit of pictures, and a promoted model."""

    harness: StageHarness
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    older: str = ""

    def populate(self) -> None:
        self.harness.put(TRAINING, {"/a.png": "A"})
        self.harness.run("train", "export")
        self.older = self.harness.put(INPUT_IMAGES, {"/1.jpg": "before", "/bad.jpg": "bad"})
        self.harness.run("resize", "generate")
        self.harness.put(INPUT_IMAGES, {"/1.jpg": "one", "/2.jpg": "two", "/bad.jpg": "bad"})
        self.harness.run("resize", "generate")

    def fill(self, change: Callable[[RecordJson, Files], None], new_code: bool = True) -> Commit:
        """Let the stage resize publish something other than its result."""

        def tamper(client: Any, commit: Commit, result: Files, *rest: Any) -> Any:
            changed, record = dict(result), json.loads(bytes(result[STAGE_JSON]))  # type: ignore[arg-type]
            changed.pop(STAGE_JSON)
            change(record, changed)
            changed.setdefault(STAGE_JSON, json.dumps(record).encode())
            return really_publish(client, commit, {p: c for p, c in changed.items() if c != b"GONE"}, *rest)

        if new_code:
            self.harness.code = f"code {next(self.numbers)}"  # so that nothing is carried over or reused
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(attempt, "publish", tamper)
            # No plan from the record of an earlier corruption.
            patch.setattr(attempt, "nearest_good", lambda *arguments: None)
            # A run id of its own: the same run would be given the commit set that it opened before.
            return self.harness.fill("resize", "new", run=f"run-{next(self.numbers)}")

    def open(self, branch: BranchName = PREPROCESS_IMAGES) -> Commit:
        """Open a fresh output commit."""
        if branch == GENERATE_IMAGES:
            # A stage would wait forever for an older open commit of its own branch.
            set_id = self.fill(lambda record, files: None).id
        else:
            set_id = open_fresh(self.harness.client, TRAINING if branch == CHECKPOINT else INPUT_IMAGES)
        return inspect(self.harness.client, branch.repo, set_id)

    def finish(self, commit: Commit, error: str = "") -> str:
        self.harness.client.pfs.finish_commit(commit=self.harness.client.commit(commit.repo, commit.id), error=error)
        return str(inspect(self.harness.client, commit.repo, commit.id, wait=True))

    def key(self, commit: Commit, **keys: str) -> str:
        self.harness.client.edit_keys(
            commit.repo, commit.id, put={name.replace("_", "."): value for name, value in keys.items()}
        )
        return str(commit)


@dataclass(frozen=True)
class Corruption:
    """A corruption of the store.

    Attributes:
        name: what is wrong.
        plant: makes it, and returns where fsck must find it.
        codes: the codes that fsck must report there, and no others.
        repaired: whether ``--repair`` removes the problem.
    """

    name: str
    plant: Callable[[CorruptibleStore], str]
    codes: frozenset[str]
    repaired: bool = False


def recorded(change: Callable[[RecordJson, Files], None]) -> Callable[[CorruptibleStore], str]:
    return lambda store: str(store.fill(change))


def with_count(name: str, by: int) -> Callable[[RecordJson, Files], None]:
    def change(record: RecordJson, files: Files) -> None:
        record["counts"][name] += by

    return change


def with_file_fields(**values: Any) -> Callable[[RecordJson, Files], None]:
    def change(record: RecordJson, files: Files) -> None:
        record["files"]["/1.png"].update(values)

    return change


def with_fields(**values: Any) -> Callable[[RecordJson, Files], None]:
    return lambda record, files: record.update(values)


def other_bytes(record: RecordJson, files: Files) -> None:
    files["/1.png"] = b"X" * int(record["files"]["/1.png"]["bytes"])


def larger(record: RecordJson, files: Files) -> None:
    record["files"]["/1.png"]["bytes"] += 1


def without(path: str) -> Callable[[RecordJson, Files], None]:
    return lambda record, files: files.update({path: b"GONE"})


def foreign(record: RecordJson, files: Files) -> None:
    files["/stray.png"] = b"foreign"


def unaccounted_picture(record: RecordJson, files: Files) -> None:
    del record["files"]["/1.png"], files["/1.png"]
    record["counts"]["computed"] -= 1


def rejected_unknown(record: RecordJson, files: Files) -> None:
    record["rejected"][0]["path"] = "/missing.jpg"


def not_json(record: RecordJson, files: Files) -> None:
    files[STAGE_JSON] = b"<html>"


def deeply_nested(record: RecordJson, files: Files) -> None:
    record["later"] = "DEEP"
    files[STAGE_JSON] = json.dumps(record).replace('"DEEP"', "[" * 50_000 + "]" * 50_000).encode()


def another_input(store: CorruptibleStore) -> str:
    def change(record: RecordJson, files: Files) -> None:
        record["inputs"][0]["commit"] = store.older

    return str(store.fill(change))


def dropped_input(record: RecordJson, files: Files) -> None:
    record["inputs"][0]["commit"] = MISSING


def other_digest(record: RecordJson, files: Files) -> None:
    record["inputs"][0]["digest"] = "0" * 64


def other_part(record: RecordJson, files: Files) -> None:
    record["parts"]["versions.pillow"] = "99"


def other_parameter(record: RecordJson, files: Files) -> None:
    record["parameters"]["size"]["value"] = "1"


def from_a_run(record: RecordJson, files: Files) -> None:
    record["parameters"]["size"]["origin"] = "run"


def wrong_origin(store: CorruptibleStore) -> str:
    return str(store.fill(with_file_fields(computed_in=store.older)))


def wrong_reuse(store: CorruptibleStore) -> str:
    return str(store.fill(with_fields(outcome="reused", reused_from=store.older)))


def computed_twice(store: CorruptibleStore) -> str:
    store.fill(lambda record, files: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reuse, "reusable", lambda *arguments: None)
        return str(store.fill(lambda record, files: None, new_code=False))


def fingerprint_edited(store: CorruptibleStore) -> str:
    return store.key(store.fill(lambda record, files: None), fingerprint="0" * 64)


def dead_run(store: CorruptibleStore) -> str:
    commit = store.open(GENERATE_IMAGES)
    assert take(store.harness.client, commit, "dead-run", "attempt") is not None
    return str(commit)


def double_claim(store: CorruptibleStore) -> str:
    return store.key(store.open(GENERATE_IMAGES), run_1='{"run": "a", "attempt": "1"}', run_2="b")


def claim_gap(store: CorruptibleStore) -> str:
    return store.key(store.open(GENERATE_IMAGES), run_5="b")


def ended(error: str) -> Callable[[CorruptibleStore], str]:
    return lambda store: store.finish(store.open(), error)


def finished_by_hand(store: CorruptibleStore) -> str:
    return store.finish(store.open())


def model_moved(store: CorruptibleStore) -> str:
    harness = store.harness
    harness.put(TRAINING, {"/a.png": "B", "/pix2pix.toml": "promote=never"})
    harness.run("train", "export")
    commit = harness.client.commit("model", harness.head(CANDIDATE).id)
    harness.client.pfs.create_branch(branch=harness.client.branch(MODEL), head=commit, provenance=[])
    return str(MODEL)


def malformed_promotion(store: CorruptibleStore) -> str:
    return store.key(store.harness.head(CANDIDATE), promoted_x="{")


def malformed_hyperparameters(store: CorruptibleStore) -> str:
    return store.key(store.harness.head(TRAINING), hyperparameters_x="max_steps = 3")


def newest_superseded(store: CorruptibleStore) -> str:
    return store.finish(store.open(CHECKPOINT), "superseded: by " + MISSING)


def input_left_open(store: CorruptibleStore) -> str:
    client, before = store.harness.client, store.harness.head(INPUT_IMAGES)
    opened = client.pfs.start_commit(branch=client.branch(INPUT_IMAGES))
    client.pfs.create_branch(
        branch=client.branch(INPUT_IMAGES), head=client.commit(before.repo, before.id), provenance=[]
    )
    return f"{INPUT_IMAGES.repo}@{opened.id}"


def codes(*names: str) -> frozenset[str]:
    return frozenset(names)


CORRUPTIONS = (
    Corruption("a changed byte", recorded(other_bytes), codes("FILE_CHANGED"), repaired=True),
    Corruption("another SHA-256", recorded(with_file_fields(sha256="0" * 64)), codes("FILE_CHANGED"), repaired=True),
    Corruption("another hash", recorded(with_file_fields(hash="0" * 64)), codes("FILE_CHANGED"), repaired=True),
    Corruption("another size", recorded(larger), codes("FILE_SIZE"), repaired=True),
    Corruption("a missing file", recorded(without("/1.png")), codes("FILE_MISSING"), repaired=True),
    Corruption("a foreign file", recorded(foreign), codes("FILE_FOREIGN"), repaired=True),
    Corruption("a missing report", recorded(without(REPORT_HTML)), codes("REPORT_MISSING")),
    Corruption("a wrong count of inputs", recorded(with_count("inputs", 1)), codes("COUNTS"), repaired=True),
    Corruption("a wrong count of computed files", recorded(with_count("computed", 1)), codes("COUNTS"), repaired=True),
    Corruption("a wrong count of rejected files", recorded(with_count("rejected", 1)), codes("COUNTS"), repaired=True),
    Corruption("a picture without an output", recorded(unaccounted_picture), codes("INPUT_UNACCOUNTED"), repaired=True),
    Corruption(
        "deleted rejections", recorded(with_fields(rejected=[])), codes("COUNTS", "INPUT_UNACCOUNTED"), repaired=True
    ),
    Corruption(
        "a rejection of an unknown file",
        recorded(rejected_unknown),
        codes("REJECTED_UNKNOWN", "INPUT_UNACCOUNTED"),
        repaired=True,
    ),
    Corruption(
        "a source with other bytes",
        recorded(with_file_fields(source_hash="0" * 64)),
        codes("SOURCE_UNTRUE"),
        repaired=True,
    ),
    Corruption(
        "an unknown source",
        recorded(with_file_fields(source="/x")),
        codes("SOURCE_UNTRUE", "INPUT_UNACCOUNTED"),
        repaired=True,
    ),
    Corruption(
        "a stage.json of another commit",
        recorded(with_fields(commit=f"model@{MISSING}")),
        codes("RECORD_ELSEWHERE"),
        repaired=True,
    ),
    Corruption("a missing stage.json", recorded(without(STAGE_JSON)), codes("NO_RECORD")),
    Corruption("a malformed stage.json", recorded(not_json), codes("RECORD_UNREADABLE")),
    Corruption("a deeply nested stage.json", recorded(deeply_nested), codes("RECORD_UNREADABLE")),
    Corruption("a mistyped stage.json", recorded(with_fields(files=[1])), codes("RECORD_UNREADABLE")),
    Corruption(
        "an infinite number in stage.json", recorded(with_fields(seconds=float("inf"))), codes("RECORD_UNREADABLE")
    ),
    Corruption("a stage.json of a newer version", recorded(with_fields(schema=99)), codes("RECORD_UNREADABLE")),
    Corruption(
        "the record of another stage", recorded(with_fields(stage="train")), codes("RECORD_STAGE"), repaired=True
    ),
    Corruption(
        "another input commit", another_input, codes("INPUTS_DIFFER", "INPUT_CHANGED", "SOURCE_UNTRUE"), repaired=True
    ),
    Corruption("a dropped input", recorded(dropped_input), codes("INPUT_GONE", "INPUTS_DIFFER"), repaired=True),
    Corruption(
        "another digest of the input",
        recorded(other_digest),
        codes("INPUT_CHANGED", "FINGERPRINT_PARTS"),
        repaired=True,
    ),
    Corruption("another fingerprint in the metadata", fingerprint_edited, codes("FINGERPRINT_METADATA"), repaired=True),
    Corruption(
        "another fingerprint in the record",
        recorded(with_fields(fingerprint="0" * 64)),
        codes("FINGERPRINT_UNTRUE", "FINGERPRINT_METADATA"),
        repaired=True,
    ),
    Corruption(
        "another part of the fingerprint",
        recorded(other_part),
        codes("FINGERPRINT_UNTRUE", "FINGERPRINT_PARTS"),
        repaired=True,
    ),
    Corruption("another parameter", recorded(other_parameter), codes("FINGERPRINT_PARTS"), repaired=True),
    Corruption(
        "parameters of another commit",
        recorded(with_fields(parameters_from="x")),
        codes("PARAMETERS_FROM"),
        repaired=True,
    ),
    Corruption(
        "a run's parameter that was never given", recorded(from_a_run), codes("PARAMETERS_UNEXPLAINED"), repaired=True
    ),
    Corruption(
        "computed in a missing commit",
        recorded(with_file_fields(computed_in=MISSING)),
        codes("ORIGIN_GONE", "COUNTS"),
        repaired=True,
    ),
    Corruption("computed in a commit with other bytes", wrong_origin, codes("ORIGIN_UNTRUE", "COUNTS"), repaired=True),
    Corruption(
        "copied from a missing commit",
        recorded(with_fields(outcome="reused", reused_from=MISSING)),
        codes("REUSE_GONE"),
    ),
    Corruption(
        "begun with a dropped commit that its fingerprint does not name",
        recorded(with_fields(parent=MISSING)),
        codes("PARENT_UNTRUE", "PARENT_GONE"),
        repaired=True,
    ),
    Corruption("copied from another commit", wrong_reuse, codes("REUSE_UNTRUE", "REUSE_BYTES"), repaired=True),
    Corruption(
        "copied from an unnamed commit", recorded(with_fields(outcome="reused")), codes("REUSE_UNTRUE"), repaired=True
    ),
    Corruption("equal work done twice", computed_twice, codes("COMPUTED_TWICE")),
    Corruption("a claim of a dead run", dead_run, codes("CLAIM_DEAD"), repaired=True),
    Corruption("two live claims", double_claim, codes("CLAIM_DOUBLE"), repaired=True),
    Corruption("a deleted claim", claim_gap, codes("CLAIM_GAP")),
    Corruption("an end of unknown kind", ended("boom"), codes("NO_REASON")),
    Corruption("an end without a reason", ended("failed:"), codes("NO_REASON")),
    Corruption("superseded by a missing commit", ended("superseded: by " + "a" * 32), codes("SUPERSEDED_BY_NOTHING")),
    # The commit shows the files of its parent, the record included.
    Corruption("finished by hand", finished_by_hand, codes("RECORD_ELSEWHERE"), repaired=True),
    Corruption("model@master moved by hand", model_moved, codes("MODEL_NOT_PROMOTED")),
    Corruption("a superseded newest commit", newest_superseded, codes("NEWEST_SUPERSEDED")),
    Corruption("a malformed promotion", malformed_promotion, codes("PROMOTION_UNREADABLE")),
    Corruption("malformed hyperparameters", malformed_hyperparameters, codes("HYPERPARAMETERS_UNREADABLE")),
    # Must be last: no run fills the commits opened after it.
    Corruption("an open input on no branch", input_left_open, codes("INPUT_OUT_OF_REACH")),
)
