"""What can go wrong on the floor of pipelines, runners and trigger, as one tree.

It exists so that a caller can tell wrong use, a service that is away and a run that failed apart, whatever runs it.

    WorkflowError
    ├── RunInputError            no such pipeline, a parameter that it does not have, a configuration that is wrong
    ├── RunnerUnreachableError   Kubeflow (or the cluster) does not answer, or refuses the token
    │   └── UnclearAnswerError   a request may or may not have been carried out: look before asking again
    └── RunFailedError           a run ended, and not well
"""

from __future__ import annotations

from typing import ClassVar


class WorkflowError(Exception):
    """Anything that this floor raises on purpose; its text says the problem and the remedy."""

    retryable: ClassVar[bool] = False
    """Whether the same request may succeed later without anybody changing the request or its input."""


class RunInputError(WorkflowError):
    """Wrong use or bad input; nothing was started, and starting it again as it is cannot help."""


class RunnerUnreachableError(WorkflowError):
    """What runs the pipelines does not answer; the same request may succeed later.

    Attributes:
        retry_after: seconds that the service asked to be left alone, or 0.
    """

    retryable = True

    def __init__(self, text: str, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class UnclearAnswerError(RunnerUnreachableError):
    """A request was sent and its outcome is unknown; look for its effect before sending it again."""


class RunFailedError(WorkflowError):
    """A run ended without success.

    Attributes:
        run: the run's id.
    """

    def __init__(self, run: str, text: str) -> None:
        super().__init__(text)
        self.run = run
