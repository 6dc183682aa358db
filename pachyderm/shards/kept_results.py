"""Results of shards, kept in Pachyderm until their output commit is finished, and found by recipe and datum.

The recipe is all that shapes an output but the datum: stage, code, parameters, library versions, model. So the next
attempt, or another commit set with the same recipe, finds each result by the content of its input.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from pachyderm.client.connection import Connection
from pachyderm.client.download import download
from pachyderm.client.files import FileEntry, Listing, files, read
from pachyderm.output.plan import Carried, Plan
from pachyderm.output.work_in_progress import UNFINISHED
from pachyderm.record.fingerprints import digest
from pachyderm.record.stage_record import OutputFile, Rejected
from pachyderm.shards import branches
from pachyderm.shards.shard_plan import ShardDatum

PREFIX = "shard-"
"""Beginning of the names of the branches that hold results."""

RESULT = "/result.json"
OUTPUTS = "/files"
"""Folder of the outputs in the commit of a result."""

SAMPLES = 24
"""Number of outputs that are downloaded for the report."""


@dataclass(frozen=True)
class ShardResult:
    """What a shard computed; its files are beside it.

    Attributes:
        files: output path -> its entry in the record.
        rejected: inputs that gave no output.
        warnings: about results that are probably unintended.
    """

    files: Mapping[str, OutputFile] = field(default_factory=dict)
    rejected: tuple[Rejected, ...] = ()
    warnings: tuple[str, ...] = ()


logger = logging.getLogger(__name__)

_decode = msgspec.json.Decoder(ShardResult).decode


def recipe_prefix(recipe: str) -> str:
    """Return the beginning of the names of the branches that hold results of a recipe."""
    return f"{PREFIX}{recipe[:32]}-"


def branch_of(recipe: str, datums: Sequence[ShardDatum]) -> str:
    """Return the name of the branch of a shard's result: a function of its content, so a doubled shard has the same."""
    content = digest({datum.path: f"{datum.hash} {datum.output}" for datum in datums})
    return f"{recipe_prefix(recipe)}{content[:32]}"


def keep(client: Connection, name: str, result: ShardResult, outputs: Mapping[str, Path]) -> None:
    """Keep the result of a shard in its branch.

    Args:
        client: the connection.
        name: see `branch_of`.
        result: its record.
        outputs: output path -> local file.
    """
    contents: dict[str, bytes | Path] = {f"{OUTPUTS}{path}": local for path, local in outputs.items()}
    branches.write(client, name, {**contents, RESULT: msgspec.json.encode(result)})


def with_kept(client: Connection, plan: Plan, inputs: Listing, names: Sequence[str], commit_id: str) -> Plan:
    """Return a plan in which the datums that shards have computed are not work any more.

    Args:
        client: the connection.
        plan: the plan.
        inputs: listing of the datums.
        names: the branches of results of the output commit's recipe.
        commit_id: the output commit.
    """
    outputs: dict[str, dict[str, Carried]] = {}
    rejections: dict[str, Rejected] = {}
    warnings: dict[str, None] = {}
    for name in names:
        _add(client, name, commit_id, outputs, rejections, warnings)
    compute, carried, rejected = {}, dict(plan.carried), list(plan.rejected)
    for path, output in plan.compute.items():
        content = inputs[path].hash
        if content in rejections:
            rejected.append(replace(rejections[content], path=path))
        elif content in outputs:
            found = outputs[content].get(output) or next(iter(outputs[content].values()))
            carried[path] = (output, found)
        else:
            compute[path] = output
    return replace(plan, compute=compute, carried=carried, rejected=tuple(rejected), shard_warnings=tuple(warnings))


def _add(
    client: Connection,
    name: str,
    commit_id: str,
    outputs: dict[str, dict[str, Carried]],
    rejections: dict[str, Rejected],
    warnings: dict[str, None],
) -> None:
    """Add the result of one branch: input hash -> output path -> output, and input hash -> rejection."""
    commit = branches.newest(client, name)
    text = read(client, commit.repo, commit.id, RESULT) if commit is not None else None
    if commit is None or text is None:
        return
    try:
        result = _decode(text)
    except (ValueError, RecursionError) as error:
        logger.warning("%s is not the result of a shard and is not taken: %s", commit, error)
        return
    stored: Listing = {}
    if not all(entry.hash for entry in result.files.values()):
        # The server's hash of a file of several chunks was unknown when the result was written.
        stored = files(client, commit.repo, commit.id, f"{OUTPUTS}/")
    for path, made in result.files.items():
        entry = stored.get(f"{OUTPUTS}{path}") or FileEntry(made.bytes, made.hash)
        carried = Carried(commit.id, f"{OUTPUTS}{path}", entry, replace(made, computed_in=commit_id), commit.repo)
        outputs.setdefault(made.source_hash or "", {})[path] = carried
    rejections.update({entry.hash: entry for entry in result.rejected})
    warnings.update(dict.fromkeys(result.warnings))


def samples(client: Connection, plan: Plan, folder: Path) -> dict[str, Path]:
    """Download some of the outputs that shards computed, for the report: output path -> local file."""
    kept = [(output, entry) for output, entry in plan.carried.values() if entry.repo == UNFINISHED.repo]
    found: dict[str, Path] = {}
    for output, entry in sorted(kept, key=lambda pair: pair[0])[:SAMPLES]:
        local = folder / str(len(found))
        download(client, UNFINISHED.repo, entry.commit, {entry.path: entry.entry}, local)
        found[output] = local / entry.path.lstrip("/")
    return found
