"""Leadership among triggers, and the lock file that decides it on one machine.

Leadership saves wasted starts and nothing more: what keeps one effect per commit is the claim on the output commit.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path
from typing import IO, Protocol

from workflows.errors import RunInputError


class Leadership(Protocol):
    """Whether this trigger is the one that acts."""

    def begin(self) -> None:
        """Start to try for the lead, where that needs more than `leads`."""

    def is_leader(self) -> bool:
        """Take or keep the lead, without waiting; False while another one has it."""

    def holder(self) -> str:
        """Who has the lead, for a person; empty if nobody, or unknown."""

    def resign(self) -> None:
        """Stop leading, from any thread, for good: `leads` is False from now on.

        A lead that does not depend on what this process has still to clean up is released at once. Returns within
        2 s, whatever hangs; calling it again does nothing.
        """

    def release(self) -> None:
        """Release the lead after the clean-up, so that another trigger need not wait for it."""


class NoElection:
    """Leads always: no lease at all."""

    def begin(self) -> None:
        """See `Leadership.begin`."""

    def is_leader(self) -> bool:
        """See `Leadership.is_leader`."""
        return True

    def holder(self) -> str:
        """See `Leadership.holder`."""
        return ""

    def resign(self) -> None:
        """See `Leadership.resign`."""

    def release(self) -> None:
        """See `Leadership.release`."""


class LockFile:
    """The lead on one machine: an advisory lock, which the system frees when its process ends, however it ends.

    Args:
        path: the file; it says who holds the lock, and stays when nobody does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._resigned = False

    def begin(self) -> None:
        """See `Leadership.begin`."""

    def is_leader(self) -> bool:
        """See `Leadership.is_leader`."""
        if self._resigned:
            return False
        if self._file is not None:
            return True
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("a+")
        except OSError as error:
            raise RunInputError(f"the lock {self._path} cannot be made: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        file.seek(0)
        file.truncate()
        json.dump({"process": os.getpid()}, file)
        file.flush()
        self._file = file
        return True

    def holder(self) -> str:
        """See `Leadership.holder`."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return f"process {json.loads(self._path.read_text())['process']}"
        return ""

    def resign(self) -> None:
        """See `Leadership.resign`; the lock is kept until the runs of this process have ended."""
        self._resigned = True

    def release(self) -> None:
        """See `Leadership.release`."""
        if self._file is not None:
            self._file.close()
            self._file = None
