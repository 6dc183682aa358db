"""Repetition of requests whose transaction pachd's database gave up in favour of another one.

pachd does not itself repeat every PostgreSQL transaction that conflicts: it answers UNKNOWN, with PostgreSQL's text
(seen on pachd 2.12 while two clients wrote).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any

import grpc

logger = logging.getLogger(__name__)

PAUSES = (0.1, 0.3, 1.0, 3.0)
"""Seconds before each repetition."""

_ROLLED_BACK = re.compile(r"SQLSTATE (?:25P02|40|53)|commit unexpectedly resulted in rollback")
"""An aborted transaction, a conflict, exhausted resources; the last is what the driver reports of an aborted commit."""


def rolled_back(text: str) -> bool:
    """Return whether a server's error shows that its database rolled the request back, so that nothing was changed."""
    return _ROLLED_BACK.search(text) is not None


class ConflictRetries(grpc.UnaryUnaryClientInterceptor):
    """Repeats a request of one message that the server's database rolled back.

    Args:
        pause: sleeps for some seconds.
    """

    def __init__(self, pause: Callable[[float], None] = time.sleep) -> None:
        self._pause = pause

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Send the request until it is not rolled back, at most `PAUSES` times more."""
        call = continuation(client_call_details, request)
        for seconds in PAUSES:
            if call.code() is not grpc.StatusCode.UNKNOWN or not rolled_back(call.details() or ""):
                break
            logger.info("%s is repeated: %s", client_call_details.method, call.details())
            self._pause(seconds)
            call = continuation(client_call_details, request)
        return call
