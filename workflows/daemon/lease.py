"""Leader election among triggers, and its implementation by a lock file on one machine.

Leadership only avoids wasted starts: the claim on the output commit guarantees a single effect per commit.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import threading
from pathlib import Path
from typing import IO, Protocol

from pachyderm.errors import FullError
from workflows.errors import RunInputError


class Leadership(Protocol):
    """Decides whether this trigger acts."""

    def begin(self) -> None:
        """Start to compete for the lead, if that takes more than calls of `is_leader`."""

    def is_leader(self) -> bool:
        """Take or keep the lead without waiting; return False while another trigger has it."""

    def holder(self) -> str:
        """Return who has the lead, for people; empty if nobody or unknown."""

    def leaderless_for(self) -> float:
        """Return the seconds for which no trigger has led, as far as this one can see."""

    def resign(self) -> None:
        """Stop leading for good: `is_leader` is False from now on. May be called from any thread, and repeatedly.

        A lead that does not depend on this process's remaining clean-up is released at once. Returns within 2 s,
        even if a request hangs.
        """

    def release(self) -> None:
        """Release the lead after the clean-up, so that another trigger need not wait for its expiry."""


class NoElection:
    """Always leads."""

    def begin(self) -> None:
        """See `Leadership.begin`."""

    def is_leader(self) -> bool:
        """See `Leadership.is_leader`."""
        return True

    def holder(self) -> str:
        """See `Leadership.holder`."""
        return ""

    def leaderless_for(self) -> float:
        """See `Leadership.leaderless_for`."""
        return 0.0

    def resign(self) -> None:
        """See `Leadership.resign`."""

    def release(self) -> None:
        """See `Leadership.release`."""


class LockFile:
    """Leadership on one machine by an advisory lock, which the kernel frees however its process ends.

    Args:
        path: the lock file; it names the holder, and remains when nobody holds the lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._resigned = False
        self._taking = threading.Lock()

    def begin(self) -> None:
        """See `Leadership.begin`."""

    def is_leader(self) -> bool:
        """See `Leadership.is_leader`.

        Raises:
            FullError: there is no space for the lock file.
            RunInputError: it cannot be created.
        """
        with self._taking:
            return self._is_leader()

    def _is_leader(self) -> bool:
        if self._resigned:
            return False
        if self._file is not None:
            return True
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("ab", buffering=0)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise FullError(f"no space for the lock file {self._path}; free some space and try again") from error
            raise RunInputError(f"the lock file {self._path} cannot be created: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        # The lock counts, not the file's content, which a full disk may keep from being written.
        with contextlib.suppress(OSError):
            file.truncate(0)
            file.write(json.dumps({"process": os.getpid()}).encode())
        self._file = file
        return True

    def holder(self) -> str:
        """See `Leadership.holder`."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            return f"process {json.loads(self._path.read_text())['process']}"
        return ""

    def leaderless_for(self) -> float:
        """See `Leadership.leaderless_for`; the kernel frees the lock, so whoever asks for it next leads."""
        return 0.0

    def resign(self) -> None:
        """See `Leadership.resign`; the lock is kept until the runs of this process have ended."""
        self._resigned = True

    def release(self) -> None:
        """See `Leadership.release`."""
        if self._file is not None:
            self._file.close()
            self._file = None
