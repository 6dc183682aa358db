"""The record that a stage writes about an output commit: `/_report/stage.json`."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import msgspec

from pachyderm.client.connection import Connection
from pachyderm.client.files import REPORT, read
from pachyderm.dag.gate_decision import GateDecision
from pachyderm.errors import RequestError

logger = logging.getLogger(__name__)

SCHEMA = 1
"""Version of the schema. A reader refuses a newer one and ignores fields that it does not know."""

STAGE_JSON = f"{REPORT}stage.json"
REPORT_HTML = f"{REPORT}report.html"
REJECTED_JSON = f"{REPORT}rejected.json"

Decoded = TypeVar("Decoded")
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Timestamp = Annotated[float, msgspec.Meta(ge=0, le=253402300799.0)]
"""Seconds since 1970, up to the year 9999: later ones have no date."""
CommitHex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
"""Id of a commit, 32 hex digits: anything else would be resolved as the name of a branch."""
Scalar = str | Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | float | bool | None


@dataclass(frozen=True)
class Rejected:
    """An input file from which no output was made.

    Attributes:
        path: path in the input commit.
        code: reason from the decision table, e.g. ``TRUNCATED``, ``NAME_COLLISION``.
        reason: the same as a sentence.
        hash: the server's content hash of the input file.
        bytes: size in bytes.
    """

    path: str
    code: str
    reason: str
    hash: str = ""
    bytes: Count = 0


@dataclass(frozen=True)
class OutputFile:
    """A file of the output commit.

    Attributes:
        bytes: size in bytes.
        sha256: SHA-256 of the content, hex.
        hash: the server's content hash; empty if it was unknown before the upload (files above one chunk).
        source: path of the input file that it was made from, if there is exactly one.
        source_hash: the server's content hash of that input file.
        source_bytes: size of that input file in bytes.
        computed_in: id of the commit whose run computed the bytes.
    """

    bytes: Count
    sha256: str
    hash: str
    source: str | None
    source_hash: str | None
    source_bytes: Count | None
    computed_in: CommitHex


@dataclass(frozen=True)
class Counts:
    """Numbers of files: ``inputs = accepted + rejected`` and ``computed + carried`` = files of the output."""

    inputs: Count = 0
    accepted: Count = 0
    rejected: Count = 0
    computed: Count = 0
    carried: Count = 0
    deleted: Count = 0


@dataclass(frozen=True)
class InputRecord:
    """An input commit as the stage read it.

    Attributes:
        repo: name of the repo.
        commit: id of the commit.
        files: number of files, without the report and the parameters file.
        digest: digest of the listing (`pachyderm.record.fingerprints.listing_digest`).
    """

    repo: str
    commit: CommitHex
    files: Count
    digest: str


@dataclass(frozen=True)
class RecordedParameter:
    """A resolved parameter and its origin: ``default``, ``file``, ``run`` or ``budget`` (chosen by a time budget)."""

    value: Scalar | list[Scalar]
    origin: str


@dataclass(frozen=True)
class InputFinding:
    """A probable fault of an input file that was used all the same.

    Attributes:
        path: path in the input commit.
        code: kind of the fault, e.g. ``SWAPPED``.
        what: the fault as a sentence, with the figures that decided.
        remedy: what to do.
        score: 0 to 1; the worst is 1.
        other: path of the other file, where the fault is about two; else empty.
    """

    path: str
    code: str
    what: str
    remedy: str
    score: float
    other: str = ""


@dataclass(frozen=True)
class InputCheck:
    """What a check of the input files found.

    Attributes:
        checked: number of files that were checked.
        files: number of files that there are.
        counts: code -> number of findings.
        worst: the worst findings, worst first; fewer than `counts` where there are many.
    """

    checked: Count
    files: Count
    counts: Mapping[str, Count]
    worst: tuple[InputFinding, ...] = ()


@dataclass(frozen=True)
class StageRecord:
    """The record of one output commit.

    Attributes:
        stage: name of the stage.
        commit: ``repo@id`` of the output commit.
        outcome: ``computed``, ``reused`` or ``empty``.
        inputs: the commits in its direct provenance.
        fingerprint: SHA-256 of `parts`, hex.
        parts: parts of the fingerprint (`pachyderm.record.fingerprints.Fingerprint`).
        parameters: name -> value and origin.
        parameters_from: ``repo@id`` of the input commit whose parameters file was used.
        versions: package -> version.
        run: ``id``, ``attempt`` and ``claim`` number of the run that filled the commit.
        started: seconds since 1970.
        seconds: from the claim to the publication; negative if the clock was set back meanwhile.
        counts: numbers of files.
        files: output path -> file.
        deleted: paths of the parent commit that do not belong to this one.
        rejected: input files that were left out.
        metrics: name -> value, e.g. ``held_out_l1``; finite.
        notes: sentences about the work, e.g. that a training was resumed.
        warnings: sentences about results that are probably unintended, with the remedy.
        check: probable faults of the input files; None if they were not checked.
        held_out: paths of the input files that a training measured on and did not learn from; None for other stages.
        awaited: the input that an empty commit waits for.
        reused_from: id of the commit whose files were copied.
        base: id of the commit from which files were carried over.
        parent: id of the commit of the same repo that the work began with; the part ``parent`` of the fingerprint is
            the digest of what it used of that, which it may have found not to fit.
        gate: the decision whether the model is promoted; None for other stages and empty commits.
        schema: version of the schema.
    """

    stage: str
    commit: str
    outcome: str
    inputs: tuple[InputRecord, ...]
    fingerprint: str
    parts: Mapping[str, str]
    parameters: Mapping[str, RecordedParameter]
    parameters_from: str
    versions: Mapping[str, str]
    run: Mapping[str, str]
    started: Timestamp
    seconds: float
    counts: Counts
    files: Mapping[str, OutputFile]
    deleted: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    check: InputCheck | None = None
    held_out: tuple[str, ...] | None = None
    awaited: str | None = None
    reused_from: CommitHex | None = None
    base: CommitHex | None = None
    parent: CommitHex | None = None
    gate: GateDecision | None = None
    schema: int = SCHEMA

    def parameters_from_origin(self, *origins: str) -> dict[str, Any]:
        """Return name -> value of the parameters with one of these origins; see `RecordedParameter`."""
        return {name: entry.value for name, entry in self.parameters.items() if entry.origin in origins}

    def to_json(self) -> bytes:
        """Return the bytes of `/_report/stage.json`: one line per file, input and parameter.

        Metrics that are not finite have no form in JSON and are left out.
        """
        values = vars(self) | {"metrics": {name: value for name, value in self.metrics.items() if math.isfinite(value)}}
        fields = ",\n".join(f" {_encode(name)}: {_block(value)}" for name, value in sorted(values.items()))
        return f"{{\n{fields}\n}}\n".encode()


# Python's C encoder works without indentation only; the pure Python one takes a minute over 100,000 files.
_encode = json.JSONEncoder(default=vars, sort_keys=True, allow_nan=False).encode


def _block(value: Any) -> str:
    """Encode a mapping or a tuple with one line per entry, anything else on one line."""
    if not value or not isinstance(value, Mapping | tuple):
        return _encode(value)
    if isinstance(value, Mapping):
        return "{\n" + ",\n".join(f"  {_encode(key)}: {_encode(value[key])}" for key in sorted(value)) + "\n }"
    return "[\n" + ",\n".join(f"  {_encode(entry)}" for entry in value) + "\n ]"


class _Version(msgspec.Struct):
    schema: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


_decode_version = msgspec.json.Decoder(_Version).decode
_decode_record = msgspec.json.Decoder(StageRecord).decode


def parse(text: bytes, where: str) -> StageRecord:
    """Parse a record.

    Args:
        text: the bytes of a `stage.json`.
        where: name of the file for errors.

    Raises:
        RequestError: the bytes are not JSON, a field is missing, mistyped or out of range, or the version is newer.
    """
    return decoded(text, where, _decode_record)


def decoded(text: bytes, where: str, decode: Callable[[bytes], Decoded]) -> Decoded:
    """Decode a record, or a part of one; arguments and errors otherwise as of `parse`."""
    try:
        version = _decode_version(text).schema
        if version <= SCHEMA:
            return decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(
            f"{where} is not a valid stage record: {error}; `pix2pix fsck` reports what to do"
        ) from error
    raise RequestError(
        f"{where} has version {version} of the record, and this pix2pix reads up to {SCHEMA}; use a newer pix2pix"
    )


def read_record(client: Connection, repo: str, commit_id: str) -> StageRecord | None:
    """Read the record of a commit, or None if it has none.

    Raises:
        RequestError: as `parse`.
    """
    text = read(client, repo, commit_id, STAGE_JSON)
    if text is None:
        return None
    return parse(text, f"{repo}@{commit_id}:{STAGE_JSON}")


def readable_record(client: Connection, repo: str, commit_id: str) -> StageRecord | None:
    """Read the record of a commit to build on; None also if it cannot be read, so that everything is computed."""
    try:
        return read_record(client, repo, commit_id)
    except RequestError as error:
        logger.warning("%s; nothing is carried over from it", error)
        return None
