"""The derivation of an output commit: the inputs, parameters and code that its content is a function of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pachyderm.client.commits import Commit, CommitId
from pachyderm.client.connection import Connection
from pachyderm.client.files import PARAMETERS_FILE, read
from pachyderm.errors import PermanentError
from pachyderm.output.ancestor import Ancestor, datums_of
from pachyderm.output.stage import Input, Resolved, Stage
from pachyderm.queue.commit_sets import own_parameters_in
from pachyderm.queue.source_commit import source_of
from pachyderm.record.fingerprints import Fingerprint, digest, listing_digest


@dataclass(frozen=True)
class Derivation:
    """What the content of an output commit is a function of.

    Attributes:
        inputs: repo -> the input commit.
        resolved: the stage's parameters.
        parameters_from: the commit whose parameters file was read, as ``repo@id``.
        pinned: whether the commit set has its own hyperparameters.
        fingerprint: of stage, code, parameters, library versions and input contents, and of the parent once that is
            chosen. Where parameters are left to a time budget, it identifies the request, and equals that of no output.
    """

    inputs: Mapping[str, Input]
    resolved: Resolved
    parameters_from: str
    pinned: bool
    fingerprint: Fingerprint

    def with_resolved(self, resolved: Resolved) -> Derivation:
        """Return the derivation with other parameters."""
        parts = {**self.fingerprint.parts, "parameters": _parameters_digest(resolved)}
        return replace(self, resolved=resolved, fingerprint=Fingerprint(parts))

    def with_parent(self, content: str) -> Derivation:
        """Return the derivation of an output that begins with an earlier one, given the digest of that; empty: none."""
        return replace(self, fingerprint=self.fingerprint.with_parent(content))


def derive(
    client: Connection, stage: Stage, commit: Commit, sources: Mapping[str, Commit], ancestor: Ancestor | None
) -> Derivation:
    """Read the inputs and parameters of an output commit.

    Args:
        client: the connection.
        stage: the stage that fills the commit.
        commit: the output commit.
        sources: repo -> commit, of the commit's direct provenance; all of them good.
        ancestor: its nearest good ancestor, from which the listing of the datums is updated.

    Raises:
        PermanentError: the parameters are invalid.
        RequestError: the commit does not go back to an input repo.
    """
    inputs = {}
    for repo, source in sources.items():
        listing = datums_of(client, repo, source.id, ancestor if repo == stage.datums else None)
        inputs[repo] = Input(source, listing, listing_digest(listing))
    return derive_from(client, stage, commit, inputs)


def derive_from(client: Connection, stage: Stage, commit: Commit, inputs: Mapping[str, Input]) -> Derivation:
    """Read the parameters of an output commit whose inputs are known; errors as for `derive`."""
    known = {CommitId(entry.commit.repo, entry.commit.id): entry.commit for entry in inputs.values()}
    origin = source_of(client, commit, known)
    text = read(client, origin.repo, origin.id, PARAMETERS_FILE)
    return derivation_of(stage, inputs, str(origin), text, own_parameters_in(origin, commit.id))


def derivation_of(
    stage: Stage, inputs: Mapping[str, Input], origin: str, text: bytes | None, own: Mapping[str, object]
) -> Derivation:
    """Return the derivation of an output commit whose inputs and parameters are known.

    Args:
        stage: the stage that fills the commit.
        inputs: repo -> the input.
        origin: name of the input commit that the parameters file belongs to.
        text: the parameters file; None without one.
        own: the commit set's own hyperparameters.

    Raises:
        PermanentError: the parameters are invalid.
    """
    resolved = _resolve(stage, f"{origin}:{PARAMETERS_FILE}", text, own)
    return Derivation(inputs, resolved, origin, bool(own), _fingerprint(stage, inputs, resolved))


def _resolve(stage: Stage, name: str, text: bytes | None, own: Mapping[str, object]) -> Resolved:
    """Resolve the stage's parameters from a parameters file and the commit set's own ones."""
    try:
        return stage.resolve(None if text is None else text.decode("utf-8-sig"), own, name)
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if text and text[:2] in (b"\xff\xfe", b"\xfe\xff") else "not UTF-8"
        raise PermanentError(f"{name} is {encoding}; save it as UTF-8 and commit it again") from error


def _fingerprint(stage: Stage, inputs: Mapping[str, Input], resolved: Resolved) -> Fingerprint:
    return Fingerprint(
        {
            "stage": stage.name,
            "code": stage.code(),
            "parameters": _parameters_digest(resolved),
            **{f"versions.{name}": version for name, version in stage.versions().items()},
            **{f"inputs.{repo}": entry.digest for repo, entry in inputs.items()},
        }
    )


def _parameters_digest(resolved: Resolved) -> str:
    return digest({name: parameter.value for name, parameter in resolved.parameters.items()})
