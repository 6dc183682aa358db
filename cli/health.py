"""The checks of `pix2pix doctor`: each looks at one thing, changes nothing, and says what it saw.

It exists apart from the subcommand so that each check can be given what is wrong and be seen to say so.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.failures import AWAY, WRONG

if TYPE_CHECKING:
    from pachyderm.connection import Connection, Target
    from workflows.runners.kubeflow_api import Api
    from workflows.trigger.configuration import Configuration, KubeflowSettings

NEEDED = ("click", "grpcio", "kfp", "kfp-kubernetes", "kubernetes", "numpy", "pachyderm-sdk", "pillow", "protobuf")
"""Distributions without which nothing works; TensorFlow is a check of its own."""

OLDEST_PACHYDERM = (2, 10)
"""The first Pachyderm with metadata on commits, where claims are kept."""

OLDEST_KUBEFLOW = (2, 15)
"""The first Kubeflow Pipelines whose API and driver know everything that our pipelines use."""

LOOK_FOR_GPU = """
import json
from pix2pix.environment import tf
print(json.dumps([tf.__version__, [one.name for one in tf.config.list_physical_devices("GPU")]]))
"""
"""Run in a process of its own: TensorFlow takes seconds, and a broken driver can end a process."""


@dataclass(frozen=True)
class Finding:
    """What a check saw.

    Attributes:
        check: what was looked at.
        ok: whether it is well.
        detail: what was seen, or what the problem is.
        remedy: what to do about it; empty where nothing is to be done.
        code: the exit code that the problem asks for; 0 where there is none.
    """

    check: str
    ok: bool
    detail: str
    remedy: str = ""
    code: int = 0


def _well(check: str, detail: str) -> Finding:
    return Finding(check, True, detail)


def _wrong(check: str, detail: str, remedy: str, code: int = WRONG) -> Finding:
    return Finding(check, False, detail, remedy, code)


def packages() -> Iterator[Finding]:
    """Whether Python and what we depend on are there, with versions."""
    yield _well("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    found: dict[str, str | None] = {}
    for name in ("pix2pix-pipelines", *NEEDED):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    missing = [name for name, number in found.items() if number is None]
    if missing:
        yield _wrong("packages", f"{', '.join(missing)} not installed", "install from requirements/runtime.txt")
    else:
        yield _well("packages", ", ".join(f"{name} {number}" for name, number in found.items()))


def folders(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the folders can be written that libraries and tasks write to."""
    home = Path(environment.get("HOME") or Path("~").expanduser())
    for check, folder, remedy in (
        ("HOME", home, "set HOME to a folder that this user can write, e.g. HOME=/tmp"),
        ("temporary files", Path(tempfile.gettempdir()), "mount a volume there, or set TMPDIR"),
    ):
        try:
            with tempfile.TemporaryFile(dir=folder):
                yield _well(check, f"{folder} can be written")
        except OSError as error:
            yield _wrong(check, f"{folder} cannot be written by user {os.getuid()}: {error.strerror}", remedy)


def pachyderm(target: Target) -> Iterator[Finding]:
    """Which Pachyderm answers, as whom, and whether our repos are as we need them."""
    from pachyderm.connection import connect
    from pachyderm.errors import PachydermError, UnreachableError

    where = str(target)
    if target.pachd is None and not target.store.exists():
        yield _wrong(
            "Pachyderm", f"no embedded store at {where} yet, and no address is given", "pix2pix setup; or PACHD_ADDRESS"
        )
        return
    try:
        with connect(target) as client:
            yield from _pachyderm(client, where)
    except UnreachableError as error:
        remedy = "check the address (--pachd, PACHD_ADDRESS): host, port, grpc:// or grpcs://"
        if "auth" in str(error).lower() or "token" in str(error).lower():
            remedy = "renew PACH_TOKEN (pachctl auth get-auth-token), and the secret that holds it on the cluster"
        yield _wrong("Pachyderm", str(error), remedy, AWAY)
    except PachydermError as error:
        yield _wrong("Pachyderm", str(error), "see docs/pachyderm.md")


def _pachyderm(client: Connection, where: str) -> Iterator[Finding]:
    seen = client.get_version()
    number = (seen.major, seen.minor)
    said = f"{where} answers, version {seen.major}.{seen.minor}.{seen.micro}"
    if number == (0, 0):
        yield _well("Pachyderm", f"{said}: a development build")
    elif number < OLDEST_PACHYDERM:
        yield _wrong(
            "Pachyderm", f"{said}, which has no metadata on commits", "upgrade Pachyderm to 2.10 or newer, best 2.12"
        )
        return
    else:
        yield _well("Pachyderm", said)
    yield _who(client)
    yield from _repos(client)


