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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflows.errors import RunInputError, RunnerUnreachableError, UnclearAnswerError, WorkflowError

logger = logging.getLogger(__name__)

PAGE = 200
"""Items of one page; the server's largest."""

TRIES = 4
"""Times that a question, which changes nothing, is asked before giving up."""

LONGEST_PAUSE = 30.0

CONNECT_TIMEOUT = 10.0
"""Seconds within which a connection must come about, and the first question of all be answered."""

_CHECK = "check [kubeflow] endpoint (or KF_PIPELINES_ENDPOINT), token_file and cookies"


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


class RefusedError(WorkflowError):
    """The API said no, and nothing was done.

    Attributes:
        status: of the HTTP answer.
        reason: what it said.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason


class RefusedTokenError(RunnerUnreachableError):
    """The API answers, and does not let us in."""


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
            RunnerUnreachableError: no API answers within `CONNECT_TIMEOUT`, or it refuses the token.
        """
        if self._client is None:
            client = self._made()
            self._reach(client)
            self._client = client
        return self._client

    def _made(self) -> Any:
        from kfp.client import Client
        from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials
        from kfp_server_api import V2beta1GetHealthzResponse

        class Quiet(Client):
            """Asks nothing while it is made: kfp asks five times, 5 s apart, each with a traceback, and tells no why.

            What it asks for, the namespace of its pod, is in our configuration.
            """

            def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:  # noqa: ARG002
                return V2beta1GetHealthzResponse(multi_user=False)

        access = self._access
        options: dict[str, Any] = {"host": access.endpoint or None, "cookies": access.cookies or None}
        try:
            if access.token_file:
                Path(access.token_file).read_bytes()
                options["credentials"] = ServiceAccountTokenVolumeCredentials(path=access.token_file)
            # The client prints on standard output, which belongs to our document.
            with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
                # "only works with Kubeflow Pipeline v2.0.0-beta.2 and later", at every start.
                warnings.simplefilter("ignore", FutureWarning)
                client = Quiet(**options)
        except Exception as error:  # the client lets through whatever kubernetes and it itself raise
            raise RunnerUnreachableError(
                f"no access to Kubeflow at {access.endpoint or 'the address that the kfp client finds'}: "
                f"{_short(error)}; {_CHECK}"
            ) from error
        pool = client._run_api.api_client.rest_client.pool_manager
        # urllib3 would repeat requests by itself.
        pool.connection_pool_kw["retries"] = False
        return client

    def _reach(self, client: Any) -> None:
        """Ask a client's API for a sign of life, once."""
        where, within = _host(client), min(self._access.timeout, CONNECT_TIMEOUT)
        ask = client._healthz_api.healthz_service_get_healthz_with_http_info
        try:
            with _translated(where):
                # A single number counts only where it is an int.
                _, _, headers = ask(_request_timeout=(within, within))
        except RefusedTokenError:
            raise
        except RefusedError as error:
            raise RunnerUnreachableError(
                f"what answers at {where} is no Kubeflow Pipelines API ({error}); {_CHECK}"
            ) from error
        except RunnerUnreachableError as error:
            raise RunnerUnreachableError(f"{error}; {_CHECK}") from error
        if not _is_json(headers):
            raise RunnerUnreachableError(_no_api(where))

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
        call = getattr(getattr(self.client, f"_{service}_api"), f"{method}_with_http_info")
        timeout = self._access.timeout
        with _translated(self._where()):
            answer, _, headers = call(**arguments, _request_timeout=(min(timeout, CONNECT_TIMEOUT), timeout))
        if answer is None or not _is_json(headers):
            # A cookie that ran out is answered with a login page, as a success.
            raise UnclearAnswerError(_no_api(self._where()))
        return answer

    def _where(self) -> str:
        return _host(self.client)


@contextlib.contextmanager
def _translated(where: str) -> Iterator[None]:
    """Turn what a call of the generated API raises into our errors."""
    import urllib3
    from kfp_server_api.exceptions import ApiException, OpenApiException

    try:
        yield
    except ApiException as error:
        raise _meant(error, where) from error
    except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
        raise RunnerUnreachableError(f"Kubeflow at {where} does not answer: {_short(error)}") from error
    except (urllib3.exceptions.HTTPError, OpenApiException, ValueError, OSError) as error:
        # A time limit, a broken connection, half an answer: the request may have been carried out.
        raise UnclearAnswerError(f"no clear answer from Kubeflow at {where}: {_short(error)}") from error


def _meant(error: Any, where: str) -> Exception:
    status, reason = int(error.status or 0), _reason(error)
    if status in (401, 403):
        return RefusedTokenError(
            f"Kubeflow at {where} refuses the token ({status}: {reason}); "
            f"check [kubeflow] token_file or cookies, and that the namespace allows pipelines"
        )
    if status == 429 or status >= 500 or status == 0:
        return UnclearAnswerError(f"Kubeflow at {where} answers {status}: {reason}", _retry_after(error))
    return RefusedError(status, reason)


def _is_json(headers: Any) -> bool:
    """The generated API would read a page of HTML as an empty list."""
    return "json" in headers.get("Content-Type", "")


def _no_api(where: str) -> str:
    return f"what answers at {where} is no Kubeflow Pipelines API, perhaps a login page; {_CHECK}"


def _host(client: Any) -> str:
    return str(client._existing_config.host)


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
