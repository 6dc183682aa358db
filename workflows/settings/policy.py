"""How a pipeline's commit sets are treated: which are run, how often they are tried, how soon again.

It exists so that the defaults, the configuration file and `/pix2pix.toml` of an input meet in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

from pachyderm.dag import repos
from pix2pix import toml_text
from pix2pix.toml_text import TomlError
from workflows.errors import RunInputError


@dataclass(frozen=True)
class Policy:
    """The treatment of one pipeline's commit sets.

    Attributes:
        policy: ``every`` (each set gets its run) or ``latest`` (an older set that has neither claim nor run ends as
            superseded; a run that works is never stopped for a newer set, so constant arrivals still get done).
        attempts: runs that may fail by an error of their own before the set ends as failed; at least 1.
        interruptions: runs in a row that may be interrupted without any progress before the set ends as failed; at
            least 1. An interruption (killed, evicted, node lost, vanished) does not count as an attempt.
        backoff: seconds from the end of a failed run to the next attempt; doubles each time. Interruptions wait alike
            from the fourth in a row on.
        backoff_limit: seconds that `backoff` never exceeds.
        minimum_interval: seconds from the start of one set's first run to that of the next set.
    """

    policy: repos.SupersessionPolicy = "every"
    attempts: int = 3
    interruptions: int = 20
    backoff: float = 5.0
    backoff_limit: float = 600.0
    minimum_interval: float = 0.0

    def wait(self, failures: int) -> float:
        """Seconds between the failure number `failures` (1 is the first) and the next attempt."""
        return float(min(self.backoff * 2 ** min(failures - 1, 30), self.backoff_limit))


SETTINGS = tuple(field.name for field in fields(Policy))
"""The names that a `[trigger]` section may set."""

_MOST = {"attempts": 100, "interruptions": 1000}


def changed(policy: Policy, settings: Mapping[str, Any], source: str) -> Policy:
    """Apply settings to a policy.

    Args:
        policy: what they change.
        settings: of `SETTINGS`.
        source: where they stand, for the error.

    Raises:
        RunInputError: an unknown name or a value that is not allowed.
    """
    unknown = sorted(set(settings) - set(SETTINGS))
    if unknown:
        raise RunInputError(f"{source}: unknown setting {', '.join(unknown)}; there are {', '.join(SETTINGS)}")
    for name, value in settings.items():
        if name == "policy":
            good, allowed = value in get_args(repos.SupersessionPolicy), " or ".join(get_args(repos.SupersessionPolicy))
        elif name in _MOST:
            most = _MOST[name]
            good, allowed = _is_number(value, int) and 1 <= value <= most, f"a whole number from 1 to {most}"
        else:
            good, allowed = _is_number(value, (int, float)) and 0 <= value <= 86_400, "seconds from 0 to 86400"
        if not good:
            raise RunInputError(f"{source}: {name} = {value!r} is not allowed; it is {allowed}")
    return replace(policy, **settings)


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def of_parameters_file(policy: Policy, text: str, source: str) -> Policy:
    """Apply the `[trigger]` section of an input's `/pix2pix.toml`, if it has one.

    Raises:
        RunInputError: the text is no TOML, or the section is wrong.
    """
    try:
        section = toml_text.parse(text).get("trigger", {})
    except TomlError as error:
        raise RunInputError(f"{source} is not TOML: {error}") from error
    if not isinstance(section, dict):
        raise RunInputError(f"{source}: trigger is a section, [trigger]")
    return changed(policy, section, f"{source} [trigger]")


def defaults() -> dict[str, Policy]:
    """Pipeline -> its policy as `pachyderm.dag.repos` says."""
    return {pipeline.name: Policy(policy=pipeline.policy) for pipeline in repos.PIPELINES}
