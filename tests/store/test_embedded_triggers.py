"""Schedules of branch triggers, with a clock that the test controls."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pachyderm_sdk.api import pfs
from server_under_test import Pachd

from pachyderm.client.connection import Connection, Target, connect
from pachyderm.store.graph.schedules import parse_schedule, parse_size
from pachyderm.store.maintenance.cron_triggers import CronTriggers, fire_due
from pachyderm.store.maintenance.fsck import check
from pachyderm.store.objects.engine import Engine
from pachyderm.store.rpc.inprocess_channel import InProcessChannel
from pachyderm.store.rpc.routes import handlers

pytestmark = pytest.mark.embedded

HOUR, DAY = 3600, 86_400


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 27, 12, 30, tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(tmp_path: Path, clock: Clock) -> Iterator[Engine]:
    engine = Engine.open(tmp_path / "data", clock)
    yield engine
    engine.close()
    assert check(tmp_path / "data") == []


@pytest.fixture
def pachd(engine: Engine) -> Iterator[Pachd]:
    channel = InProcessChannel(handlers(engine))
    yield Pachd(lambda: Connection(lambda: channel.with_metadata, "default", None))
    channel.close()


@pytest.fixture
def staging(pachd: Pachd) -> pfs.Branch:
    return pachd.branch(pachd.repo(), "staging")


def follow(pachd: Pachd, staging: pfs.Branch, **conditions: object) -> pfs.Branch:
    branch = pfs.Branch(repo=staging.repo, name="master")
    pachd.client.pfs.create_branch(branch=branch, trigger=pfs.Trigger(branch=staging.name, **conditions))
    return branch


def test_a_schedule_moves_the_branch_when_it_is_due_and_not_before(
    pachd: Pachd, engine: Engine, clock: Clock, staging: pfs.Branch
) -> None:
    branch = follow(pachd, staging, cron_spec="@hourly")
    commit = pachd.write(staging, {"/a": b"1"})
    due = datetime(2026, 11, 27, 13, tzinfo=UTC).timestamp()
    clock.now = due - 1
    assert fire_due(engine) == due * 1_000_000
    assert pachd.head(branch).id != commit.id
    clock.now = due
    assert fire_due(engine) == (due + HOUR) * 1_000_000
    assert pachd.head(branch).id == commit.id


def test_missed_points_in_time_open_one_set_of_output_commits(
    pachd: Pachd, engine: Engine, clock: Clock, staging: pfs.Branch
) -> None:
    branch = follow(pachd, staging, cron_spec="@every 1m")
    output = pachd.branch(pachd.repo("output"), on=[branch])
    pachd.finish(pachd.head(output))
    before = len(pachd.history(output.repo))
    pachd.write(staging, {"/a": b"1"})
    clock.now += 30 * DAY
    fire_due(engine)
    assert len(pachd.history(output.repo)) == before + 1


def test_a_point_in_time_without_anything_new_opens_nothing(
    pachd: Pachd, engine: Engine, clock: Clock, staging: pfs.Branch
) -> None:
    branch = follow(pachd, staging, cron_spec="@hourly")
    output = pachd.branch(pachd.repo("output"), on=[branch])
    pachd.write(staging, {"/a": b"1"})
    for _ in range(3):
        clock.now += HOUR
        fire_due(engine)
    assert len(pachd.history(output.repo)) == 2


def test_another_schedule_counts_from_the_head_of_the_branch(
    pachd: Pachd, engine: Engine, clock: Clock, staging: pfs.Branch
) -> None:
    branch = follow(pachd, staging, cron_spec="@yearly")
    commit = pachd.write(staging, {"/a": b"1"})
    clock.now += DAY
    fire_due(engine)
    assert pachd.head(branch).id != commit.id
    follow(pachd, staging, cron_spec="@hourly")
    fire_due(engine)
    assert pachd.head(branch).id == commit.id


def test_of_two_processes_one_fires(tmp_path: Path, pachd: Pachd, engine: Engine, clock: Clock) -> None:
    staging = pachd.branch(pachd.repo(), "staging")
    output = pachd.branch(pachd.repo("output"), on=[follow(pachd, staging, cron_spec="@hourly")])
    pachd.write(staging, {"/a": b"1"})
    clock.now += HOUR
    other = Engine.open(tmp_path / "data", clock)
    try:
        assert fire_due(other) == fire_due(engine)
    finally:
        other.close()
    assert len(pachd.history(output.repo)) == 2


def test_a_rate_limit_lets_one_commit_through_in_each_interval(pachd: Pachd, clock: Clock, staging: pfs.Branch) -> None:
    branch = follow(pachd, staging, rate_limit_spec="@hourly")
    followed = []
    for minutes in (1, 30, 1, 28, 31):
        clock.now += minutes * 60
        commit = pachd.write(staging, {"/a": b"%d" % minutes})
        followed.append(pachd.head(branch).id == commit.id)
    assert followed == [False, True, False, False, True]


def test_a_program_that_opens_the_store_does_what_was_due(
    tmp_path: Path, pachd: Pachd, engine: Engine, clock: Clock, staging: pfs.Branch
) -> None:
    clock.now = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    branch = follow(pachd, staging, cron_spec="@every 1h")
    commit = pachd.write(staging, {"/a": b"1"})
    assert pachd.head(branch).id != commit.id
    with connect(Target(store=tmp_path / "data")):
        pass
    assert pachd.head(branch).id == commit.id


def test_a_running_store_fires_a_trigger_that_another_process_creates(
    tmp_path: Path, pachd: Pachd, clock: Clock, staging: pfs.Branch
) -> None:
    serving = Engine.open(tmp_path / "data", clock)
    cron = CronTriggers(serving)
    cron.start()
    try:
        clock.now -= HOUR
        branch = follow(pachd, staging, cron_spec="@every 1m")
        output = pachd.branch(pachd.repo("output"), on=[branch])
        pachd.finish(pachd.head(output))
        commit = pachd.write(staging, {"/a": b"1"})
        opened = pachd.first(2, output.repo, state=pfs.CommitState.STARTED)
        clock.now += HOUR
        assert opened.result(30.0)[1].direct_provenance[0].id == commit.id
    finally:
        cron.stop()
        serving.close()


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("@every 90s", "2026-11-27T12:31:30", "2026-11-27T12:33:00"),
        ("@every 1h30m", "2026-11-27T14:00:00", "2026-11-27T15:30:00"),
        ("@every 10ms", "2026-11-27T12:30:01", "2026-11-27T12:30:02"),
        ("@hourly", "2026-11-27T13:00:00", "2026-11-27T14:00:00"),
        ("@midnight", "2026-11-28T00:00:00", "2026-11-29T00:00:00"),
        ("@weekly", "2026-11-29T00:00:00", "2026-12-06T00:00:00"),
        ("@monthly", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
        ("@yearly", "2027-01-01T00:00:00", "2028-01-01T00:00:00"),
        ("*/20 * * * ?", "2026-11-27T12:40:00", "2026-11-27T13:00:00"),
        ("15 3 1,20 * *", "2026-12-01T03:15:00", "2026-12-20T03:15:00"),
        ("0 0 13 * fri", "2026-12-04T00:00:00", "2026-12-11T00:00:00"),
        ("0 12 29 feb *", "2028-02-29T12:00:00", "2032-02-29T12:00:00"),
        ("50/5 * * * MON-WED", "2026-11-30T00:50:00", "2026-11-30T00:55:00"),
    ],
)
def test_a_schedule_names_points_in_time(clock: Clock, text: str, first: str, second: str) -> None:
    schedule = parse_schedule(text)
    due = schedule.next(int(clock.now * 1_000_000) + 250_000)
    times = [due, schedule.next(due)]
    assert [datetime.fromtimestamp(time / 1e6, UTC).isoformat()[:19] for time in times] == [first, second]


def test_never_has_no_point_in_time(clock: Clock) -> None:
    assert parse_schedule(" @never ").next(int(clock.now * 1_000_000)) is None


@pytest.mark.parametrize(
    "text",
    ["", "@", "@every", "@every ", "@every 5", "@every 5s later", "* * * *", "L * * * *", "* * * * 5#2", "a b c d e"],
)
def test_a_text_that_is_not_a_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"field|descriptor|duration|Bad"):
        parse_schedule(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("100", 100), ("1K", 1000), ("2.5 MB", 2_500_000), ("1GiB", 10**9), ("3tb", 3 * 10**12), ("7 b", 7)],
)
def test_sizes_are_decimal(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "B", "-1", "1 parsec", "1ib", "one", "1_000", "1 K 1"])
def test_a_text_that_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot read the size"):
        parse_size(text)
