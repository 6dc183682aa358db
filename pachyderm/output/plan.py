"""The plan of an output commit: which datums to compute, and which outputs to carry over from an ancestor."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pachyderm.client.files import FileEntry, Listing
from pachyderm.record.stage_record import OutputFile, Rejected, StageRecord

Assign = Callable[[Collection[str]], tuple[Mapping[str, str], tuple[Rejected, ...]]]
"""Input paths -> (input path -> output path, inputs rejected for their names); a function of the paths alone."""

NOT_A_PICTURE = "NOT_A_PICTURE"
"""Code of rejections for a name or for a content."""

BY_NAME = frozenset({"NAME_COLLISION", "BAD_PATH", NOT_A_PICTURE})
"""Codes of rejections that may follow from the listing and not from the content; they are never carried over."""


@dataclass(frozen=True)
class CarryBase:
    """The nearest good ancestor of an output commit, if its fingerprint differs in the datums alone.

    Attributes:
        commit: its id.
        files: its listing, which the open commit inherits.
        record: the record that its stage wrote.
    """

    commit: str
    files: Listing
    record: StageRecord


@dataclass(frozen=True)
class Carried:
    """An output that an earlier commit already holds.

    Attributes:
        commit: id of the commit to copy it from.
        path: its path in that commit.
        entry: its size and hash in that commit.
        made: its entry in that commit's record.
        repo: repo of that commit; None for the output repo.
    """

    commit: str
    path: str
    entry: FileEntry
    made: OutputFile
    repo: str | None = None


@dataclass(frozen=True)
class Plan:
    """What is to be done for one output commit.

    Attributes:
        compute: input path -> output path, of the datums to compute.
        carried: input path -> (output path, the earlier output that is copied there).
        rejected: inputs that are known to give no output.
        base: id of the commit that outputs are carried over from, or None if none are.
        warnings: about that commit's outputs.
        shard_warnings: about outputs that shards computed.
        samples: output path -> local copy, of some outputs that shards computed, for the report.
    """

    compute: Mapping[str, str]
    carried: Mapping[str, tuple[str, Carried]]
    rejected: tuple[Rejected, ...]
    base: str | None = None
    warnings: tuple[str, ...] = ()
    shard_warnings: tuple[str, ...] = ()
    samples: Mapping[str, Path] = field(default_factory=dict)

    @property
    def datums(self) -> int:
        """Number of inputs that the plan accounts for."""
        return len(self.compute) + len(self.carried) + len(self.rejected)


def plan(inputs: Listing, assign: Assign, base: CarryBase | None) -> Plan:
    """Compare the inputs by content with those that the base was made from; a renamed file needs no work.

    Args:
        inputs: the datums, without report and parameters file.
        assign: names each input's output.
        base: the commit to carry outputs over from; None to compute every datum.
    """
    names, collisions = (_names_as_before(inputs, base) if base else None) or assign(inputs)
    outputs, rejections = _known(base) if base else ({}, {})
    compute: dict[str, str] = {}
    carried: dict[str, tuple[str, Carried]] = {}
    rejected = [Rejected(entry.path, entry.code, entry.reason, inputs[entry.path].hash) for entry in collisions]
    for path, output in names.items():
        content = inputs[path].hash
        if content in rejections:
            rejected.append(Rejected(path, rejections[content].code, rejections[content].reason, content))
        elif content in outputs:
            carried[path] = (output, outputs[content].get(output) or next(iter(outputs[content].values())))
        else:
            compute[path] = output
    if base is None or not carried:
        return Plan(compute, carried, tuple(rejected))
    return Plan(compute, carried, tuple(rejected), base.commit, base.record.warnings)


def _names_as_before(inputs: Listing, base: CarryBase) -> tuple[Mapping[str, str], tuple[Rejected, ...]] | None:
    """Return what `Assign` returns for the inputs, from the base's record; None if that does not tell.

    Names are a function of the paths alone, and to find those of 100,000 paths again takes a second.
    """
    names = {made.source or "": path for path, made in base.record.files.items()}
    rejected = {entry.path: entry for entry in base.record.rejected}
    if names.keys() | rejected.keys() != inputs.keys():
        return None
    for path, entry in rejected.items():
        if entry.code == NOT_A_PICTURE:
            return None
        if entry.code not in BY_NAME:
            if inputs[path].hash != entry.hash:
                return None
            names[path] = ""  # has the content that was rejected, so it gives no output
    by_name = tuple(entry for entry in base.record.rejected if entry.code in BY_NAME)
    return {path: names[path] for path in sorted(names, key=os.fsencode)}, by_name


def _known(base: CarryBase) -> tuple[dict[str, dict[str, Carried]], dict[str, Rejected]]:
    """Return the base's outputs and rejections: input hash -> output path -> output, and input hash -> rejection."""
    outputs: dict[str, dict[str, Carried]] = {}
    for path, output in base.record.files.items():
        entry = base.files.get(path)
        if entry is not None and output.source_hash and entry.bytes == output.bytes:
            outputs.setdefault(output.source_hash, {})[path] = Carried(base.commit, path, entry, output)
    rejections = {entry.hash: entry for entry in base.record.rejected if entry.hash and entry.code not in BY_NAME}
    return outputs, rejections
