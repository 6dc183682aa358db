"""SIGTERM interrupts nothing halfway: the main thread stops where it checks, or the process ends in time."""

from __future__ import annotations

import signal
import threading

import pytest

from components.task import interruptible
from components.termination import EXIT_CODE, Termination


def never(code: int) -> None:
    raise AssertionError(f"the process was ended with {code}")


def test_nothing_is_raised_before_the_main_thread_checks() -> None:
    termination = Termination(end_process=never)
    reports: list[int] = []
    progress = interruptible(lambda done, total, note: reports.append(done), termination)
    lock = threading.Lock()
    with pytest.raises(SystemExit) as stop, termination.watched():
        progress(1, 3, "")
        with lock:
            signal.raise_signal(signal.SIGTERM)
            reports.append(-1)
        progress(2, 3, "")
        reports.append(-2)
    assert stop.value.code == EXIT_CODE == 143
    assert reports == [1, -1, 2]


def test_a_thread_that_reports_progress_is_not_stopped() -> None:
    termination = Termination(end_process=never)
    raised: list[BaseException] = []

    def report() -> None:
        try:
            termination.check()
        except SystemExit as error:
            raised.append(error)

    with termination.watched():
        signal.raise_signal(signal.SIGTERM)
        thread = threading.Thread(target=report)
        thread.start()
        thread.join()
    assert raised == []


def test_a_process_whose_main_thread_does_not_check_is_ended() -> None:
    ended, codes = threading.Event(), []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    with Termination(patience=0.0, end_process=end).watched():
        signal.raise_signal(signal.SIGTERM)
        assert ended.wait(60)
    assert codes == [EXIT_CODE]


def test_the_handler_before_is_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Termination().watched():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
