"""Notifications of a real trigger by a real library to a server on this machine; secrets stay in the request."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import TriggerHarness, configuration

from pachyderm.client.commits import all_commits
from pachyderm.dag.repos import REPOS
from pachyderm.queue.ends import finish_with
from workflows.daemon.kubernetes_lease import KubernetesLease, LeaseSettings
from workflows.daemon.lease import NoElection
from workflows.errors import RunInputError
from workflows.notifications import notifier
from workflows.notifications.sender import check_services
from workflows.settings.configuration import load
from workflows.settings.notify import NotifySettings, services_of
from workflows.trigger import wiring

SECRET = "planted-7d21"


@contextmanager
def receiving(status: int = 200) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Provide the Apprise URL of a server, and the messages that it got."""
    got: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append({**json.loads(body), "path": self.path, "authorization": self.headers["Authorization"]})
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"json://user:{SECRET}@127.0.0.1:{server.server_address[1]}/{SECRET}", got
        finally:
            server.shutdown()
            thread.join()


def test_a_failed_run_is_told_by_the_trigger_and_the_urls_secret_is_in_no_log_file_or_record(
    harness: TriggerHarness, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    harness.order("fail-checkpoint", "out of memory")
    commit_set = harness.train()
    with receiving() as (url, got):
        settings = load(None, {"PIX2PIX_TRIGGER_NOTIFY_URLS": url, "PIX2PIX_TRIGGER_NOTIFY_PAGE": "http://page"})
        wiring.once(harness.context, replace(configuration(attempts=1), notify=settings.notify))
    ((message),) = got
    assert message["title"] == "pix2pix: training_and_export failed" and message["type"] == "failure"
    assert "out of memory" in message["message"]
    assert message["message"].endswith(f"http://page/commits/checkpoint/{commit_set}")
    assert message["path"] == f"/{SECRET}" and message["authorization"]
    shown = [caplog.text, *capfd.readouterr(), *harness.messages, repr(settings), repr(services_of(settings.notify))]
    shown += [str(commit.metadata) for repo in REPOS for commit in all_commits(harness.client, repo)]
    assert not [text for text in shown if SECRET in text]
    files = [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert files == []


def test_a_service_that_hangs_does_not_hold_up_the_end_of_the_trigger(
    harness: TriggerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish_with(harness.client, harness.output("checkpoint", harness.train()), "failed: out of memory")
    monkeypatch.setattr(notifier, "check_services", lambda services: None)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = NotifySettings(urls=f"json://127.0.0.1:{silent.getsockname()[1]}/")
        with (
            pytest.raises(KeyboardInterrupt),
            notifier.notifying(harness.target, settings, NoElection(), "host:1", lambda: 0.0, lambda: 0.0),
        ):
            silent.settimeout(60)
            connection, _ = silent.accept()
            raise KeyboardInterrupt
        connection.close()


def test_urls_come_from_the_environment_and_a_file_and_their_names_show_the_scheme_alone(tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.write_text(f"# chat\n\n  slack://{SECRET}/x\n")
    settings = NotifySettings(urls=f"json://a/{SECRET} mailtos://{SECRET}", urls_file=str(file))
    assert [service.name for service in services_of(settings)] == ["json-1", "mailtos-2", "slack-3"]
    assert SECRET not in repr(services_of(settings)) + repr(settings)


@pytest.mark.parametrize(
    ("urls", "file", "words"),
    [
        (SECRET, "", "entry 1 is not a URL"),
        (f"json://a b{SECRET}", "", "entry 2 is not a URL"),
        ("", "missing", "cannot be read: No such file"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_without_the_secret(urls: str, file: str, words: str) -> None:
    with pytest.raises(RunInputError, match=words) as raised:
        services_of(NotifySettings(urls=urls, urls_file=file))
    assert SECRET not in str(raised.value)


def test_a_scheme_that_the_library_does_not_know_is_refused_without_the_secret() -> None:
    with pytest.raises(RunInputError, match="cannot use nonsense-1") as raised:
        check_services(services_of(NotifySettings(urls=f"nonsense://{SECRET}")))
    assert SECRET not in str(raised.value)


def test_a_trigger_knows_for_how_long_no_trigger_has_led() -> None:
    now = 100.0
    lease = KubernetesLease(object(), LeaseSettings(), "host:1", lambda: now, lambda: 0.0)
    now += 42
    assert not lease.step() and lease.leaderless_for() == 42, "the API does not answer"
