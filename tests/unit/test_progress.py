"""Long work reports its progress at a bounded rate."""

from __future__ import annotations

from pix2pix.progress import REPORT_INTERVAL, WINDOW, Pace, paced, throttled


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


def test_the_time_left_follows_the_present_rate_and_not_that_since_the_start() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    for done in range(500, 601):  # a resumed run: the first 500 steps were not taken now
        pace.add(done, 1000)
        now[0] += 1.0
    assert pace.rate == 1.0
    assert pace.text == "600/1000 (1.0/s, 7 min left)"
    for done in range(601, 601 + int(2 * WINDOW)):
        pace.add(done, 1000)
        now[0] += 0.5
    assert abs(pace.rate - 2.0) < 0.1


def test_a_pace_begins_anew_with_another_kind_of_work() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert pace.text == "0/?"
    pace.add(0, 80)
    now[0] = 1.0
    pace.add(80, 80)
    assert pace.text == "80/80 (80.0/s)"
    pace.add(1, 600)
    assert pace.text == "1/600"
    now[0] = 11.0
    pace.add(11, 600)
    assert pace.text == "11/600 (1.0/s, 10 min left)"


def test_every_report_is_measured_and_few_are_shown() -> None:
    now, shown = [0.0], []
    report = paced(lambda text, note: shown.append((text, note)), lambda: now[0])
    for done in range(101):
        report(done, 100, "L1 0.1")
        now[0] += 0.125
    assert [text for text, _ in shown] == [
        "0/100",
        "40/100 (8.0/s, 8 s left)",
        "80/100 (8.0/s, 2 s left)",
        "100/100 (8.0/s)",
    ]
    assert {note for _, note in shown} == {"L1 0.1"}
