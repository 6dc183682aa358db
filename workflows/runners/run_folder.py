"""The folder of a local run: request, state and log, written by its process and readable by any other.

runs/<run id>/run.json     the request and its creator; written once, together with the folder
runs/<run id>/state.json   the progress; replaced atomically
runs/<run id>/log.txt      the output of its tasks
runs/<run id>/tmp          the temporary files of its tasks; removed with the end of the run
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec

from pachyderm.errors import StorageError
from workflows.runners.processes import is_alive
from workflows.runners.runner import Phase, RunKey, RunState

ProcessId = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


@dataclass(frozen=True)
class Request:
    """The request for a run; the content of ``run.json``.

    Attributes:
        run: the run's id, the folder's name.
        pipeline: name of the pipeline.
        package: path of the compiled pipeline.
        arguments: typed values for it.
        display_name: ``<pipeline> <set id> <attempt>``, or the run's id for a run that no trigger started.
        started: seconds since 1970.
        creator: process that started it: id and start (see `processes.start_of`).
    """

    run: str
    pipeline: str
    package: str
    arguments: Mapping[str, Any]
    display_name: str
    started: float
    creator: tuple[ProcessId, str]


@dataclass(frozen=True)
class RunProgress:
    """The progress of a run; the content of ``state.json``.

    Attributes:
        phase: its phase.
        process: the run's process: id and start (see `processes.start_of`).
        error: why it did not succeed.
        ended: seconds since 1970.
        outputs: task -> output -> value.
    """

    phase: Phase
    process: tuple[ProcessId, str]
    error: str = ""
    ended: float | None = None
    outputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


_decode_request = msgspec.json.Decoder(Request).decode
_decode_progress = msgspec.json.Decoder(RunProgress).decode


class RunFolder:
    """The folder of a run; it need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "log.txt"
        self._temporary = path / "tmp"

    def create(self, request: Request) -> bool:
        """Create the folder and its request atomically; return False if it exists already.

        Raises:
            StorageError: the folder cannot be created; the disk may be full.
        """
        with self.storing():
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
    def storing(self) -> Iterator[None]:
        """Raise an OSError of the block as a StorageError: the disk is full or read-only, and may not be so later."""
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"runs cannot be stored in {self.path.parent}: {error.strerror or error}; "
                f"free disk space, or repair the disk"
            ) from error

    def make_temporary(self, forbidden: Sequence[str]) -> Path:
        """Make the folder of the run's temporary files, to be its tasks' ``TMPDIR``.

        Args:
            forbidden: texts that its path must not contain; if the run's own path does, the folder is a system
                temporary one that ``tmp`` links to.

        Raises:
            OSError: it cannot be created.
        """
        if any(text in str(self._temporary) for text in forbidden):
            elsewhere = Path(tempfile.mkdtemp(prefix="pix2pix-run-"))
            self._temporary.symlink_to(elsewhere, target_is_directory=True)
            return elsewhere
        self._temporary.mkdir(mode=0o700)
        return self._temporary

    def remove_temporary(self) -> None:
        """Remove the folder of the run's temporary files, if there is one; call it once no task is alive."""
        if self._temporary.is_symlink():
            shutil.rmtree(self._temporary.readlink(), ignore_errors=True)
            self._temporary.unlink(missing_ok=True)
        shutil.rmtree(self._temporary, ignore_errors=True)

    def has_temporary(self) -> bool:
        """Whether the folder of the run's temporary files is left."""
        return os.path.lexists(self._temporary)

    def request(self) -> Request | None:
        """Return the request; None if there is no such run."""
        try:
            return _decode_request((self.path / "run.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            return None

    def progress(self) -> RunProgress | None:
        """Return the progress that the run itself recorded; None before it recorded any."""
        try:
            return _decode_progress((self.path / "state.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            return None

    def write(self, progress: RunProgress) -> None:
        """Replace ``state.json`` atomically and durably.

        Raises:
            StorageError: it cannot be written.
        """
        with self.storing():
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

    def state(self, unrecorded: RunProgress | None = None) -> RunState | None:
        """Return the run as any process of this machine sees it; None if there is no such run.

        Args:
            unrecorded: its progress where that could not be recorded.
        """
        request = self.request()
        if request is None:
            return None
        progress = unrecorded or self.progress()
        if progress is None:
            if is_alive(*request.creator):
                progress = RunProgress(Phase.RUNNING, request.creator)
            else:
                why = "the process that started it ended before the run began"
                progress = RunProgress(Phase.INTERRUPTED, request.creator, why, request.started)
        elif progress.phase is Phase.RUNNING and not is_alive(*progress.process):
            # It may have recorded its end between the two reads.
            latest = self.progress() or progress
            progress = self._vanished(latest) if latest.phase is Phase.RUNNING else latest
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

    def _vanished(self, progress: RunProgress) -> RunProgress:
        try:
            ended = max(self.log.stat().st_mtime, (self.path / "state.json").stat().st_mtime)
        except OSError:
            ended = 0.0
        why = f"its process {progress.process[0]} disappeared without a report; its log is {self.log}"
        return replace(progress, phase=Phase.VANISHED, error=why, ended=ended)
