"""When a training saves, the cost of a save, and the work that a lost machine costs."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_resume import AtStep, assert_same, result
from tiny_model import tiny, write_pairs

from pix2pix.errors import WorkError
from pix2pix.training import checkpoints
from pix2pix.training.saving import FIRST, Cost, Saver, seconds_between_saves
from pix2pix.training.train import train

MINUTE = 60.0


class AtOnce(Executor):
    """A background that completes its work before the training continues."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **more: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(function(*arguments, **more))
        except WorkError as error:
            done.set_exception(error)
        return done


class Clock:
    """A clock that moves only when a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def states_stored(
    limit: float, step: float, blocked: float, background: float, end: float
) -> list[tuple[float, float]]:
    """Times at which states were copied and stored, in a training of equal steps."""
    clock = Clock()
    stored = []

    def copy() -> Callable[[], None]:
        copied = clock.now
        clock.now += blocked

        def store() -> None:
            clock.now += background
            stored.append((copied, clock.now))

        return store

    saver = Saver(limit, clock, AtOnce)
    while clock.now < end:
        clock.now += step
        if saver.is_due():
            saver.save(copy)
    return stored


@settings(deadline=None)
@given(st.floats(0.2, 2.0), st.floats(0.0, 0.5), st.floats(0.0, 2.4))
def test_a_lost_machine_costs_at_most_a_minute_of_work_where_a_save_takes_less_than_three_seconds(
    step: float, blocked: float, background: float
) -> None:
    stored = states_stored(MINUTE, step, blocked, background, end=1000.0)
    assert stored[0][1] <= MINUTE, "the first save within the first minute"
    for (copied, _), (_, next_stored) in itertools.pairwise(stored):
        assert next_stored - copied <= MINUTE + step


@settings(deadline=None)
@given(st.floats(0.2, 2.0), st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_saves_take_at_most_their_share_of_the_time(step: float, blocked: float, background: float) -> None:
    stored = states_stored(MINUTE, step, blocked, background, end=3000.0)
    begun = [copied for copied, _ in stored]
    whole = blocked + background
    for before, after in itertools.pairwise(begun):
        assert whole <= 0.0525 * (after - before), "5 %, a twentieth more if the limit of a minute applies"
        assert blocked <= 0.010001 * (after - before) or whole < 3.0


@pytest.mark.parametrize(
    ("cost", "seconds"),
    [
        (None, FIRST),
        (Cost(0.0, 0.1), 10.0),
        (Cost(0.0, 1.0), 20.0),
        (Cost(0.3, 1.0), 30.0),
        (Cost(0.1, 2.9), 57.1),
        (Cost(0.1, 30.0), 600.0),
        (Cost(5.0, 6.0), 500.0),
    ],
)
def test_a_save_is_due_as_soon_as_the_work_outweighs_its_cost(cost: Cost | None, seconds: float) -> None:
    assert seconds_between_saves(MINUTE, cost) == pytest.approx(seconds)


def test_zero_means_that_no_save_is_due() -> None:
    assert states_stored(0.0, 1.0, 0.0, 0.0, end=1000.0) == []


def test_training_continues_while_a_state_is_stored_and_no_second_save_is_due() -> None:
    clock, stored, may_end = Clock(), threading.Event(), threading.Event()
    saver = Saver(MINUTE, clock)
    saver.save(lambda: lambda: (may_end.wait(60), stored.set())[0])
    clock.now = 1000.0
    assert not saver.is_due()
    assert not stored.is_set()
    may_end.set()
    saver.wait()
    assert stored.is_set()
    saver.close()


def test_an_error_of_the_background_ends_the_training() -> None:
    def store() -> None:
        raise WorkError("no space")

    saver = Saver(MINUTE, Clock(), AtOnce)
    saver.save(lambda: store)
    with pytest.raises(WorkError, match="no space"):
        saver.is_due()


PARAMETERS = tiny(max_steps=12, log_steps=5, evaluation_steps=4, held_out=0.3, scale_size=36, save_steps=3)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"), 8)


pytestmark = pytest.mark.usefixtures("eager")


class EachStepAMinute:
    """A clock that moves by a minute after each step; saves take no time by it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def progress(self, done: int, total: int, note: str) -> None:
        self.now += MINUTE


def test_every_state_that_was_stored_in_the_background_is_resumed_to_the_same_result(
    pairs: Path, tmp_path: Path
) -> None:
    """The files that exist when `on_saved` is called are all that another machine gets."""
    whole, clock, copies = tmp_path / "whole", EachStepAMinute(), {}

    def on_saved() -> None:
        step = max(checkpoints.steps(whole / checkpoints.STATES))
        copies[step] = tmp_path / f"copy{step}"
        for path in [path for path in whole.rglob("*") if path.is_file()]:
            target = copies[step] / path.relative_to(whole)
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # the training continues meanwhile
                shutil.copyfile(path, target)

    train(pairs, whole, PARAMETERS, on_saved=on_saved, progress=clock.progress, clock=clock)
    assert min(copies) == 2, "due after the first minute"
    assert {3, 6, 9, 12} <= copies.keys(), "due by their steps, even while a save is running"
    for step, copy in copies.items():
        again = train(pairs, copy, PARAMETERS)
        assert again.resumed_from == step
        assert_same(result(copy), result(tmp_path / "whole"))


def test_the_state_of_a_stopped_training_is_stored_before_it_returns(pairs: Path, tmp_path: Path) -> None:
    seen = []
    train(pairs, tmp_path, PARAMETERS, stop=AtStep(3), on_saved=lambda: seen.append("stored"))
    assert seen == ["stored"]
    assert checkpoints.steps(tmp_path / checkpoints.STATES) == [3]
