"""The outcome of a stage's work in another process: a file beside the results in the folder of unfinished work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from components.train.stage import NOT_PUBLISHED
from components.transfer import files_below
from pachyderm.errors import ServerError
from pachyderm.output.stage import StageOutput

FILE = Path("state") / "outcome.json"
"""In the folder; below ``state/``, which is not published."""


def write(folder: Path, output: StageOutput) -> None:
    """Write what the work returned; its files are those of the folder."""
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(replace(output, files={})))


def read(folder: Path) -> StageOutput:
    """Read the outcome, with the files of the folder.

    Raises:
        ServerError: the outcome is missing, since the unfinished work was deleted meanwhile.
    """
    try:
        output = msgspec.json.decode((folder / FILE).read_bytes(), type=StageOutput)
    except (FileNotFoundError, msgspec.MsgspecError) as error:
        raise ServerError(
            "the nodes finished, but their result is not in Pachyderm's unfinished work; the next attempt trains again"
        ) from error
    return replace(output, files=files_below(folder, leave_out=NOT_PUBLISHED))
