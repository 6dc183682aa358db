"""The policy of a pipeline: which commit sets are run, how often they are tried, and how soon again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

from msgspec import Meta

from pachyderm.dag import repos
from pix2pix import toml_text
from pix2pix.toml_text import TomlError
from workflows.errors import RunInputError
from workflows.settings.values import check_name, checked, declared

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
"""A duration of at most one day."""


@dataclass(frozen=True)
class Policy:
    """The treatment of one pipeline's commit sets.

    Attributes:
        policy: ``every`` (each commit set gets its run) or ``latest`` (an older commit set without claim or run ends as
            superseded; a live run is never stopped for a newer commit set, so constant arrivals still make progress).
        attempts: runs that may fail by their own error before the commit set ends as failed.
        partial_failures: likewise, runs of which some shards failed while others kept results that no run before had.
            Such a run does not count as an attempt.
        interruptions: consecutive runs that may be interrupted without any progress before the commit set ends as
            failed. An interruption (killed, evicted, node lost, vanished) does not count as an attempt.
        backoff: seconds from the end of a failed run to the next attempt; doubles each time. From the fourth
            consecutive interruption on, interruptions are delayed the same way.
        backoff_limit: upper bound of the delay, seconds.
        minimum_interval: seconds from the start of one commit set's first run to that of the next commit set.
    """

    policy: repos.SupersessionPolicy = "every"
    attempts: Annotated[int, Meta(ge=1, le=100)] = 3
    partial_failures: Annotated[int, Meta(ge=1, le=1000)] = 20
    interruptions: Annotated[int, Meta(ge=1, le=1000)] = 20
    backoff: Seconds = 5.0
    backoff_limit: Seconds = 600.0
    minimum_interval: Seconds = 0.0

    def delay(self, failures: int) -> float:
        """Return the seconds between a failure and the next attempt.

        Args:
            failures: number of failures so far, at least 1.
        """
        return float(min(self.backoff * 2 ** min(failures - 1, 30), self.backoff_limit))


SETTINGS = tuple(field.name for field in fields(Policy))
"""The names that a `[trigger]` section may set."""


def changed(policy: Policy, settings: Mapping[str, Any], source: str) -> Policy:
    """Apply settings to a policy.

    Args:
        policy: the policy to change.
        settings: name -> value as TOML gives it.
        source: file and section, for the message.

    Raises:
        RunInputError: an unknown name, or a value that is not allowed.
    """
    kinds = declared(Policy)
    for name in settings:
        check_name(name, SETTINGS, f"{source}: unknown setting {name}")
    return replace(
        policy, **{name: checked(value, kinds[name], f"{source}: {name}") for name, value in settings.items()}
    )


def of_parameters_file(policy: Policy, text: str, source: str) -> Policy:
    """Apply the `[trigger]` section of an input's `/pix2pix.toml`, if it has one.

    Raises:
        RunInputError: the text is not TOML, or the section is invalid.
    """
    try:
        section = toml_text.parse(text).get("trigger", {})
    except TomlError as error:
        raise RunInputError(f"{source} is not TOML: {error}") from error
    if not isinstance(section, dict):
        raise RunInputError(f"{source}: trigger = {section!r} is not allowed; it must be a section, [trigger]")
    return changed(policy, section, f"{source} [trigger]")


def defaults() -> dict[str, Policy]:
    """Return the default policy of each pipeline, by name."""
    return {pipeline.name: Policy(policy=pipeline.policy) for pipeline in repos.PIPELINES}
