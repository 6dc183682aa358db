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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from cli.failures import AWAY, WRONG

if TYPE_CHECKING:
    from pachyderm.client.connection import Connection, Target

NEEDED = ("click", "grpcio", "kfp", "kfp-kubernetes", "kubernetes", "numpy", "pachyderm-sdk", "pillow", "protobuf")
"""Distributions without which nothing works; TensorFlow is a check of its own."""

OLDEST_PACHYDERM = (2, 10)
"""The first Pachyderm with metadata on commits, where claims are kept."""

LOOK_FOR_GPU = """
import json
from pix2pix.tensorflow import configure_tensorflow
configure_tensorflow()
import tensorflow as tf
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


def well(check: str, detail: str) -> Finding:
    """All is well."""
    return Finding(check, True, detail)


def wrong(check: str, detail: str, remedy: str, code: int = WRONG) -> Finding:
    """Something is wrong."""
    return Finding(check, False, detail, remedy, code)


def packages() -> Iterator[Finding]:
    """Whether Python and what we depend on are there, with versions."""
    yield well("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    found: dict[str, str | None] = {}
    for name in ("pix2pix-pipelines", *NEEDED):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    missing = [name for name, number in found.items() if number is None]
    if missing:
        yield wrong("packages", f"{', '.join(missing)} not installed", "install from requirements/runtime.txt")
    else:
        yield well("packages", ", ".join(f"{name} {number}" for name, number in found.items()))


def folders(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the folders can be written that libraries and tasks write to."""
    home = Path(environment.get("HOME") or Path("~").expanduser())
    for check, folder, remedy in (
        ("HOME", home, "set HOME to a folder that this user can write, e.g. HOME=/tmp"),
        ("temporary files", Path(tempfile.gettempdir()), "mount a volume there, or set TMPDIR"),
    ):
        try:
            with tempfile.TemporaryFile(dir=folder):
                yield well(check, f"{folder} can be written")
        except OSError as error:
            yield wrong(check, f"{folder} cannot be written by user {os.getuid()}: {error.strerror}", remedy)


def pachyderm(target: Target) -> Iterator[Finding]:
    """Which Pachyderm answers, as whom, and whether our repos are as we need them."""
    from pachyderm.client.connection import connect
    from pachyderm.errors import PachydermError, UnreachableError

    where = str(target)
    if target.pachd is None and not target.store.exists():
        yield wrong(
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
        yield wrong("Pachyderm", str(error), remedy, AWAY)
    except PachydermError as error:
        yield wrong("Pachyderm", str(error), "see docs/pachyderm.md")


def _pachyderm(client: Connection, where: str) -> Iterator[Finding]:
    seen = client.get_version()
    number = (seen.major, seen.minor)
    said = f"{where} answers, version {seen.major}.{seen.minor}.{seen.micro}"
    if number == (0, 0):
        yield well("Pachyderm", f"{said}: a development build")
    elif number < OLDEST_PACHYDERM:
        yield wrong(
            "Pachyderm", f"{said}, which has no metadata on commits", "upgrade Pachyderm to 2.10 or newer, best 2.12"
        )
        return
    else:
        yield well("Pachyderm", said)
    yield _who(client)
    yield from _repos(client)


def _who(client: Connection) -> Finding:
    import grpc

    try:
        return well("Pachyderm user", client.auth.who_am_i().username)
    except grpc.RpcError as error:
        if "not activated" not in (error.details() or ""):
            raise
        return well("Pachyderm user", "authentication is off")


def _repos(client: Connection) -> Iterator[Finding]:
    from pachyderm.dag.setup import check_set_up
    from pachyderm.errors import RequestError

    check = f"repos of project {client.project}"
    owners = _owned_by_pipelines(client)
    if owners:
        yield wrong(
            check,
            f"Pachyderm pipelines own {', '.join(owners)}, and pix2pix fills these repos itself",
            "use another project: PACH_PROJECT; see pachyderm/specs/README.md",
        )
        return
    try:
        check_set_up(client)
    except RequestError as error:
        remedy = "pix2pix setup" if "not set up" in str(error) else "use another project: PACH_PROJECT"
        yield wrong(check, str(error), remedy)
    else:
        yield well(check, "all there, with the provenance that pix2pix needs")


def _owned_by_pipelines(client: Connection) -> list[str]:
    """Our repos that are outputs of Pachyderm pipelines: their branches come from a spec repo."""
    from pachyderm_sdk.api import pfs

    from pachyderm.dag.repos import REPOS

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


def gpu(*, needed: bool, environment: Mapping[str, str]) -> Iterator[Finding]:
    """What TensorFlow sees; no GPU is a problem where one is needed, or where the machine shows one."""
    try:
        version("tensorflow")
    except PackageNotFoundError:
        text = "not installed here: this machine can trigger and look, not train"
        yield wrong("TensorFlow", text, "use the worker image, GPU variant") if needed else well("TensorFlow", text)
        return
    done = subprocess.run(
        [sys.executable, "-c", LOOK_FOR_GPU], capture_output=True, text=True, check=False, env={**environment}
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        yield wrong(
            "TensorFlow", f"cannot be imported: {last}", "install from requirements/runtime.txt on x86_64 or arm64"
        )
        return
    number, names = json.loads(done.stdout.strip().splitlines()[-1])
    yield well("TensorFlow", number)
    shown = Path("/dev/nvidiactl").exists()
    if names:
        yield well("GPU", ", ".join(names))
    elif needed or shown:
        yield wrong(
            "GPU",
            "this machine has one, and TensorFlow does not see it" if shown else "none, and one is needed",
            "use the GPU variant of the worker image (requirements/gpu.txt), and ask for nvidia.com/gpu",
        )
    else:
        yield well("GPU", "none: training runs on the CPU")


def images(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the image that the pipelines name is of this version, and which image this is."""
    from components.image import IMAGE
    from workflows.runners.compiled import shipped

    inside = environment.get("PIX2PIX_IMAGE", "")
    if inside:
        yield well("this image", inside)
    other = {
        name
        for name, path in shipped().items()
        if set(re.findall(r"defaultValue: (ghcr\.io/\S+)", path.read_text())) != {IMAGE}
    }
    if other:
        yield wrong("image of the tasks", f"{', '.join(sorted(other))} name another than {IMAGE}", "pix2pix compile")
    else:
        yield well("image of the tasks", IMAGE)
