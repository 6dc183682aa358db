"""The trigger's configuration: one TOML file, overridden by environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from pachyderm.dag.repos import PIPELINES
from pix2pix import toml_text
from pix2pix.toml_text import TomlError
from workflows.daemon.kubernetes_lease import LeaseSettings
from workflows.errors import RunInputError
from workflows.settings.arguments import Arguments, merged, settable_arguments
from workflows.settings.notify import NotifySettings
from workflows.settings.policy import Policy, changed, defaults
from workflows.settings.values import HIDDEN, check_name, checked, declared, parsed

PREFIX = "PIX2PIX_TRIGGER_"
"""``PIX2PIX_TRIGGER_MAX_CONCURRENT_RUNS`` sets ``max_concurrent_runs``; ``PIX2PIX_TRIGGER_KUBEFLOW_ENDPOINT`` sets
``endpoint`` of ``[kubeflow]``; a policy's names follow its pipeline's."""

ARGUMENTS = f"{PREFIX}KUBEFLOW_ARGUMENTS_"
"""``PIX2PIX_TRIGGER_KUBEFLOW_ARGUMENTS_TRAINING_AND_EXPORT_GPUS`` sets ``gpus`` of
``[kubeflow.arguments.training_and_export]``."""

SERVICE_LINKS = (f"{PREFIX}SERVICE_", f"{PREFIX}PORT")
"""Variables that Kubernetes sets in every pod of a namespace with a Service of this name; they are not settings."""


SECRETS = ("cookies", "urls")
"""Settings whose values no message shows."""

RunnerName = Literal["local", "kubeflow"]
"""The runners that a configuration may name."""


@dataclass(frozen=True)
class KubeflowSettings:
    """How the Kubeflow runner reaches its API.

    Attributes:
        endpoint: URL of the API; empty: as the `kfp` client finds it (``KF_PIPELINES_ENDPOINT``, in-cluster, kubectl).
        ui: URL of the UI for links; empty: ``KF_PIPELINES_UI_ENDPOINT``, and without that no links.
        namespace: namespace of the runs, in a multi-user Kubeflow.
        experiment: experiment that the runs belong to.
        token_file: file with a bearer token (a projected service account token); empty: as the client finds one.
        cookies: for a Kubeflow behind dex, e.g. ``authservice_session=...``. A secret: not in the repr.
        timeout: seconds for one request.
        service_account: service account of the runs' pods; empty: the cluster's default for pipelines.
        queue: Kueue's LocalQueue of the tasks' pods and TrainJobs; empty: none.
        arguments: pipeline -> parameter -> value as text, passed to each run: image, GPU, memory, ...
    """

    endpoint: str = ""
    ui: str = ""
    namespace: str = ""
    experiment: str = "pix2pix"
    token_file: str = ""
    cookies: str = field(default="", repr=False)
    timeout: Annotated[float, Meta(ge=1)] = 30.0
    service_account: str = ""
    queue: str = ""
    arguments: Arguments = field(default_factory=dict)


@dataclass(frozen=True)
class Configuration:
    """The settings of a trigger.

    Attributes:
        runner: ``local`` or ``kubeflow``.
        max_concurrent_runs: upper bound of live runs.
        poll_interval: seconds between two polls if no event wakes the trigger.
        metrics_address: ``host:port`` for ``/metrics``, ``/healthz`` and ``/readyz``; empty: none.
        log: ``text`` or ``json``.
        kubeflow: see `KubeflowSettings`.
        lease: see `LeaseSettings`.
        notify: see `NotifySettings`.
        policy: pipeline -> policy.
    """

    runner: RunnerName = "local"
    max_concurrent_runs: Annotated[int, Meta(ge=1)] = 2
    poll_interval: Annotated[float, Meta(ge=0.1)] = 2.0
    metrics_address: str = ""
    log: Literal["text", "json"] = "text"
    kubeflow: KubeflowSettings = field(default_factory=KubeflowSettings)
    lease: LeaseSettings = field(default_factory=LeaseSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)
    policy: Mapping[str, Policy] = field(default_factory=defaults)


def load(file: Path | None, environment: Mapping[str, str]) -> Configuration:
    """Read the configuration.

    Args:
        file: TOML; None for the defaults.
        environment: variables that start with `PREFIX` override the file.

    Raises:
        RunInputError: the file cannot be read, or a name or value is not allowed.
    """
    configuration = Configuration()
    if file is not None:
        configuration = _apply(configuration, _content(file), str(file))
    configuration = _apply(configuration, _from_environment(environment), "the environment")
    if not configuration.lease.retry < configuration.lease.renew_within < configuration.lease.seconds:
        raise RunInputError("[lease] must satisfy retry < renew_within < seconds")
    return configuration


def with_runner(configuration: Configuration, runner: str, source: str) -> Configuration:
    """Return the configuration with another runner.

    Args:
        configuration: the configuration.
        runner: name of the runner.
        source: option that gives it, for the message.

    Raises:
        RunInputError: there is no runner of that name.
    """
    return replace(configuration, runner=checked(runner, RunnerName, source))


def _content(file: Path) -> dict[str, Any]:
    try:
        return toml_text.parse(toml_text.decode(file.read_bytes()), secrets=SECRETS)
    except OSError as error:
        raise RunInputError(f"the configuration {file} cannot be read: {error.strerror}") from error
    except TomlError as error:
        raise RunInputError(f"the configuration {file} is not TOML: {error}") from error


def _apply(settings: Any, content: Mapping[str, Any], source: str, section: str = "") -> Any:
    kinds = declared(type(settings))
    for name, value in content.items():
        full_name = f"{section}.{name}" if section else name
        check_name(name, kinds, f"{source}: unknown setting {full_name}")
        before = getattr(settings, name)
        if name == "policy":
            settings = replace(settings, policy=_policies(before, value, source))
        elif name == "arguments":
            settings = replace(settings, arguments=merged(before, value, source))
        elif is_dataclass(before):
            if not isinstance(value, Mapping):
                raise RunInputError(f"{source}: {full_name} = {value!r} is not allowed; it is a section, [{full_name}]")
            settings = replace(settings, **{name: _apply(before, value, source, full_name)})
        else:
            shown = HIDDEN if name in SECRETS else None
            settings = replace(settings, **{name: checked(value, kinds[name], f"{source}: {full_name}", shown)})
    return settings


def _policies(before: Mapping[str, Policy], given: Any, source: str) -> dict[str, Policy]:
    if not isinstance(given, Mapping) or not all(isinstance(settings, Mapping) for settings in given.values()):
        raise RunInputError(f"{source}: policies must be in sections such as [policy.{PIPELINES[0].name}]")
    policies = dict(before)
    for pipeline, settings in given.items():
        check_name(pipeline, policies, f"{source}: unknown pipeline {pipeline} in [policy]")
        policies[pipeline] = changed(policies[pipeline], settings, f"{source} [policy.{pipeline}]")
    return policies


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that variables give, in the form of the file."""
    content: dict[str, Any] = {}
    known = variables()
    if any(variable.startswith(ARGUMENTS) for variable in environment):
        known |= argument_variables()
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable.startswith(SERVICE_LINKS):
            continue
        check_name(variable, sorted(known), f"unknown variable {variable}", PREFIX)
        *sections, name = known[variable][0]
        section = content
        for part in sections:
            section = section.setdefault(part, {})
        section[name] = parsed(text, known[variable][1], variable)
    return content


def variables() -> dict[str, tuple[tuple[str, ...], type]]:
    """Variable -> path of its setting and type of its default; without those of `argument_variables`."""
    known: dict[str, tuple[tuple[str, ...], type]] = {}

    def add(settings: Any, section: tuple[str, ...]) -> None:
        for field_ in fields(settings):
            value, path = getattr(settings, field_.name), (*section, field_.name)
            if is_dataclass(value):
                add(value, path)
            elif isinstance(value, Mapping):
                for key, inner in value.items():
                    add(inner, (*path, key))
            else:
                known[PREFIX + "_".join(path).upper()] = (path, type(value))

    add(Configuration(), ())
    return known


def argument_variables() -> dict[str, tuple[tuple[str, ...], type]]:
    """Return the same for the parameters of the compiled pipelines, which are read for it."""
    return {
        f"{ARGUMENTS}{pipeline}_{name}".upper(): (("kubeflow", "arguments", pipeline, name), str)
        for pipeline, name in settable_arguments()
    }
