"""The checks of `pix2pix doctor`: packages, folders, Pachyderm, GPU and images; each changes nothing."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from cli.failures import AWAY, WRONG

if TYPE_CHECKING:
    from pachyderm.client.connection import Connection, Target

REQUIRED = ("click", "grpcio", "kfp", "kfp-kubernetes", "kubernetes", "numpy", "pachyderm-sdk", "pillow", "protobuf")
"""Distributions that every subcommand needs; TensorFlow has a check of its own."""

OLDEST_PACHYDERM = (2, 10)
"""The first release with commit metadata, which holds the claims."""

LIST_GPUS = """
import json
from pix2pix.tensorflow import configure_tensorflow
configure_tensorflow()
import tensorflow as tf
print(json.dumps([tf.__version__, [device.name for device in tf.config.list_physical_devices("GPU")]]))
"""
"""Run in a separate process, which a broken driver can end."""


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Attributes:
        check: name of the check.
        ok: whether it passed.
        detail: what was found, or the problem.
        remedy: what to do about the problem; empty if it passed.
        code: exit code for the problem; 0 if it passed.
    """

    check: str
    ok: bool
    detail: str
    remedy: str = ""
    code: int = 0


def passed(check: str, detail: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(check, True, detail)


def failed(check: str, detail: str, remedy: str, code: int = WRONG) -> Finding:
    """Return a problem with its remedy."""
    return Finding(check, False, detail, remedy, code)


def packages() -> Iterator[Finding]:
    """Check that Python and the required distributions are installed; report their versions."""
    yield passed("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    versions: dict[str, str | None] = {}
    for name in ("pix2pix-pipelines", *REQUIRED):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    missing = [name for name, number in versions.items() if number is None]
    if missing:
        yield failed("packages", f"{', '.join(missing)} not installed", "install from requirements/runtime.txt")
    else:
        yield passed("packages", ", ".join(f"{name} {number}" for name, number in versions.items()))


def folders(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Check that the folders that libraries and tasks write to are writable."""
    home = Path(environment.get("HOME") or Path("~").expanduser())
    for check, folder, remedy in (
        ("HOME", home, "set HOME to a writable folder, e.g. HOME=/tmp"),
        ("temporary files", Path(tempfile.gettempdir()), "mount a writable volume there, or set TMPDIR"),
    ):
        try:
            with tempfile.TemporaryFile(dir=folder):
                yield passed(check, f"{folder} is writable")
        except OSError as error:
            yield failed(check, f"{folder} is not writable by user {os.getuid()}: {error.strerror}", remedy)


def pachyderm(target: Target) -> Iterator[Finding]:
    """Check that Pachyderm answers, its version, the user, and the repos and their provenance."""
    from pachyderm.client.connection import connect
    from pachyderm.errors import PachydermError, UnreachableError

    where = str(target)
    if target.pachd is None and not target.store.exists():
        yield failed(
            "Pachyderm",
            f"embedded store not found at {where}, and no address is given",
            "pix2pix setup; or set PACHD_ADDRESS",
        )
        return
    try:
        with connect(target) as client:
            yield from _pachyderm(client, where)
    except UnreachableError as error:
        remedy = "check the address (--pachd, PACHD_ADDRESS): host, port, grpc:// or grpcs://"
        if "auth" in str(error).lower() or "token" in str(error).lower():
            remedy = "renew PACH_TOKEN (pachctl auth get-auth-token), and the secret that holds it on the cluster"
        yield failed("Pachyderm", str(error), remedy, AWAY)
    except PachydermError as error:
        yield failed("Pachyderm", str(error), "see docs/pachyderm.md")


def _pachyderm(client: Connection, where: str) -> Iterator[Finding]:
    release = client.get_version()
    number = (release.major, release.minor)
    detail = f"{where} answers, version {release.major}.{release.minor}.{release.micro}"
    if number == (0, 0):
        yield passed("Pachyderm", f"{detail} (a development build)")
    elif number < OLDEST_PACHYDERM:
        yield failed(
            "Pachyderm",
            f"{detail}, which has no commit metadata",
            "upgrade Pachyderm to 2.10 or newer, preferably 2.12",
        )
        return
    else:
        yield passed("Pachyderm", detail)
    yield _user(client)
    yield from _repos(client)


def _user(client: Connection) -> Finding:
    import grpc

    try:
        return passed("Pachyderm user", client.auth.who_am_i().username)
    except grpc.RpcError as error:
        if "not activated" not in (error.details() or ""):
            raise
        return passed("Pachyderm user", "authentication is disabled")


def _repos(client: Connection) -> Iterator[Finding]:
    from pachyderm.dag.setup import check_set_up
    from pachyderm.errors import RequestError

    check = f"repos of project {client.project}"
    owners = _owned_by_pipelines(client)
    if owners:
        yield failed(
            check,
            f"Pachyderm pipelines own {', '.join(owners)}, which pix2pix fills itself",
            "use another project: PACH_PROJECT; see pachyderm/specs/README.md",
        )
        return
    try:
        check_set_up(client)
    except RequestError as error:
        remedy = "pix2pix setup" if "not set up" in str(error) else "use another project: PACH_PROJECT"
        yield failed(check, str(error), remedy)
    else:
        yield passed(check, "all present, with the provenance that pix2pix needs")


def _owned_by_pipelines(client: Connection) -> list[str]:
    """Return the repos of pix2pix that are outputs of Pachyderm pipelines: a branch's provenance has a spec repo."""
    from pachyderm_sdk.api import pfs

    from pachyderm.dag.repos import REPOS

    repos = client.pfs.list_repo(type="user", projects=[pfs.Project(name=client.project)])
    ours = [info.repo.name for info in repos if info.repo.name in REPOS]
    return [
        repo
        for repo in ours
        if any(
            source.repo.type == "spec"
            for info in client.pfs.list_branch(repo=client.repo(repo))
            for source in info.direct_provenance
        )
    ]


def gpu(*, needed: bool, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Check that TensorFlow can be imported and sees the GPU.

    Args:
        needed: whether a missing GPU is a problem; one that TensorFlow does not see always is.
        environment: of the process that imports TensorFlow.
    """
    try:
        version("tensorflow")
    except PackageNotFoundError:
        text = "not installed: this machine can run the trigger, but not stages"
        yield (
            failed("TensorFlow", text, "use the GPU variant of the worker image")
            if needed
            else passed("TensorFlow", text)
        )
        return
    process = subprocess.run(
        [sys.executable, "-c", LIST_GPUS], capture_output=True, text=True, check=False, env={**environment}
    )
    if process.returncode != 0:
        last = (process.stderr.strip().splitlines() or [f"exit {process.returncode}"])[-1]
        yield failed(
            "TensorFlow", f"cannot be imported: {last}", "install from requirements/runtime.txt on x86_64 or arm64"
        )
        return
    number, names = json.loads(process.stdout.strip().splitlines()[-1])
    yield passed("TensorFlow", number)
    present = Path("/dev/nvidiactl").exists()
    if names:
        yield passed("GPU", ", ".join(names))
    elif needed or present:
        yield failed(
            "GPU",
            "present, but TensorFlow does not see it" if present else "none, but one is needed",
            "use the GPU variant of the worker image (requirements/gpu.txt) and request nvidia.com/gpu",
        )
    else:
        yield passed("GPU", "none: training runs on the CPU")


def images(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Check that the compiled pipelines use the task image of this version; report the image running here."""
    from components.image import IMAGE
    from workflows.runners.compiled import shipped

    own = environment.get("PIX2PIX_IMAGE", "")
    if own:
        yield passed("this image", own)
    outdated = {
        name
        for name, path in shipped().items()
        if set(re.findall(r"defaultValue: (ghcr\.io/\S+)", path.read_text())) != {IMAGE}
    }
    if outdated:
        yield failed("task image", f"{', '.join(sorted(outdated))} do not use {IMAGE}", "pix2pix compile")
    else:
        yield passed("task image", IMAGE)
