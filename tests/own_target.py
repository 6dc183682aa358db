"""A Pachyderm of a test's own: an embedded store, or a project at `PACHD_ADDRESS` if that is set."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pachyderm_sdk.api import pfs

from pachyderm.client.connection import Connection, Target, connect
from pachyderm.dag.setup import set_up


def own_target(folder: Path) -> Target:
    """Return an embedded store in a folder, or a project that does not exist yet at `PACHD_ADDRESS`."""
    address = os.environ.get("PACHD_ADDRESS")
    if address is None:
        return Target(store=folder / "store")
    return project_at(address, folder)


def project_at(address: str, folder: Path) -> Target:
    """Return a project that does not exist yet on a server, and a folder for what a trigger keeps."""
    return Target(pachd=address, store=folder / "store", project=f"test-{uuid.uuid4().hex[:8]}")


@contextmanager
def set_up_at(target: Target) -> Iterator[Connection]:
    """Set the repos up and connect; at the end, delete the project if it is on another server."""
    with connect(target) as client:
        set_up(client)
        yield client
        delete_project(client, target)


def delete_project(client: Connection, target: Target) -> None:
    """Delete a target's project with all that is in it; an embedded store is deleted with its folder."""
    if target.pachd is not None:
        project = pfs.Project(name=target.project)
        client.pfs.delete_repos(projects=[project], force=True)
        client.pfs.delete_project(project=project, force=True)
