"""Errors of the workflow layer: pipelines, runners and the trigger.

    WorkflowError
    ├── RunInputError            unknown pipeline, unknown parameter, or wrong configuration
    ├── RunnerUnreachableError   the runner (Kubeflow, the cluster) does not answer, or refuses the token  (retryable)
    │   ├── UnclearAnswerError   a request may or may not have been carried out
    │   └── RefusedTokenError    Kubeflow answers, but refuses the token
    ├── RefusedError             Kubeflow's API refuses one request
    └── RunFailedError           a run ended without success

`RefusedError` and `RefusedTokenError` are defined in `workflows.runners.kubeflow_api`.
"""

from __future__ import annotations

from typing import ClassVar


class WorkflowError(Exception):
    """Base of this layer's errors; the message states the problem and the remedy.

    Attributes:
        retryable: whether the same request may succeed later without anybody changing the request or its input.
    """

    retryable: ClassVar[bool] = False


class RunInputError(WorkflowError):
    """Wrong use or bad input; nothing was started."""


class RunnerUnreachableError(WorkflowError):
    """The service that runs the pipelines does not answer.

    Attributes:
        retry_after: seconds that the service asked clients to wait, or 0.
    """

    retryable = True

    def __init__(self, text: str, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class UnclearAnswerError(RunnerUnreachableError):
    """A request was sent and its outcome is unknown; check for its effect before sending it again."""


class RunFailedError(WorkflowError):
    """A run ended without success.

    Attributes:
        run: the run's id.
    """

    def __init__(self, run: str, text: str) -> None:
        super().__init__(text)
        self.run = run
