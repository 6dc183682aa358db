"""A local run's folder: what it is, how far it is and what it said, in files that any process can read.

    runs/<run id>/run.json     what was asked for, and who asked: written once, with the folder itself
    runs/<run id>/state.json   how far it is; replaced whole, so that a reader never sees half of it
    runs/<run id>/log.txt      everything that its tasks printed

It exists apart from the runner because the child process writes what the runner, `status` and a later trigger read.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pachyderm.errors import StorageError
from workflows.runners.processes import lives
from workflows.runners.runner import Phase, RunKey, RunState


@dataclass(frozen=True)
class Request:
    """What a run was started for; the content of ``run.json``.

    Attributes:
        run: the run's id, the folder's name.
        pipeline: its name.
        package: path of the compiled pipeline.
        arguments: typed values for it.
        display_name: ``<pipeline> <set id> <attempt>``, or the run's id for a run that no trigger started.
        started: seconds since 1970.
        creator: process that started it, and its birth (see `processes.born`).
    """

    run: str
    pipeline: str
    package: str
    arguments: Mapping[str, Any]
    display_name: str
    started: float
    creator: tuple[int, str]


@dataclass(frozen=True)
class RunProgress:
    """How far a run is; the content of ``state.json``.

    Attributes:
        phase: how far.
        process: the run's process and its birth.
        error: why it did not succeed.
        ended: seconds since 1970.
        outputs: task -> output -> value.
    """

    phase: Phase
    process: tuple[int, str]
    error: str = ""
    ended: float | None = None
    outputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class RunFolder:
    """One run's folder; it may not be there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "log.txt"

    def create(self, request: Request) -> bool:
        """Make the folder with the request in it, in one step; False where it is there already.

        Raises:
            StorageError: the folder cannot be made now; the disk may be full.
        """
        with self.kept():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self.path.parent))
            try:
                (draft / "run.json").write_text(json.dumps(asdict(request), indent=2))
                draft.rename(self.path)
            except OSError:
                shutil.rmtree(draft, ignore_errors=True)
                if self.path.is_dir():
                    return False
                raise
        return True

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Say what a disk that is full or read-only means here: the run may be kept, and so started, later."""
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"runs cannot be kept in {self.path.parent}: {error.strerror or error}; free space, or mend the disk"
            ) from error

    def request(self) -> Request | None:
        """What the run was started for; None where there is no such run."""
        try:
            content = json.loads((self.path / "run.json").read_text())
        except (OSError, ValueError):
            return None
        return Request(**{**content, "creator": tuple(content["creator"])})

    def progress(self) -> RunProgress | None:
        """How far the run is by its own word; None before it has said anything."""
        try:
            content = json.loads((self.path / "state.json").read_text())
        except (OSError, ValueError):
            return None
        return RunProgress(**{**content, "phase": Phase(content["phase"]), "process": tuple(content["process"])})

    def write(self, progress: RunProgress) -> None:
        """Replace ``state.json`` whole, durably.

        Raises:
            StorageError: it cannot be written now.
        """
        with self.kept():
            handle, name = tempfile.mkstemp(prefix=".state-", dir=self.path)
            try:
                with os.fdopen(handle, "w") as file:
                    json.dump(asdict(progress), file, indent=2)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self.path / "state.json")
            except OSError:
                with contextlib.suppress(OSError):
                    Path(name).unlink()
                raise

    def state(self) -> RunState | None:
        """The run as any process of this machine sees it; None where there is no such run."""
        request = self.request()
        if request is None:
            return None
        progress = self.progress()
        if progress is None:
            if lives(*request.creator):
                progress = RunProgress(Phase.RUNNING, request.creator)
            else:
                why = "the process that started it ended before the run began"
                progress = RunProgress(Phase.INTERRUPTED, request.creator, why, request.started)
        elif progress.phase is Phase.RUNNING and not lives(*progress.process):
            # It may have written its end between the two looks.
            again = self.progress() or progress
            progress = self._gone(again) if again.phase is Phase.RUNNING else again
        return RunState(
            run=request.run,
            key=RunKey.parse(request.display_name),
            phase=progress.phase,
            error=progress.error,
            started=request.started,
            ended=progress.ended,
            link=str(self.log),
            outputs=progress.outputs,
        )

    def _gone(self, progress: RunProgress) -> RunProgress:
        try:
            ended = max(self.log.stat().st_mtime, (self.path / "state.json").stat().st_mtime)
        except OSError:
            ended = 0.0
        why = f"its process {progress.process[0]} is gone without a word; its log is {self.log}"
        return replace(progress, phase=Phase.VANISHED, error=why, ended=ended)
