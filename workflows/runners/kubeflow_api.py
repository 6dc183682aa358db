"""Access to the Kubeflow Pipelines API, with time limits and with errors that distinguish refusal from uncertainty.

The `kfp` client's convenience calls wait without a time limit and retry requests that must not be repeated. This uses
the generated API below them, and keeps the client's authentication.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workflows.errors import RunInputError, RunnerUnreachableError, UnclearAnswerError, WorkflowError

logger = logging.getLogger(__name__)

PAGE = 200
"""Items of one page; the server's maximum."""

TRIES = 4
"""Attempts at a request that changes nothing."""

LONGEST_PAUSE = 30.0
"""Seconds between two attempts, at most."""

CONNECT_TIMEOUT = 10.0
"""Seconds within which a connection must be established, and the first request answered."""

MALFORMED = (TypeError, AttributeError, LookupError, ArithmeticError, ValueError, RecursionError)
"""What the generated API, and readers of its answers, raise for JSON of another form than the API's."""

_CHECK = "check [kubeflow] endpoint (or KF_PIPELINES_ENDPOINT), token_file and cookies"


@dataclass(frozen=True)
class Access:
    """Address and credentials of the API; an empty field is left to the `kfp` client.

    Attributes:
        endpoint: URL of the API.
        namespace: namespace of the runs, in a multi-user Kubeflow.
        token_file: file with a bearer token, read again as it changes.
        cookies: for a Kubeflow behind dex. A secret: not in the repr.
        timeout: seconds for one request.
    """

    endpoint: str = ""
    namespace: str = ""
    token_file: str = ""
    cookies: str = field(default="", repr=False)
    timeout: float = 30.0


