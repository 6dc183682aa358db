"""A time budget among the hyperparameters of the stage train: what is given, and what is left to it."""

from __future__ import annotations

from collections.abc import Mapping

from pix2pix.errors import HyperparameterError

LEFT_TO_BUDGET = (
    *("size", "ngf", "ndf", "batch_size"),
    *("max_steps", "learning_rate", "learning_rate_schedule", "evaluation_steps", "xla"),
)
"""Hyperparameters that a time budget chooses, unless they are given; `max_steps` it always chooses."""

_LIMITS = ("max_steps", "max_epochs", "max_seconds")


def open_names(given: Mapping[str, object], minutes: float) -> tuple[str, ...]:
    """Return the hyperparameters that are left to a budget; none without one.

    Args:
        given: names and values that were set.
        minutes: the budget; 0 for none.
    """
    return tuple(name for name in LEFT_TO_BUDGET if name not in given or name == "max_steps") if minutes else ()


def check_limits(given: Mapping[str, object], minutes: float) -> None:
    """Refuse a time budget together with another limit.

    Raises:
        HyperparameterError: names both.
    """
    limit = next((name for name in _LIMITS if given.get(name)), None)
    if minutes and limit is not None:
        raise HyperparameterError(
            f"minutes = {minutes:g} chooses the number of steps, and {limit} = {given[limit]} is given;"
            " leave one of them out (0 takes it back)"
        )
