"""A store that has seen everything: reuse, carried pictures, a rename, a roll-back, a revert, a failed and a superseded
commit."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pachyderm_sdk.api import pfs
from stage_harness import House

from pachyderm.client.commits import inspect
from pachyderm.client.connection import Target, connect
from pachyderm.dag.promotion import rollback
from pachyderm.dag.repos import INPUT_IMAGES, TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.errors import CommitFailedError, PermanentError
from pachyderm.queue.ends import finish_with


@contextmanager
def opened(folder: Path) -> Iterator[House]:
    """A house of its own, for tests that only read it and share it."""
    address = os.environ.get("PACHD_ADDRESS")
    target = Target(store=folder / "store")
    if address:
        target = Target(pachd=address, store=folder / "store", project=f"stages-{uuid.uuid4().hex[:8]}")
    with connect(target) as client:
        set_up(client)
        yield House(client, target, folder)
        if address:
            project = pfs.Project(name=target.project)
            client.pfs.delete_repos(projects=[project], force=True)
            client.pfs.delete_project(project=project, force=True)


def live_in(house: House) -> dict[str, str]:
    """Let it all happen; the commit sets by name."""
    sets = {"first": house.put(TRAINING, {"/a.png": "A", "/pix2pix.toml": "size=32"})}
    house.run("train", "export")
    sets["pictures"] = house.put(INPUT_IMAGES, {"/1.jpg": "1", "/2.jpg": "2", "/bad.jpg": "bad"})
    house.run("resize", "generate")
    sets["changed"] = house.put(INPUT_IMAGES, {"/2.jpg": "two", "/3.jpg": "3"})
    house.run("resize", "generate")
    sets["renamed"] = house.put(INPUT_IMAGES, {"/cats/1.jpg": "1", "/2.jpg": "two", "/3.jpg": "3"}, mirror=True)
    house.run("resize", "generate")
    sets["second"] = house.put(TRAINING, {"/a.png": "B"})
    house.run("train", "export", "resize", "generate")
    sets["again"] = house.put(TRAINING, {"/a.png": "A"})
    house.run("train", "export", "resize", "generate")
    rollback(house.client, sets["second"], 2e9)
    house.run("resize", "generate")

    def fail(name: str) -> None:
        raise PermanentError("no pair can be used; commit pairs")

    sets["failed"] = house.put(TRAINING, {"/a.png": "worse"})
    house.fail = fail
    with pytest.raises(CommitFailedError):
        house.fill("train")
    house.fail = lambda name: None
    sets["superseded"] = house.put(TRAINING, {"/a.png": "C"})
    finish_with(house.client, inspect(house.client, "checkpoint", sets["superseded"]), "superseded: by the next")
    sets["last"] = house.put(TRAINING, {"/a.png": "D"})
    house.run("train", "export", "resize", "generate")
    old = house.client.commit("input_images", sets["changed"])
    house.client.pfs.create_branch(branch=house.client.branch(INPUT_IMAGES), head=old)
    house.run("resize", "generate")
    return sets
