"""What changed: which inputs are work, and which outputs can be carried over from an earlier commit.

It exists so that a commit costs what its change costs; it is a pure function of two listings and a record.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from pachyderm.client.files import FileEntry, Listing
from pachyderm.record.stage_record import OutputFile, Rejected, StageRecord

Assign = Callable[[Collection[str]], tuple[Mapping[str, str], tuple[Rejected, ...]]]
"""Input paths -> (input path -> output path, inputs rejected for their names); a function of the paths alone."""

BY_NAME = frozenset({"NAME_COLLISION", "BAD_PATH", "NOT_A_PICTURE"})
"""The rejections that come from the listing and not from the content, so they are never carried over."""


@dataclass(frozen=True)
class CarryBase:
    """The nearest good ancestor of an output commit, where its fingerprint differs in the datums alone.

    Attributes:
        commit: its id.
        files: its listing, which the open commit inherits.
        record: what its stage said.
    """

    commit: str
    files: Listing
    record: StageRecord


@dataclass(frozen=True)
class Carried:
    """An output that an earlier commit holds already.

    Attributes:
        commit: the commit to copy it from.
        path: where it is there.
        entry: size and hash there.
        made: what the record says of it.
    """

    commit: str
    path: str
    entry: FileEntry
    made: OutputFile


@dataclass(frozen=True)
class Plan:
    """What is to be done for one output commit.

    Attributes:
        compute: input path -> output path, the work.
        carried: input path -> (output path, where its bytes are).
        rejected: inputs that are known to give no output.
    """

    compute: Mapping[str, str]
    carried: Mapping[str, tuple[str, Carried]]
    rejected: tuple[Rejected, ...]


def plan(inputs: Listing, assign: Assign, base: CarryBase | None) -> Plan:
    """Compare the inputs with those that the base was made from, by content: a renamed file is no work.

    Args:
        inputs: the datums, without report and parameters file.
        assign: gives each input its output's name.
        base: None where everything is work.
    """
    names, collisions = assign(inputs)
    made, refused = _known(base) if base else ({}, {})
    compute: dict[str, str] = {}
    carried: dict[str, tuple[str, Carried]] = {}
    rejected = [Rejected(one.path, one.code, one.reason, inputs[one.path].hash) for one in collisions]
    for path, output in names.items():
        content = inputs[path].hash
        if content in refused:
            before = refused[content]
            rejected.append(Rejected(path, before.code, before.reason, content))
        elif content in made:
            carried[path] = (output, made[content].get(output) or next(iter(made[content].values())))
        else:
            compute[path] = output
    return Plan(compute, carried, tuple(rejected))


def _known(base: CarryBase) -> tuple[dict[str, dict[str, Carried]], dict[str, Rejected]]:
    """Of each input content: the outputs made from it, by path, and its rejection."""
    made: dict[str, dict[str, Carried]] = {}
    for path, output in base.record.files.items():
        entry = base.files.get(path)
        if entry is not None and output.source_hash and entry.bytes == output.bytes:
            made.setdefault(output.source_hash, {})[path] = Carried(base.commit, path, entry, output)
    refused = {one.hash: one for one in base.record.rejected if one.hash and one.code not in BY_NAME}
    return made, refused
