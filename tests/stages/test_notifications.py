"""Notifications: each event once to each service, however often triggers restart, and none lost to an outage."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from stage_harness import StageHarness

from pachyderm.client.commits import Commit
from pachyderm.dag.promotion import promote, rollback
from pachyderm.dag.repos import CANDIDATE, CHECKPOINT, GENERATE_IMAGES, INPUT_IMAGES, PREPROCESS_IMAGES, TRAINING
from pachyderm.dag.review import approve
from pachyderm.queue.ends import finish_with
from workflows.daemon.lease import NoElection
from workflows.notifications.detection import NEWS_FOR
from workflows.notifications.ledger import TAKE_OVER_AFTER
from workflows.notifications.notifier import FIRST_DELAY, LEADERLESS_AFTER, Notifier
from workflows.settings.notify import NotifyService

CHAT, MAIL = NotifyService("json-1", "json://chat"), NotifyService("mailtos-2", "mailtos://mail")
PAGE = "http://pix2pix.example:8642/"


@dataclass
class Services:
    """Services that keep what they get, and clocks."""

    harness: StageHarness
    got: list[tuple[str, str, str]] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    tried: int = 0
    now: float = 0.0
    later: float = 0.0

    def send(self, messages: Sequence[dict[str, str]]) -> list[bool]:
        self.tried += 1
        accepted = messages[0]["url"] not in self.down
        if accepted:
            self.got += [(message["url"], message["title"], message["body"]) for message in messages]
        return [accepted] * len(messages)

    def notifier(self, *services: NotifyService, by: str = "host:1", leadership: NoElection | None = None) -> Notifier:
        """Return the notifier of a trigger that has just started."""
        return Notifier(
            services or (CHAT,),
            PAGE,
            leadership or NoElection(),
            by,
            lambda: self.now,
            lambda: time.time() + self.later,
            self.send,
        )

    def poll(self, *services: NotifyService) -> list[str]:
        """Let a new trigger poll twice, and return the titles and bodies that arrived."""
        before = len(self.got)
        notifier = self.notifier(*services)
        notifier.poll(self.harness.client)
        notifier.poll(self.harness.client)
        return [f"{title}\n{body}" for _, title, body in self.got[before:]]


@pytest.fixture
def services(harness: StageHarness) -> Services:
    return Services(harness)


def export(harness: StageHarness, policy: str) -> Commit:
    text = {f"/{policy}-{time.monotonic_ns()}.png": "pair", "/pix2pix.toml": f"promote={policy}"}
    set_id = harness.put(TRAINING, text)
    harness.run("train", "export", commit_set=set_id)
    return harness.output(CANDIDATE, set_id)


def test_every_event_is_told_once_with_its_remedy_and_a_link_however_often_the_trigger_restarts(
    harness: StageHarness, services: Services
) -> None:
    first = export(harness, "always")
    (text,) = services.poll()
    assert "a model was promoted" in text and f"{first} is in use\n" in text and "pix2pix rollback" in text
    assert text.endswith(f"http://pix2pix.example:8642/models/{first.id}")
    held = export(harness, "never")
    (text,) = services.poll()
    assert "held back" in text and "the harness says so" in text and f"pix2pix promote {held.id}" in text
    waiting = export(harness, "review")
    (text,) = services.poll()
    assert "waits for review" in text and f"pix2pix review {waiting.id} --approve" in text
    approve(harness.client, waiting.id, "ann", "sharper", time.time())
    (text,) = services.poll()
    assert f"{waiting} is in use instead of {first.id[:12]}" in text and "approved by ann: sharper" in text
    rollback(harness.client, None, time.time())
    (text,) = services.poll()
    assert "rolled back" in text and f"{first} is in use again" in text and f"pix2pix promote {waiting.id}" in text
    promote(harness.client, held.id, time.time())
    assert [f"{held} is in use" in text for text in services.poll()] == [True], "a second promotion is another event"
    broken = harness.put(TRAINING, {"/broken.png": "pair"})
    finish_with(harness.client, harness.output(CHECKPOINT, broken), "failed: out of \x1b[31mmemory")
    (text,) = services.poll()
    assert "training_and_export failed" in text and f"pix2pix retry {broken}" in text
    assert r"out of \x1b[31mmemory" in text and f"/commits/checkpoint/{broken}" in text
    assert [services.poll() for _ in range(3)] == [[], [], []]


def test_two_triggers_without_an_election_send_one(harness: StageHarness, services: Services) -> None:
    export(harness, "always")
    another = services.notifier(by="host:2")

    def slowly(messages: Sequence[dict[str, str]]) -> list[bool]:
        another.poll(harness.client)
        return services.send(messages)

    first = Notifier((CHAT,), PAGE, NoElection(), "host:1", lambda: 0.0, time.time, slowly)
    for notifier in (first, another, first, another):
        notifier.poll(harness.client)
    assert len(services.got) == 1


def test_a_service_that_is_down_is_retried_with_back_off_reported_once_and_costs_the_others_nothing(
    harness: StageHarness, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    export(harness, "always")
    services.down.add(CHAT.url)
    notifier = services.notifier(CHAT, MAIL)
    for _ in range(100):
        notifier.poll(harness.client)
        services.now += FIRST_DELAY / 2
    assert [url for url, *_ in services.got] == [MAIL.url]
    assert 5 <= services.tried - 1 <= 7, "5, 10, 20, 40, 80 and 160 s apart"
    services.down.clear()
    services.now += 600
    notifier.poll(harness.client)
    assert [url for url, *_ in services.got] == [MAIL.url, CHAT.url]
    lines = [record.message for record in caplog.records if "json-1" in record.message]
    assert len(lines) == 2 and "do not arrive" in lines[0] and "arrive again" in lines[1]


def test_a_notification_that_a_killed_trigger_began_is_sent_by_another(
    harness: StageHarness, services: Services
) -> None:
    export(harness, "always")

    def killed(messages: object) -> list[bool]:
        raise KeyboardInterrupt

    dying = Notifier((CHAT,), PAGE, NoElection(), "host:1", lambda: 0.0, time.time, killed)
    with pytest.raises(KeyboardInterrupt):
        dying.poll(harness.client)
    successor = services.notifier(by="host:2")
    successor.poll(harness.client)
    assert services.got == [], "the first one may still be sending"
    services.now += TAKE_OVER_AFTER
    successor.poll(harness.client)
    successor.poll(harness.client)
    assert len(services.got) == 1


def test_older_history_and_failures_that_follow_from_another_are_no_news(
    harness: StageHarness, services: Services
) -> None:
    commit_set = harness.put(INPUT_IMAGES, {"/a.png": "picture"})
    finish_with(harness.client, harness.output(PREPROCESS_IMAGES, commit_set), "failed: the disk is full")
    assert harness.output(GENERATE_IMAGES, commit_set).state == "failed"
    services.later = NEWS_FOR + 60
    assert services.poll() == []
    services.later = 0.0
    (text,) = services.poll()
    assert "preprocessing_and_generation failed" in text and "preprocess_images" in text


class Leaderless(NoElection):
    seconds = 0.0

    def is_leader(self) -> bool:
        return False

    def leaderless_for(self) -> float:
        return self.seconds


def test_work_that_no_trigger_leads_is_told_once_by_whichever_trigger_notices(
    harness: StageHarness, services: Services
) -> None:
    opened = harness.put(TRAINING, {"/a.png": "pair"})
    leadership = Leaderless()
    notifiers = [services.notifier(by=f"host:{number}", leadership=leadership) for number in range(2)]
    for leadership.seconds in (0.0, LEADERLESS_AFTER - 1, LEADERLESS_AFTER, 2 * LEADERLESS_AFTER):
        for notifier in notifiers:
            notifier.poll(harness.client)
    ((_, title, body),) = services.got
    assert title == "pix2pix: no trigger leads" and opened in body and "pix2pix trigger --check" in body
