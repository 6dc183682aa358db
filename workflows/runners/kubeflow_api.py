"""Talks to Kubeflow Pipelines' API through the `kfp` client, and says in our words what went wrong.

It exists because the client's own convenience calls wait without a time limit, retry what must not be repeated and do
not tell "no" from "perhaps"; its generated API underneath does, and keeps the client's ways to authenticate.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workflows.errors import RunInputError, RunnerUnreachableError, UnclearAnswerError

logger = logging.getLogger(__name__)

PAGE = 200
"""Items of one page; the server's largest."""

TRIES = 4
"""Times that a question, which changes nothing, is asked before giving up."""

LONGEST_PAUSE = 30.0


@dataclass(frozen=True)
class Access:
    """How the API is reached; each empty field is left to the `kfp` client to find.

    Attributes:
        endpoint: URL of the API.
        namespace: of the runs in a multi-user Kubeflow.
        token_file: file with a bearer token, read again as it changes.
        cookies: for a Kubeflow behind dex.
        timeout: seconds for one request.
    """

    endpoint: str = ""
    namespace: str = ""
    token_file: str = ""
    cookies: str = ""
    timeout: float = 30.0


class RefusedError(Exception):
    """The API said no, and nothing was done.

    Attributes:
        status: of the HTTP answer.
        reason: what it said.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason


class Api:
    """The API's services, each call with a time limit and no hidden repetition.

    Args:
        access: how it is reached.
        pause: waits that many seconds between two tries of a question.
    """

    def __init__(self, access: Access, pause: Callable[[float], None]) -> None:
        self._access = access
        self._pause = pause
        self._client: Any = None

    @property
    def client(self) -> Any:
        """The `kfp` client, made at the first use.

        Raises:
            RunnerUnreachableError: no API answers.
        """
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> Any:
        from kfp.client import Client
        from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

        access = self._access
        options: dict[str, Any] = {"host": access.endpoint or None, "cookies": access.cookies or None}
        if access.token_file:
            options["credentials"] = ServiceAccountTokenVolumeCredentials(path=access.token_file)
        retries = logging.getLogger("urllib3.connectionpool")
        level = retries.level
        try:
            # The client's first question is repeated by urllib3, which warns each time; our error says it once.
            retries.setLevel(logging.ERROR)
            # The client prints on standard output, which belongs to our document.
            with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
                # "only works with Kubeflow Pipeline v2.0.0-beta.2 and later", at every start.
                warnings.simplefilter("ignore", FutureWarning)
                client = Client(**options)
        except Exception as error:  # the client lets through whatever urllib3, kubernetes and it itself raise
            raise RunnerUnreachableError(
                f"no Kubeflow Pipelines API answers at {access.endpoint or 'the address that the kfp client found'}: "
                f"{_short(getattr(error, 'reason', None) or error)}; "
                f"check [kubeflow] endpoint, or KF_PIPELINES_ENDPOINT"
            ) from error
        finally:
            retries.setLevel(level)
        pool = client._run_api.api_client.rest_client.pool_manager
        # urllib3 would repeat requests by itself.
        pool.connection_pool_kw["retries"] = False
        return client

    def ask(self, service: str, method: str, **arguments: Any) -> Any:
        """Call what changes nothing; tried again with growing pauses where the API is busy or away.

        Args:
            service: ``run``, ``pipelines``, ``experiment``.
            method: name of the generated call.
            arguments: of the call.

        Raises:
            RefusedError: it said no.
            RunnerUnreachableError: it does not answer.
        """
        for number in range(TRIES):
            try:
                return self._call(service, method, arguments)
            except UnclearAnswerError as trouble:
                if number == TRIES - 1:
                    raise RunnerUnreachableError(str(trouble)) from trouble
                self._pause(min(max(trouble.retry_after, 0.5 * 2**number), LONGEST_PAUSE))
        raise AssertionError("unreachable")

    def change(self, service: str, method: str, **arguments: Any) -> Any:
        """Call what changes something, once.

        Raises:
            RefusedError: it said no, and did nothing.
            UnclearAnswerError: it may have done it; look before calling again.
            RunnerUnreachableError: it does not answer, and has done nothing.
        """
        return self._call(service, method, arguments)

    def pages(self, service: str, method: str, items: str, **arguments: Any) -> list[Any]:
        """Ask page by page, and begin again where the server does not know its own token.

        Raises:
            RefusedError: it said no.
            RunnerUnreachableError: it does not answer, or not with a whole list.
        """
        for _ in range(TRIES):
            found = self._all_pages(service, method, items, arguments)
            if found is not None:
                return found
        raise RunnerUnreachableError(f"Kubeflow at {self._where()} does not give a whole list of {items}")

    def _all_pages(self, service: str, method: str, items: str, arguments: dict[str, Any]) -> list[Any] | None:
        token, seen = "", {""}
        found: list[Any] = []
        while True:
            try:
                answer = self.ask(service, method, page_token=token, page_size=PAGE, **arguments)
            except RefusedError as error:
                if token and error.status == 400:
                    return None
                raise
            found += getattr(answer, items) or []
            token = answer.next_page_token or ""
            if not token:
                return found
            if token in seen:
                return None
            seen.add(token)

    def _call(self, service: str, method: str, arguments: dict[str, Any]) -> Any:
        import urllib3
        from kfp_server_api.exceptions import ApiException, OpenApiException

        call = getattr(getattr(self.client, f"_{service}_api"), method)
        timeout = self._access.timeout
        try:
            return call(**arguments, _request_timeout=(min(timeout, 10.0), timeout))
        except ApiException as error:
            raise self._meant(error) from error
        except urllib3.exceptions.NewConnectionError as error:
            raise RunnerUnreachableError(f"Kubeflow at {self._where()} does not answer: {_short(error)}") from error
        except (urllib3.exceptions.HTTPError, OpenApiException, ValueError, OSError) as error:
            # A time limit, a broken connection, half an answer: the request may have been carried out.
            raise UnclearAnswerError(f"no clear answer from Kubeflow at {self._where()}: {_short(error)}") from error

    def _meant(self, error: Any) -> Exception:
        status, reason = int(error.status or 0), _reason(error)
        if status in (401, 403):
            return RunnerUnreachableError(
                f"Kubeflow at {self._where()} refuses the token ({status}: {reason}); "
                f"check [kubeflow] token_file or cookies, and that the namespace allows pipelines"
            )
        if status == 429 or status >= 500 or status == 0:
            return UnclearAnswerError(f"Kubeflow at {self._where()} answers {status}: {reason}", _retry_after(error))
        return RefusedError(status, reason)

    def _where(self) -> str:
        return str(self.client._existing_config.host)


def _reason(error: Any) -> str:
    """The message of an API error, in one line."""
    text = error.body or error.reason or ""
    with contextlib.suppress(ValueError, AttributeError):
        text = json.loads(text).get("message", text)
    return _short(text)


def _retry_after(error: Any) -> float:
    value = (error.headers or {}).get("Retry-After", "0")
    return float(value) if re.fullmatch(r"\d+(\.\d+)?", value) else 0.0


def _short(what: object) -> str:
    return " ".join(str(what).split())[:300]


def refuse(error: RefusedError, what: str) -> RunInputError:
    """A refusal as an error of the request's content, which the same request cannot mend."""
    return RunInputError(f"Kubeflow refuses {what}: {error.reason}")
