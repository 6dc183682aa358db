"""The trigger's configuration: one TOML file, and environment variables over it.

It exists so that every setting has one name, one default, one check and one line of explanation; an unknown name is an
error, because a misspelt limit is no limit.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from pachyderm.dag.repos import PIPELINES
from workflows.daemon.kubernetes_lease import LeaseSettings
from workflows.errors import RunInputError
from workflows.settings.arguments import Arguments, merged, places
from workflows.settings.policy import Policy, changed, defaults

PREFIX = "PIX2PIX_TRIGGER_"
"""``PIX2PIX_TRIGGER_MAX_CONCURRENT_RUNS`` sets ``max_concurrent_runs``; ``PIX2PIX_TRIGGER_KUBEFLOW_ENDPOINT`` sets
``endpoint`` of ``[kubeflow]``; a policy's names follow its pipeline's."""

ARGUMENTS = f"{PREFIX}KUBEFLOW_ARGUMENTS_"
"""``PIX2PIX_TRIGGER_KUBEFLOW_ARGUMENTS_TRAINING_AND_EXPORT_GPUS`` sets ``gpus`` of
``[kubeflow.arguments.training_and_export]``."""


SERVICE_LINKS = (f"{PREFIX}SERVICE_", f"{PREFIX}PORT")
"""Variables that Kubernetes sets in every pod beside our Service of that name; none of ours."""


@dataclass(frozen=True)
class KubeflowSettings:
    """How the Kubeflow runner reaches its API.

    Attributes:
        endpoint: URL of the API; empty: as the `kfp` client finds it (``KF_PIPELINES_ENDPOINT``, in-cluster, kubectl).
        ui: URL of the UI for links; empty: ``KF_PIPELINES_UI_ENDPOINT``, and without it there are no links.
        namespace: of the runs, in a multi-user Kubeflow.
        experiment: that the runs belong to.
        token_file: file with a bearer token (a projected service account token); empty: as the client finds one.
        cookies: for a Kubeflow behind dex, e.g. ``authservice_session=...``.
        timeout: seconds for one request.
        service_account: that the runs' pods have; empty: the cluster's default for pipelines.
        arguments: pipeline -> parameter -> value as text, which each run is created with: image, GPU, memory, ...
    """

    endpoint: str = ""
    ui: str = ""
    namespace: str = ""
    experiment: str = "pix2pix"
    token_file: str = ""
    cookies: str = ""
    timeout: float = 30.0
    service_account: str = ""
    arguments: Arguments = field(default_factory=dict)


@dataclass(frozen=True)
class Configuration:
    """How a trigger works.

    Attributes:
        runner: ``local`` or ``kubeflow``.
        max_concurrent_runs: runs that may be live at once.
        poll_interval: seconds between two looks where no event wakes it.
        metrics_address: ``host:port`` for ``/metrics``, ``/healthz`` and ``/readyz``; empty: none.
        log: ``text`` or ``json``.
        kubeflow: see `KubeflowSettings`.
        lease: see `LeaseSettings`.
        policy: pipeline -> policy.
    """

    runner: str = "local"
    max_concurrent_runs: int = 2
    poll_interval: float = 2.0
    metrics_address: str = ""
    log: str = "text"
    kubeflow: KubeflowSettings = field(default_factory=KubeflowSettings)
    lease: LeaseSettings = field(default_factory=LeaseSettings)
    policy: Mapping[str, Policy] = field(default_factory=defaults)


_ALLOWED: dict[str, tuple[Any, ...]] = {"runner": ("local", "kubeflow"), "log": ("text", "json")}
_AT_LEAST: dict[str, float] = {
    "max_concurrent_runs": 1,
    "poll_interval": 0.1,
    "timeout": 1,
    "seconds": 1,
    "renew_within": 0.5,
    "retry": 0.1,
}


def load(file: Path | None, environment: Mapping[str, str]) -> Configuration:
    """Read the configuration.

    Args:
        file: TOML; None for the defaults.
        environment: variables that begin with `PREFIX` win over the file.

    Raises:
        RunInputError: the file cannot be read, or a name or value is not allowed.
    """
    made = Configuration()
    if file is not None:
        try:
            content = tomllib.loads(file.read_text())
        except OSError as error:
            raise RunInputError(f"the configuration {file} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise RunInputError(f"the configuration {file} is no TOML: {error}") from error
        made = _apply(made, content, str(file))
    made = _apply(made, _of_environment(environment), "the environment")
    if not made.lease.retry < made.lease.renew_within < made.lease.seconds:
        raise RunInputError("lease: it must be retry < renew_within < seconds")
    return made


def _apply(settings: Any, content: Mapping[str, Any], source: str, section: str = "") -> Any:
    names = [item.name for item in fields(settings)]
    for name, value in content.items():
        place = f"{section}.{name}" if section else name
        if name not in names:
            raise RunInputError(f"{source}: unknown setting {place}; there are {', '.join(names)}")
        before = getattr(settings, name)
        if name == "policy":
            settings = replace(settings, policy=_policies(before, value, source))
        elif name == "arguments":
            settings = replace(settings, arguments=merged(before, value, source))
        elif is_dataclass(before):
            if not isinstance(value, Mapping):
                raise RunInputError(f"{source}: {place} is a section, [{place}]")
            settings = replace(settings, **{name: _apply(before, value, source, place)})
        else:
            settings = replace(settings, **{name: _checked(name, value, type(before), f"{source}: {place}")})
    return settings


def _policies(before: Mapping[str, Policy], value: Any, source: str) -> dict[str, Policy]:
    made = dict(before)
    if not isinstance(value, Mapping) or not all(isinstance(settings, Mapping) for settings in value.values()):
        raise RunInputError(f"{source}: policies stand in sections, [policy.{PIPELINES[0].name}]")
    for pipeline, settings in value.items():
        if pipeline not in made:
            raise RunInputError(f"{source}: no pipeline {pipeline}; there are {', '.join(made)}")
        made[pipeline] = changed(made[pipeline], settings, f"{source} [policy.{pipeline}]")
    return made


def _checked(name: str, given: Any, kind: Any, place: str) -> Any:
    value: Any = float(given) if kind is float and isinstance(given, int) and not isinstance(given, bool) else given
    if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
        raise RunInputError(f"{place} = {value!r} is no {_KINDS[kind]}")
    if name in _ALLOWED and value not in _ALLOWED[name]:
        raise RunInputError(f"{place} = {value!r} is not allowed; it is {' or '.join(_ALLOWED[name])}")
    if name in _AT_LEAST and not _AT_LEAST[name] <= value < float("inf"):
        how = "too little" if value < _AT_LEAST[name] else "no number of use"
        raise RunInputError(f"{place} = {value!r} is {how}; it is at least {_AT_LEAST[name]:g}")
    return value


_KINDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def _of_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings that variables give, in the form of the file."""
    found: dict[str, Any] = {}
    known = variables()
    if any(variable.startswith(ARGUMENTS) for variable in environment):
        known |= argument_variables()
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable.startswith(SERVICE_LINKS):
            continue
        if variable not in known:
            raise RunInputError(f"unknown variable {variable}; there are {', '.join(sorted(known))}")
        *sections, name = known[variable][0]
        inner = found
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[name] = _typed(variable, text, known[variable][1])
    return found


def variables() -> dict[str, tuple[tuple[str, ...], type]]:
    """Variable -> where its setting stands, and its type; without those of `argument_variables`."""
    known: dict[str, tuple[tuple[str, ...], type]] = {}

    def add(settings: Any, at: tuple[str, ...]) -> None:
        for item in fields(settings):
            value, place = getattr(settings, item.name), (*at, item.name)
            if is_dataclass(value):
                add(value, place)
            elif isinstance(value, Mapping):
                for key, inner in value.items():
                    add(inner, (*place, key))
            else:
                known[PREFIX + "_".join(place).upper()] = (place, type(value))

    add(Configuration(), ())
    return known


def argument_variables() -> dict[str, tuple[tuple[str, ...], type]]:
    """The same for the parameters of the compiled pipelines, which are read for it."""
    return {
        f"{ARGUMENTS}{pipeline}_{name}".upper(): (("kubeflow", "arguments", pipeline, name), str)
        for pipeline, name in places()
    }


def _typed(variable: str, text: str, kind: type) -> Any:
    if kind is str:
        return text
    try:
        return kind(text)
    except ValueError as error:
        raise RunInputError(f"{variable}={text!r} is no {_KINDS[kind]}") from error
