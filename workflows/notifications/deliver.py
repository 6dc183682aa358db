"""Delivers messages through Apprise; run as a process of its own, so that no library can log, hang or end the trigger.

Reads ``[{"url", "title", "body", "level"}, ...]`` from standard input and writes a list of booleans, whether the
service accepted each message. After the first that was not accepted the others are not tried. A message without a
title checks its URL and sends nothing. It imports nothing of this project.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any


def deliver(messages: list[dict[str, str]]) -> list[bool]:
    """Send messages in order; see the module's docstring."""
    import apprise

    results: list[bool] = []
    for message in messages:
        service = apprise.Apprise.instantiate(message["url"], suppress_exceptions=True)
        accepted = service is not None and ("title" not in message or _sent(service, message))
        results.append(accepted)
        if not accepted and "title" in message:
            break
    return results + [False] * (len(messages) - len(results))


def _sent(service: Any, message: dict[str, str]) -> bool:
    import apprise

    sender = apprise.Apprise(services=service)
    level = apprise.NotifyType(message["level"])
    return bool(sender.notify(message["body"], message["title"], level, body_format=apprise.NotifyFormat.TEXT))


if __name__ == "__main__":
    # Libraries log URLs, which hold secrets; standard output is the answer's alone.
    logging.disable(logging.CRITICAL)
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    json.dump(deliver(json.load(sys.stdin)), answer)
    answer.close()