def _who(client: Connection) -> Finding:
    from pachyderm_sdk.errors import AuthServiceNotActivated

    try:
        return _well("Pachyderm user", client.auth.who_am_i().username)
    except AuthServiceNotActivated:
        return _well("Pachyderm user", "authentication is off")


def _repos(client: Connection) -> Iterator[Finding]:
    from pachyderm.errors import RequestError
    from pachyderm.repos import check_set_up

    check = f"repos of project {client.project}"
    owners = _owned_by_pipelines(client)
    if owners:
        yield _wrong(
            check,
            f"Pachyderm pipelines own {', '.join(owners)}, and pix2pix fills these repos itself",
            "use another project: PACH_PROJECT; see pachyderm/specs/README.md",
        )
        return
    try:
        check_set_up(client)
    except RequestError as error:
        remedy = "pix2pix setup" if "not set up" in str(error) else "use another project: PACH_PROJECT"
        yield _wrong(check, str(error), remedy)
    else:
        yield _well(check, "all there, with the provenance that pix2pix needs")


def _owned_by_pipelines(client: Connection) -> list[str]:
    """Our repos that are outputs of Pachyderm pipelines: their branches come from a spec repo."""
    from pachyderm_sdk.api import pfs

    from pachyderm.repos import REPOS

    there = client.pfs.list_repo(type="user", projects=[pfs.Project(name=client.project)])
    ours = [info.repo.name for info in there if info.repo.name in REPOS]
    return [
        repo
        for repo in ours
        if any(
            one.repo.type == "spec"
            for info in client.pfs.list_branch(repo=client.repo(repo))
            for one in info.direct_provenance
        )
    ]


def kubeflow(
    configuration: Configuration, environment: Mapping[str, str], pause: Callable[[float], None]
) -> Iterator[Finding]:
    """Which Kubeflow Pipelines answers, and whether it lets us list and create runs."""
    chosen = configuration.kubeflow
    asked = configuration.runner == "kubeflow" or chosen.endpoint or environment.get("KF_PIPELINES_ENDPOINT")
    if not asked:
        yield _well("Kubeflow", "none is configured: pipelines run on this machine")
        return
    from workflows.errors import RunnerUnreachableError
    from workflows.runners.kubeflow_api import Access, Api, RefusedError

    endpoint = chosen.endpoint or environment.get("KF_PIPELINES_ENDPOINT", "")
    trouble = endpoint and _trouble_at(endpoint, chosen)
    if trouble:
        yield _wrong("Kubeflow", trouble, "see docs/kubeflow.md, section Troubles", AWAY)
        return
    api = Api(Access(chosen.endpoint, chosen.namespace, chosen.token_file, chosen.cookies, chosen.timeout), pause)
    try:
        yield from _kubeflow(api, chosen.namespace)
    except RunnerUnreachableError as error:
        yield _wrong("Kubeflow", str(error), "see docs/kubeflow.md, section Troubles", AWAY)
    except RefusedError as error:
        yield _wrong("Kubeflow", str(error), "see docs/kubeflow.md, section Troubles")


def _trouble_at(endpoint: str, chosen: KubeflowSettings) -> str:
    """What is wrong with an endpoint, asked once: the kfp client asks for 25 s, and does not tell why."""
    headers = {"Cookie": chosen.cookies} if chosen.cookies else {}
    url = endpoint if "://" in endpoint else f"http://{endpoint}"
    try:
        if chosen.token_file:
            headers["Authorization"] = f"Bearer {Path(chosen.token_file).read_text().strip()}"
        request = urllib.request.Request(f"{url.rstrip('/')}/apis/v2beta1/healthz", headers=headers)
        with urllib.request.urlopen(request, timeout=min(chosen.timeout, 10.0)) as answer:
            json.loads(answer.read())
    except urllib.error.HTTPError as error:
        error.close()
        why = "it refuses the token or cookie" if error.code in (401, 403) else "no API of Kubeflow Pipelines 2 there"
        return f"{endpoint} answers {error.code}: {why}"
    except OSError as error:
        return f"{endpoint} does not answer: {getattr(error, 'reason', error)}"
    except ValueError:
        return f"{endpoint} answers with no JSON: a login page, or no API of Kubeflow Pipelines"
    return ""


