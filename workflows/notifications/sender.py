"""Sends messages by a child process, which can be ended if a service hangs."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from workflows.errors import RunInputError
from workflows.settings.notify import NotifyService

SENDS_WITHIN = 120.0
"""Seconds after which a delivery is ended and counts as failed."""


class Sender:
    """Sends messages; `close` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    def send(self, messages: Sequence[dict[str, str]]) -> list[bool]:
        """Send messages, as `workflows.notifications.deliver` takes them; return which were accepted.

        Raises:
            InterruptedError: `close` was called.
        """
        with self._lock:
            if self._closed:
                raise InterruptedError
            # -P: the modules beside the script must not shadow those of libraries. The URLs are on no command line.
            self._process = process = subprocess.Popen(
                [sys.executable, "-P", str(Path(__file__).with_name("deliver.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        try:
            answer, _ = process.communicate(json.dumps(messages), SENDS_WITHIN)
            results: list[bool] = json.loads(answer)
        except (subprocess.TimeoutExpired, ValueError, OSError):
            results = [False] * len(messages)
        finally:
            process.kill()
            process.wait()
        if self._closed:
            raise InterruptedError
        return results

    def close(self) -> None:
        """End a delivery in progress, and begin no other."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()


def check_services(services: Sequence[NotifyService]) -> None:
    """Check that Apprise knows every URL; nothing is sent.

    Raises:
        RunInputError: it does not know one.
    """
    if not services:
        return
    results = Sender().send([{"url": service.url} for service in services])
    unknown = [service.name for service, known in zip(services, results, strict=True) if not known]
    if unknown:
        raise RunInputError(
            f"notify.urls: Apprise cannot use {', '.join(unknown)} (scheme and number of the entry);"
            " check the URL's form in Apprise's documentation"
        )
