"""Download of the model in use, compared with its commit's record before TensorFlow reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from components.transfer import fetch
from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import EXPORT, MODEL
from pachyderm.errors import PermanentError, RequestError
from pachyderm.output.stage import StageContext
from pachyderm.record.stage_record import OutputFile, read_record


def fetch_model(job: StageContext, needed: Callable[[str], bool]) -> Path:
    """Download the model in use, and compare each file with the record of the stage export.

    A SavedModel is a program: what the stage did not write must not be loaded.

    Args:
        job: the output commit's work.
        needed: whether a file of the model is downloaded, by its absolute path.

    Returns:
        the folder.

    Raises:
        PermanentError: the model's commit has no record of an export, or other files than its record.
    """
    source = job.inputs[MODEL.repo]
    recorded = recorded_files(job.client, source.commit)
    require_listed(source.commit, recorded, source.files)
    wanted = {path: file for path, file in recorded.items() if needed(path)}
    folder = fetch(job, MODEL.repo, wanted)
    require_recorded(source.commit, wanted, folder)
    return folder


def recorded_files(client: Connection, commit: Commit) -> Mapping[str, OutputFile]:
    """Return the files of a model as the stage that exported it recorded them.

    Raises:
        PermanentError: the commit has no record of an export.
    """
    try:
        record = read_record(client, commit.repo, commit.id)
    except RequestError as error:
        raise _refusal(commit, str(error)) from error
    if record is None or record.commit != str(commit) or record.stage != EXPORT.name:
        raise _refusal(commit, f"it has no record of the stage {EXPORT.name}, which alone makes models")
    return record.files


def require_listed(commit: Commit, recorded: Mapping[str, OutputFile], listing: Collection[str]) -> None:
    """Refuse a model whose commit holds other paths than its record.

    Raises:
        PermanentError: it does.
    """
    _require_none(commit, {*recorded} ^ {*listing})


def require_recorded(commit: Commit, recorded: Mapping[str, OutputFile], folder: Path) -> None:
    """Refuse a downloaded model that differs from its commit's record.

    Raises:
        PermanentError: a file differs.
    """
    _require_none(
        commit, (path for path, file in recorded.items() if _sha256(folder / path.lstrip("/")) != file.sha256)
    )


def _require_none(commit: Commit, differing: Iterable[str]) -> None:
    first = min(differing, default=None)
    if first is not None:
        raise _refusal(commit, f"its file {first} is not as its record states")


def _refusal(commit: Commit, problem: str) -> PermanentError:
    return PermanentError(
        f"the model {commit} is not loaded: {problem}; `pix2pix promote COMMIT` puts another model into use, and"
        " `pix2pix fsck` gives details"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