def _kubeflow(api: Api, namespace: str) -> Iterator[Finding]:
    client = api.client
    many = bool(api.ask("healthz", "healthz_service_get_healthz").multi_user)
    tag = _kubeflow_tag(client)
    mode = f"for many users, namespace {namespace or 'not given'}" if many else "for one user"
    said = f"{client._existing_config.host} answers, version {tag or 'unknown'}, {mode}"
    number = re.match(r"v?(\d+)\.(\d+)", tag)
    if number and (int(number[1]), int(number[2])) < OLDEST_KUBEFLOW:
        yield _wrong("Kubeflow", said, "upgrade Kubeflow Pipelines to 2.15 or newer, best 2.17")
        return
    yield _well("Kubeflow", said)
    if many and not namespace:
        yield _wrong(
            "Kubeflow runs",
            "whose runs is not said",
            "set namespace in [kubeflow], or PIX2PIX_TRIGGER_KUBEFLOW_NAMESPACE",
        )
        return
    api.ask("experiment", "experiment_service_list_experiments", page_size=1, namespace=namespace)
    if not many:
        yield _well("Kubeflow runs", "may be listed and created: it knows no users")
        return
    yield may_create_runs(namespace)


def may_create_runs(namespace: str) -> Finding:
    """Ask Kubernetes, by a SelfSubjectAccessReview, what Kubeflow would ask it: may I create runs in the namespace."""
    from kubernetes import client, config

    check = "Kubeflow runs"
    try:
        config.load_config()
        review = client.AuthorizationV1Api().create_self_subject_access_review(
            client.V1SelfSubjectAccessReview(
                spec=client.V1SelfSubjectAccessReviewSpec(
                    resource_attributes=client.V1ResourceAttributes(
                        namespace=namespace, group="pipelines.kubeflow.org", resource="runs", verb="create"
                    )
                )
            ),
            _request_timeout=10,
        )
    except config.ConfigException:
        return _well(check, f"may be listed in {namespace}; no Kubernetes here to ask whether they may be created")
    except Exception as error:  # noqa: BLE001 - urllib3 and the client raise what they like, and all of it means this
        said = " ".join(str(error).split())[:200]
        return _wrong(check, f"Kubernetes does not say whether they may be created: {said}", "check KUBECONFIG", AWAY)
    if review.status.allowed:
        return _well(check, f"may be listed and created in {namespace}")
    return _wrong(
        check,
        f"may not be created in {namespace}: {review.status.reason or 'no role allows it'}",
        "apply the overlay deploy/kustomize/overlays/multi-user, or ask the namespace's owner for kubeflow-edit",
    )


def _kubeflow_tag(client: Any) -> str:
    """The release that the API server says it is; empty where it does not say."""
    # The v2 answer has no version; the handler of version 1 is still there in 2.17, and says it.
    with suppress(Exception):
        answer = client._healthz_api.api_client.rest_client.GET(
            f"{client._existing_config.host.rstrip('/')}/apis/v1beta1/healthz", _request_timeout=10
        )
        tag = json.loads(answer.data).get("tag_name", "")
        return tag if isinstance(tag, str) else ""
    return ""


def gpu(*, needed: bool, environment: Mapping[str, str]) -> Iterator[Finding]:
    """What TensorFlow sees; no GPU is a problem where one is needed, or where the machine shows one."""
    try:
        version("tensorflow")
    except PackageNotFoundError:
        text = "not installed here: this machine can trigger and look, not train"
        yield _wrong("TensorFlow", text, "use the worker image, GPU variant") if needed else _well("TensorFlow", text)
        return
    done = subprocess.run(
        [sys.executable, "-c", LOOK_FOR_GPU], capture_output=True, text=True, check=False, env={**environment}
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        yield _wrong(
            "TensorFlow", f"cannot be imported: {last}", "install from requirements/runtime.txt on x86_64 or arm64"
        )
        return
    number, names = json.loads(done.stdout.strip().splitlines()[-1])
    yield _well("TensorFlow", number)
    shown = Path("/dev/nvidiactl").exists()
    if names:
        yield _well("GPU", ", ".join(names))
    elif needed or shown:
        yield _wrong(
            "GPU",
            "this machine has one, and TensorFlow does not see it" if shown else "none, and one is needed",
            "use the GPU variant of the worker image (requirements/gpu.txt), and ask for nvidia.com/gpu",
        )
    else:
        yield _well("GPU", "none: training runs on the CPU")


def images(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the image that the pipelines name is of this version, and which image this is."""
    from components.image import IMAGE
    from workflows.runners.compiled import shipped

    inside = environment.get("PIX2PIX_IMAGE", "")
    if inside:
        yield _well("this image", inside)
    other = {
        name
        for name, path in shipped().items()
        if set(re.findall(r"defaultValue: (ghcr\.io/\S+)", path.read_text())) != {IMAGE}
    }
    if other:
        yield _wrong("image of the tasks", f"{', '.join(sorted(other))} name another than {IMAGE}", "pix2pix compile")
    else:
        yield _well("image of the tasks", IMAGE)