class RefusedError(WorkflowError):
    """The API refused a request; nothing was done.

    Attributes:
        status: HTTP status.
        reason: the API's message.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason


class RefusedTokenError(RunnerUnreachableError):
    """The API answers, but rejects the credentials."""


class Api:
    """The API's services; each call has a time limit and no hidden retries.

    Args:
        access: address and credentials.
        pause: waits that many seconds between two attempts.
    """

    def __init__(self, access: Access, pause: Callable[[float], None]) -> None:
        self._access = access
        self._pause = pause
        self._client: Any = None

    @property
    def client(self) -> Any:
        """The `kfp` client, created at the first use.

        Raises:
            RunnerUnreachableError: no API answers within `CONNECT_TIMEOUT`, or it refuses the token.
        """
        if self._client is None:
            client = self._new_client()
            self._reach(client)
            self._client = client
        return self._client

    def _new_client(self) -> Any:
        from kfp.client import Client
        from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials
        from kfp_server_api import V2beta1GetHealthzResponse

        class Quiet(Client):
            """Sends no request on creation: kfp would send five, 5 s apart, each with a traceback but no cause.

            It only needs the answer to choose a namespace, which our configuration has.
            """

            def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:  # noqa: ARG002
                return V2beta1GetHealthzResponse(multi_user=False)

        access = self._access
        options: dict[str, Any] = {"host": access.endpoint or None, "cookies": access.cookies or None}
        try:
            if access.token_file:
                Path(access.token_file).read_bytes()
                options["credentials"] = ServiceAccountTokenVolumeCredentials(path=access.token_file)
            # The client prints to standard output, which is reserved for our JSON.
            with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
                # "only works with Kubeflow Pipeline v2.0.0-beta.2 and later", on every start.
                warnings.simplefilter("ignore", FutureWarning)
                client = Quiet(**options)
        except Exception as error:  # the client raises whatever kubernetes raises
            raise RunnerUnreachableError(
                f"no access to Kubeflow at {access.endpoint or 'the address that the kfp client finds'}: "
                f"{_short(error)}; {_CHECK}"
            ) from error
        pool = client._run_api.api_client.rest_client.pool_manager
        # urllib3 would retry requests by itself.
        pool.connection_pool_kw["retries"] = False
        return client

    def _reach(self, client: Any) -> None:
        """Check once that the API answers."""
        where, within = _host(client), min(self._access.timeout, CONNECT_TIMEOUT)
        ask = client._healthz_api.healthz_service_get_healthz_with_http_info
        try:
            with _translated(where):
                # The generated API ignores a single number unless it is an int.
                _, _, headers = ask(_request_timeout=(within, within))
        except RefusedTokenError:
            raise
        except RefusedError as error:
            raise RunnerUnreachableError(
                f"what answers at {where} is not a Kubeflow Pipelines API ({error}); {_CHECK}"
            ) from error
        except RunnerUnreachableError as error:
            raise RunnerUnreachableError(f"{error}; {_CHECK}") from error
        if not _is_json(headers):
            raise RunnerUnreachableError(_not_the_api(where))

    def ask(self, service: str, method: str, **arguments: Any) -> Any:
        """Send a request that changes nothing; retry with growing pauses if the API is busy or away.

        Args:
            service: ``run``, ``pipelines``, ``experiment``.
            method: name of the generated method.
            arguments: arguments of the method.

        Raises:
            RefusedError: the API refused it.
            RunnerUnreachableError: the API does not answer.
        """
        for number in range(TRIES):
            try:
                return self._call(service, method, arguments)
            except UnclearAnswerError as error:
                if number == TRIES - 1:
                    raise RunnerUnreachableError(str(error)) from error
                self._pause(min(max(error.retry_after, 0.5 * 2**number), LONGEST_PAUSE))
        raise AssertionError("unreachable")

    def change(self, service: str, method: str, **arguments: Any) -> Any:
        """Send a request that changes something, once.

        Raises:
            RefusedError: the API refused it and did nothing.
            UnclearAnswerError: it may have taken effect; check before repeating it.
            RunnerUnreachableError: the API does not answer, and nothing was done.
        """
        return self._call(service, method, arguments)

    def pages(self, service: str, method: str, items: str, **arguments: Any) -> list[Any]:
        """List items page by page, and start over if the server does not recognize its own page token.

        Raises:
            RefusedError: the API refused it.
            RunnerUnreachableError: the API does not answer, or not with a complete list.
        """
        for _ in range(TRIES):
            found = self._all_pages(service, method, items, arguments)
            if found is not None:
                return found
        raise RunnerUnreachableError(f"Kubeflow at {self._where()} does not return a complete list of {items}")

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
            page, token = getattr(answer, items) or [], answer.next_page_token or ""
            if not isinstance(page, list) or None in page or not isinstance(token, str):
                raise UnclearAnswerError(f"malformed list of {items} from Kubeflow at {self._where()}; {_CHECK}")
            found += page
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
            # An expired cookie is answered with a login page and status 200.
            raise UnclearAnswerError(_not_the_api(self._where()))
        return answer

    def _where(self) -> str:
        return _host(self.client)


@contextlib.contextmanager
def _translated(where: str) -> Iterator[None]:
    """Translate the exceptions of the generated API into this layer's errors."""
    import urllib3
    from kfp_server_api.exceptions import ApiException, OpenApiException

    try:
        yield
    except ApiException as error:
        raise _classified(error, where) from error
    except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
        raise RunnerUnreachableError(f"Kubeflow at {where} does not answer: {_short(error)}") from error
    except (urllib3.exceptions.HTTPError, OpenApiException, ValueError, OSError) as error:
        # Timeout, broken connection, truncated answer: the request may have taken effect.
        raise UnclearAnswerError(f"no clear answer from Kubeflow at {where}: {_short(error)}") from error
    except MALFORMED as error:
        raise UnclearAnswerError(f"malformed answer from Kubeflow at {where}: {_short(error)}; {_CHECK}") from error


def _classified(error: Any, where: str) -> Exception:
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
    """Return whether the body is JSON; the generated API would parse HTML as an empty list."""
    return "json" in headers.get("Content-Type", "")


def _not_the_api(where: str) -> str:
    return f"what answers at {where} is not a Kubeflow Pipelines API, perhaps a login page; {_CHECK}"


def _host(client: Any) -> str:
    return str(client._existing_config.host)


def _reason(error: Any) -> str:
    """Return the message of an API error, in one line."""
    text = error.body or error.reason or ""
    with contextlib.suppress(ValueError, AttributeError, RecursionError):
        text = json.loads(text).get("message", text)
    return _short(text)


def _retry_after(error: Any) -> float:
    value = (error.headers or {}).get("Retry-After", "0")
    return float(value) if re.fullmatch(r"\d+(\.\d+)?", value) else 0.0


def _short(text: object) -> str:
    return " ".join(str(text).split())[:300]


def refusal(error: RefusedError, what: str) -> RunInputError:
    """Return a refusal as an input error: the same request would be refused again."""
    return RunInputError(f"Kubeflow refuses {what}: {error.reason}")


def equals(key: str, value: str) -> dict[str, str]:
    """Return the predicate of a list filter that a field has a value."""
    return {"operation": "EQUALS", "key": key, "stringValue": value}
