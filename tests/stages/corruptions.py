"""Faults to plant into a store: what somebody did to it, and what `fsck` must say.

They are planted all into one store, so that one check finds each under its own name and none hides another.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from stage_harness import House

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, inspect
from pachyderm.client.file_contents import FileContent
from pachyderm.dag.repos import CANDIDATE, CHECKPOINT, GENERATE_IMAGES, INPUT_IMAGES, MODEL, PREPROCESS_IMAGES, TRAINING
from pachyderm.output import output_commit
from pachyderm.output.publish import publish as really_publish
from pachyderm.queue.claims import take
from pachyderm.queue.commit_sets import open_fresh
from pachyderm.record.stage_record import REPORT_HTML, STAGE_JSON

Told = dict[str, Any]
Files = dict[str, FileContent]
NOBODY = "0" * 32


@dataclass
class Garden:
    """A house with an older and a present commit of pictures, and a promoted model."""

    house: House
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    older: str = ""

    def lay_out(self) -> None:
        self.house.put(TRAINING, {"/a.png": "A"})
        self.house.run("train", "export")
        self.older = self.house.put(INPUT_IMAGES, {"/1.jpg": "before", "/bad.jpg": "bad"})
        self.house.run("resize", "generate")
        self.house.put(INPUT_IMAGES, {"/1.jpg": "one", "/2.jpg": "two", "/bad.jpg": "bad"})
        self.house.run("resize", "generate")

    def fill(self, change: Callable[[Told, Files], None], new_code: bool = True) -> Commit:
        """Let the stage resize publish something else than it made."""

        def tamper(client: Any, commit: Commit, result: Files, *rest: Any) -> Any:
            changed, told = dict(result), json.loads(bytes(result[STAGE_JSON]))  # type: ignore[arg-type]
            changed.pop(STAGE_JSON)
            change(told, changed)
            changed.setdefault(STAGE_JSON, json.dumps(told).encode())
            return really_publish(client, commit, {p: c for p, c in changed.items() if c != b"GONE"}, *rest)

        if new_code:
            self.house.code = f"code {next(self.numbers)}"  # nothing is carried over or reused
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(output_commit, "publish", tamper)
            # No plan from the record of an earlier fault.
            patch.setattr(output_commit, "nearest_good", lambda *words: None)
            # A run id of its own: the same run would be given the commit set that it opened before.
            return self.house.fill("resize", "new", run=f"run-{next(self.numbers)}")

    def open(self, branch: BranchName = PREPROCESS_IMAGES) -> Commit:
        """A fresh open output commit."""
        if branch == GENERATE_IMAGES:
            # A stage would wait for ever for an older open commit of its own branch.
            set_id = self.fill(lambda told, files: None).id
        else:
            set_id = open_fresh(self.house.client, TRAINING if branch == CHECKPOINT else INPUT_IMAGES)
        return inspect(self.house.client, branch.repo, set_id)

    def finish(self, commit: Commit, error: str = "") -> str:
        self.house.client.pfs.finish_commit(commit=self.house.client.commit(commit.repo, commit.id), error=error)
        return str(inspect(self.house.client, commit.repo, commit.id, wait=True))

    def key(self, commit: Commit, **keys: str) -> str:
        self.house.client.edit_keys(
            commit.repo, commit.id, put={name.replace("_", "."): value for name, value in keys.items()}
        )
        return str(commit)


@dataclass(frozen=True)
class Fault:
    """What is done to the store.

    Attributes:
        plant: does it, and returns where fsck must find it.
        codes: what fsck must say there, and nothing else.
        repaired: whether ``--repair`` makes it good.
    """

    name: str
    plant: Callable[[Garden], str]
    codes: frozenset[str]
    repaired: bool = False


def recorded(change: Callable[[Told, Files], None]) -> Callable[[Garden], str]:
    return lambda garden: str(garden.fill(change))


def counted(name: str, by: int) -> Callable[[Told, Files], None]:
    def change(told: Told, files: Files) -> None:
        told["counts"][name] += by

    return change


def of_file(**values: Any) -> Callable[[Told, Files], None]:
    def change(told: Told, files: Files) -> None:
        told["files"]["/1.png"].update(values)

    return change


def told(**values: Any) -> Callable[[Told, Files], None]:
    return lambda record, files: record.update(values)


def other_bytes(told: Told, files: Files) -> None:
    files["/1.png"] = b"X" * int(told["files"]["/1.png"]["bytes"])


def larger(told: Told, files: Files) -> None:
    told["files"]["/1.png"]["bytes"] += 1


def gone(path: str) -> Callable[[Told, Files], None]:
    return lambda told, files: files.update({path: b"GONE"})


def foreign(told: Told, files: Files) -> None:
    files["/stray.png"] = b"a stranger's"


def forgotten_picture(told: Told, files: Files) -> None:
    del told["files"]["/1.png"], files["/1.png"]
    told["counts"]["computed"] -= 1


def rejected_unknown(told: Told, files: Files) -> None:
    told["rejected"][0]["path"] = "/nobody.jpg"


def no_json(told: Told, files: Files) -> None:
    files[STAGE_JSON] = b"<html>"


def another_input(garden: Garden) -> str:
    def change(told: Told, files: Files) -> None:
        told["inputs"][0]["commit"] = garden.older

    return str(garden.fill(change))


def dropped_input(told: Told, files: Files) -> None:
    told["inputs"][0]["commit"] = NOBODY


def other_digest(told: Told, files: Files) -> None:
    told["inputs"][0]["digest"] = "0" * 64


def other_part(told: Told, files: Files) -> None:
    told["parts"]["versions.pillow"] = "99"


def other_parameter(told: Told, files: Files) -> None:
    told["parameters"]["size"]["value"] = "1"


def from_a_run(told: Told, files: Files) -> None:
    told["parameters"]["size"]["origin"] = "run"


def origin_untrue(garden: Garden) -> str:
    return str(garden.fill(of_file(computed_in=garden.older)))


def reuse_untrue(garden: Garden) -> str:
    return str(garden.fill(told(outcome="reused", reused_from=garden.older)))


def computed_twice(garden: Garden) -> str:
    garden.fill(lambda told, files: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output_commit, "reusable", lambda *words: None)
        return str(garden.fill(lambda told, files: None, new_code=False))


def fingerprint_edited(garden: Garden) -> str:
    return garden.key(garden.fill(lambda told, files: None), fingerprint="0" * 64)


def dead_run(garden: Garden) -> str:
    commit = garden.open(GENERATE_IMAGES)
    assert take(garden.house.client, commit, "dead-run", "attempt") is not None
    return str(commit)


def double_claim(garden: Garden) -> str:
    return garden.key(garden.open(GENERATE_IMAGES), run_1='{"run": "a", "attempt": "1"}', run_2="b")


def claim_gap(garden: Garden) -> str:
    return garden.key(garden.open(GENERATE_IMAGES), run_5="b")


def ended(error: str) -> Callable[[Garden], str]:
    return lambda garden: garden.finish(garden.open(), error)


def finished_by_hand(garden: Garden) -> str:
    return garden.finish(garden.open())


def model_moved(garden: Garden) -> str:
    house = garden.house
    house.put(TRAINING, {"/a.png": "B", "/pix2pix.toml": "promote=never"})
    house.run("train", "export")
    commit = house.client.commit("model", house.head(CANDIDATE).id)
    house.client.pfs.create_branch(branch=house.client.branch(MODEL), head=commit, provenance=[])
    return str(MODEL)


def promotion_garbled(garden: Garden) -> str:
    return garden.key(garden.house.head(CANDIDATE), promoted_x="{")


def hyperparameters_garbled(garden: Garden) -> str:
    return garden.key(garden.house.head(TRAINING), hyperparameters_x="max_steps = 3")


def newest_superseded(garden: Garden) -> str:
    return garden.finish(garden.open(CHECKPOINT), "superseded: by " + NOBODY)


def input_left_open(garden: Garden) -> str:
    client, before = garden.house.client, garden.house.head(INPUT_IMAGES)
    opened = client.pfs.start_commit(branch=client.branch(INPUT_IMAGES))
    client.pfs.create_branch(
        branch=client.branch(INPUT_IMAGES), head=client.commit(before.repo, before.id), provenance=[]
    )
    return f"{INPUT_IMAGES.repo}@{opened.id}"


def one(*codes: str) -> frozenset[str]:
    return frozenset(codes)


FAULTS = (
    Fault("a changed byte", recorded(other_bytes), one("FILE_CHANGED"), repaired=True),
    Fault("another SHA-256", recorded(of_file(sha256="0" * 64)), one("FILE_CHANGED"), repaired=True),
    Fault("another hash", recorded(of_file(hash="0" * 64)), one("FILE_CHANGED"), repaired=True),
    Fault("another size", recorded(larger), one("FILE_SIZE"), repaired=True),
    Fault("a missing file", recorded(gone("/1.png")), one("FILE_MISSING"), repaired=True),
    Fault("a foreign file", recorded(foreign), one("FILE_FOREIGN"), repaired=True),
    Fault("a missing report", recorded(gone(REPORT_HTML)), one("REPORT_MISSING")),
    Fault("a wrong count of inputs", recorded(counted("inputs", 1)), one("COUNTS"), repaired=True),
    Fault("a wrong count of computed files", recorded(counted("computed", 1)), one("COUNTS"), repaired=True),
    Fault("a wrong count of rejected files", recorded(counted("rejected", 1)), one("COUNTS"), repaired=True),
    Fault("a picture that became nothing", recorded(forgotten_picture), one("INPUT_UNACCOUNTED"), repaired=True),
    Fault("rejections taken away", recorded(told(rejected=[])), one("COUNTS", "INPUT_UNACCOUNTED"), repaired=True),
    Fault(
        "a rejection of no file",
        recorded(rejected_unknown),
        one("REJECTED_UNKNOWN", "INPUT_UNACCOUNTED"),
        repaired=True,
    ),
    Fault("a source of other bytes", recorded(of_file(source_hash="0" * 64)), one("SOURCE_UNTRUE"), repaired=True),
    Fault(
        "a source that is none",
        recorded(of_file(source="/x")),
        one("SOURCE_UNTRUE", "INPUT_UNACCOUNTED"),
        repaired=True,
    ),
    Fault(
        "a stage.json of another commit",
        recorded(told(commit=f"model@{NOBODY}")),
        one("RECORD_ELSEWHERE"),
        repaired=True,
    ),
    Fault("no stage.json", recorded(gone(STAGE_JSON)), one("NO_RECORD")),
    Fault("a stage.json that is none", recorded(no_json), one("RECORD_UNREADABLE")),
    Fault("a stage.json of a newer version", recorded(told(schema=99)), one("RECORD_UNREADABLE")),
    Fault("the record of another stage", recorded(told(stage="train")), one("RECORD_STAGE"), repaired=True),
    Fault("another input commit", another_input, one("INPUTS_DIFFER", "INPUT_CHANGED", "SOURCE_UNTRUE"), repaired=True),
    Fault("an input that was dropped", recorded(dropped_input), one("INPUT_GONE", "INPUTS_DIFFER"), repaired=True),
    Fault(
        "another digest of the input", recorded(other_digest), one("INPUT_CHANGED", "FINGERPRINT_PARTS"), repaired=True
    ),
    Fault("another fingerprint in the metadata", fingerprint_edited, one("FINGERPRINT_METADATA"), repaired=True),
    Fault(
        "another fingerprint in the record",
        recorded(told(fingerprint="0" * 64)),
        one("FINGERPRINT_UNTRUE", "FINGERPRINT_METADATA"),
        repaired=True,
    ),
    Fault(
        "a part of the fingerprint", recorded(other_part), one("FINGERPRINT_UNTRUE", "FINGERPRINT_PARTS"), repaired=True
    ),
    Fault("another parameter", recorded(other_parameter), one("FINGERPRINT_PARTS"), repaired=True),
    Fault("parameters of another commit", recorded(told(parameters_from="x")), one("PARAMETERS_FROM"), repaired=True),
    Fault("a run's parameter that no run gave", recorded(from_a_run), one("PARAMETERS_UNEXPLAINED"), repaired=True),
    Fault("computed in no commit", recorded(of_file(computed_in=NOBODY)), one("ORIGIN_GONE", "COUNTS"), repaired=True),
    Fault("computed where other bytes are", origin_untrue, one("ORIGIN_UNTRUE", "COUNTS"), repaired=True),
    Fault("copied from no commit", recorded(told(outcome="reused", reused_from=NOBODY)), one("REUSE_GONE")),
    Fault("copied from another commit", reuse_untrue, one("REUSE_UNTRUE", "REUSE_BYTES"), repaired=True),
    Fault("copied from nowhere", recorded(told(outcome="reused")), one("REUSE_UNTRUE"), repaired=True),
    Fault("equal work done twice", computed_twice, one("COMPUTED_TWICE")),
    Fault("a claim of a dead run", dead_run, one("CLAIM_DEAD"), repaired=True),
    Fault("two claims at once", double_claim, one("CLAIM_DOUBLE"), repaired=True),
    Fault("a claim taken away", claim_gap, one("CLAIM_GAP")),
    Fault("an end of no kind", ended("boom"), one("NO_REASON")),
    Fault("an end without a reason", ended("failed:"), one("NO_REASON")),
    Fault("superseded by nothing", ended("superseded: by " + "a" * 32), one("SUPERSEDED_BY_NOTHING")),
    # It shows the files of its parent, the record included.
    Fault("finished by hand", finished_by_hand, one("RECORD_ELSEWHERE"), repaired=True),
    Fault("model@master moved by hand", model_moved, one("MODEL_NOT_PROMOTED")),
    Fault("the newest superseded", newest_superseded, one("NEWEST_SUPERSEDED")),
    Fault("a promotion that does not parse", promotion_garbled, one("PROMOTION_UNREADABLE")),
    Fault("hyperparameters that do not parse", hyperparameters_garbled, one("HYPERPARAMETERS_UNREADABLE")),
    # The last, for what is open behind it is filled by nobody.
    Fault("an open input that no branch leads to", input_left_open, one("INPUT_OUT_OF_REACH")),
)
