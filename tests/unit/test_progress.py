"""Long work reports its progress at a bounded rate."""

from __future__ import annotations

from pix2pix.progress import REPORT_INTERVAL, throttled


def test_the_first_and_the_last_report_are_shown_and_one_in_each_interval_between() -> None:
    now, shown = [100.0], []
    report = throttled(lambda done, total, note: shown.append(done), lambda: now[0])
    for done in range(1, 101):
        report(done, 100, "")
        now[0] += REPORT_INTERVAL / 10
    assert shown == [1, 11, 21, 31, 41, 51, 61, 71, 81, 91, 100]


def test_without_a_known_total_the_rate_alone_decides() -> None:
    shown: list[int] = []
    report = throttled(lambda done, total, note: shown.append(done), lambda: 0.0)
    for done in range(1, 5):
        report(done, 0, "")
    assert shown == [1]
