"""The plan of the shards of an output commit, stored where every shard's task finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.client.files import read
from pachyderm.errors import RequestError
from pachyderm.output.work_in_progress import UNFINISHED
from pachyderm.record.fingerprints import Fingerprint, digest
from pachyderm.shards import branches

PREFIX = "plan-"
"""Beginning of the names of the branches that hold plans."""


@dataclass(frozen=True)
class ShardDatum:
    """A datum of a shard.

    Attributes:
        path: of the input file.
        output: path of the output file.
        hash: the server's content hash of the input file.
        bytes: size of the input file.
    """

    path: str
    output: str
    hash: str
    bytes: int


@dataclass(frozen=True)
class Shard:
    """A shard of an output commit, as its task reads it.

    Attributes:
        stage: name of the stage.
        commit: id of the output commit.
        claim: number of the claim that the shards work under.
        number: of the shard, from 1.
        parts: of the output commit's fingerprint.
        datums: what to compute, in byte order of their paths.
        branch: where its result is kept.
        sizes: number of datums of each shard of the output commit.
    """

    stage: str
    commit: str
    claim: int
    number: int
    parts: Mapping[str, str]
    datums: tuple[ShardDatum, ...]
    branch: str
    sizes: tuple[int, ...]

    def __str__(self) -> str:
        """Name the shard and its datums, for messages."""
        first, last, more = self.datums[0].path, self.datums[-1].path, len(self.datums) - 1
        span = f"{first} to {last}, {more + 1} files" if more else first
        return f"shard {self.number} of {len(self.sizes)} ({span})"


_decode = msgspec.json.Decoder(Shard).decode


def recipe(fingerprint: Fingerprint, datums: str) -> str:
    """Return the digest of all that shapes each output of a stage but the datum itself.

    Args:
        fingerprint: of an output commit.
        datums: the input repo whose files are datums.
    """
    return digest({name: part for name, part in fingerprint.parts.items() if name != f"inputs.{datums}"})


def plan_prefix(commit: Commit) -> str:
    """Return the beginning of the names of the branches that hold the plans of an output commit."""
    return f"{PREFIX}{commit.id}-"


def store(
    client: Connection,
    stage: str,
    commit: Commit,
    claim: int,
    parts: Mapping[str, str],
    shards: Mapping[str, tuple[ShardDatum, ...]],
) -> tuple[str, ...]:
    """Store the plan of shards, and return one ticket a shard: what its task is given, a few dozen characters.

    Args:
        client: the connection.
        stage: name of the stage.
        commit: the output commit.
        claim: number of the claim on it.
        parts: of its fingerprint.
        shards: branch of a shard's result -> its datums.
    """
    sizes = tuple(len(datums) for datums in shards.values())
    contents = {
        _path(number): msgspec.json.encode(Shard(stage, commit.id, claim, number, parts, datums, kept_in, sizes))
        for number, (kept_in, datums) in enumerate(shards.items(), start=1)
    }
    # A name for each claim: the plan of an attempt that lost its claim is not replaced.
    written = branches.write(client, f"{plan_prefix(commit)}{claim}", contents)
    return tuple(f"{written.id}/{number}" for number in range(1, len(shards) + 1))


def load(client: Connection, ticket: str) -> Shard:
    """Read the shard of a ticket.

    Raises:
        RequestError: there is no such ticket, or the plan was deleted because its commit has ended.
    """
    commit_id, _, number = ticket.partition("/")
    try:
        text = read(client, UNFINISHED.repo, commit_id, _path(int(number)))
        if text is not None:
            return _decode(text)
    except (ValueError, RecursionError, RequestError) as error:
        raise RequestError(f"the shard {ticket!r} has no plan: {error}; run the pipeline again") from error
    raise RequestError(f"the shard {ticket!r} has no plan in {UNFINISHED.repo}; run the pipeline again")


def _path(number: int) -> str:
    return f"/shards/{number:05}.json"
