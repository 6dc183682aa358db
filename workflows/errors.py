"""The errors of pipelines, runners and trigger.

WorkflowError
├── RunInputError            unknown pipeline or parameter, invalid configuration
├── RunnerUnreachableError   Kubeflow (or the cluster) does not answer, or refuses the token
│   └── UnclearAnswerError   a request may or may not have taken effect: check before repeating it
└── RunFailedError           a run ended without success
"""

from __future__ import annotations

from typing import ClassVar


class WorkflowError(Exception):
    """Base of all errors that this layer raises on purpose; the message gives problem and remedy."""

    retryable: ClassVar[bool] = False
    """Whether the same request may succeed later without anybody changing the request or its input."""


class RunInputError(WorkflowError):
    """Wrong use or bad input; nothing was started, and the same request would fail again."""


class RunnerUnreachableError(WorkflowError):
    """The runner's service does not answer; the same request may succeed later.

    Attributes:
        retry_after: seconds after which the service asked to be called again, or 0.
    """

    retryable = True

    def __init__(self, text: str, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class UnclearAnswerError(RunnerUnreachableError):
    """A request was sent and its outcome is unknown; check for its effect before repeating it."""


class RunFailedError(WorkflowError):
    """A run ended without success.

    Attributes:
        run: the run's id.
    """

    def __init__(self, run: str, text: str) -> None:
        super().__init__(text)
        self.run = run
