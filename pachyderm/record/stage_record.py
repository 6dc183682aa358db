"""What a stage says about an output commit: `/_report/stage.json`, written and read.

It exists as one schema, versioned, because the next commit plans from it and people read it without this project.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pachyderm.client.connection import Connection
from pachyderm.client.files import REPORT, read
from pachyderm.errors import RequestError

logger = logging.getLogger(__name__)

SCHEMA = 1
"""Version of the schema; a reader refuses a newer one."""

STAGE_JSON = f"{REPORT}stage.json"
REPORT_HTML = f"{REPORT}report.html"
REJECTED_JSON = f"{REPORT}rejected.json"


@dataclass(frozen=True)
class Rejected:
    """An input file that no output was made from.

    Attributes:
        path: in the input commit.
        code: of the decision table, e.g. ``TRUNCATED``, ``NAME_COLLISION``.
        reason: the same for a person.
        hash: the server's content hash of the input file.
        bytes: its size.
    """

    path: str
    code: str
    reason: str
    hash: str = ""
    bytes: int = 0


@dataclass(frozen=True)
class OutputFile:
    """A file of the output commit.

    Attributes:
        bytes: its size.
        sha256: of its content, hex.
        hash: the server's content hash, or empty where it is not known before the file is there (above one chunk).
        source: path of the input file that it was made from, where there is exactly one.
        source_hash: the server's content hash of that input file.
        source_bytes: its size.
        computed_in: id of the commit whose run really computed the bytes.
    """

    bytes: int
    sha256: str
    hash: str
    source: str | None
    source_hash: str | None
    source_bytes: int | None
    computed_in: str


@dataclass(frozen=True)
class Counts:
    """How many files; ``inputs = accepted + rejected``, and every file of the output was computed, kept or copied."""

    inputs: int = 0
    accepted: int = 0
    rejected: int = 0
    computed: int = 0
    carried: int = 0
    deleted: int = 0


@dataclass(frozen=True)
class InputRecord:
    """An input commit as it was read.

    Attributes:
        repo: its repo.
        commit: its id.
        files: how many files counted.
        digest: of the listing (`pachyderm.record.fingerprints.listing_digest`).
    """

    repo: str
    commit: str
    files: int
    digest: str


@dataclass(frozen=True)
class RecordedParameter:
    """A resolved parameter and where it came from: ``default``, ``file`` or ``run``."""

    value: Any
    origin: str


@dataclass(frozen=True)
class StageRecord:
    """Everything that a stage says about one output commit.

    Attributes:
        stage: its name.
        commit: ``repo@id`` of the output commit.
        outcome: ``computed``, ``reused`` or ``empty``.
        awaited: what an empty commit waits for.
        inputs: the commits in its direct provenance.
        fingerprint: value and parts.
        parameters: name -> value and origin.
        parameters_from: ``repo@id`` of the input commit whose parameters file counted.
        versions: package -> version.
        run: id, attempt, claim number of the run that filled the commit.
        started: seconds since 1970.
        seconds: from the claim to the publication.
        reused_from: id of the commit whose files were copied.
        base: id of the commit that carried files come from.
        files: output path -> file.
        deleted: paths of the parent that do not belong to this commit.
        rejected: input files that were left out.
        metrics: figures of the work, e.g. ``held_out_l1``.
        notes: sentences about the work, such as that training was resumed.
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
    started: float
    seconds: float
    counts: Counts
    files: Mapping[str, OutputFile]
    deleted: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    awaited: str | None = None
    reused_from: str | None = None
    base: str | None = None
    schema: int = SCHEMA

    def to_json(self) -> bytes:
        """The record as the bytes of `/_report/stage.json`: a line for each file, input and parameter."""
        fields = ",\n".join(f" {_line(name)}: {_block(value)}" for name, value in sorted(vars(self).items()))
        return f"{{\n{fields}\n}}\n".encode()


# Without indentation, for which Python's own encoder would take a minute over 100,000 files.
_line = json.JSONEncoder(default=vars, sort_keys=True).encode


def _block(value: Any) -> str:
    """A mapping or a list with a line for each of its entries; anything else on one line."""
    if not value or not isinstance(value, Mapping | tuple):
        return _line(value)
    if isinstance(value, Mapping):
        return "{\n" + ",\n".join(f"  {_line(key)}: {_line(value[key])}" for key in sorted(value)) + "\n }"
    return "[\n" + ",\n".join(f"  {_line(one)}" for one in value) + "\n ]"


def parse(text: bytes, where: str) -> StageRecord:
    """Read a record.

    Args:
        text: the bytes of a `stage.json`.
        where: what to name in an error.

    Raises:
        RequestError: it is none, or of a newer version.
    """
    try:
        told = json.loads(text)
        if told["schema"] > SCHEMA:
            raise RequestError(
                f"{where} has version {told['schema']} of the record, and this pix2pix knows {SCHEMA};"
                " use a newer pix2pix"
            )
        told["inputs"] = tuple(InputRecord(**one) for one in told["inputs"])
        told["parameters"] = {name: RecordedParameter(**one) for name, one in told["parameters"].items()}
        told["files"] = {path: OutputFile(**one) for path, one in told["files"].items()}
        told["rejected"] = tuple(Rejected(**one) for one in told["rejected"])
        told["deleted"] = tuple(told["deleted"])
        told["notes"] = tuple(told["notes"])
        told["counts"] = Counts(**told["counts"])
        return StageRecord(**told)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RequestError(f"{where} is no record of a stage: {error}") from error


def read_record(client: Connection, repo: str, commit_id: str) -> StageRecord | None:
    """Read the record of a commit, or None where it has none.

    Raises:
        RequestError: there is one that cannot be read, or that speaks of another commit (a copy of a stranger's).
    """
    text = read(client, repo, commit_id, STAGE_JSON)
    if text is None:
        return None
    return parse(text, f"{repo}@{commit_id}:{STAGE_JSON}")


def readable_record(client: Connection, repo: str, commit_id: str) -> StageRecord | None:
    """Read the record of a commit to build on; None also where it cannot be read, for then all is work."""
    try:
        return read_record(client, repo, commit_id)
    except RequestError as error:
        logger.warning("%s; nothing is carried over from it", error)
        return None
