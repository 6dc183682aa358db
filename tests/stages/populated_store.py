"""A history with reuse, carried-over pictures, a rename, a rollback, a revert, a failed and a superseded commit."""

from __future__ import annotations

import pytest
from stage_harness import StageHarness

from pachyderm.client.commits import inspect
from pachyderm.dag.promotion import rollback
from pachyderm.dag.repos import INPUT_IMAGES, TRAINING
from pachyderm.errors import CommitFailedError, PermanentError
from pachyderm.queue.ends import finish_with


def populate(harness: StageHarness) -> dict[str, str]:
    """Make the history and return name -> commit set."""
    sets = {"first": harness.put(TRAINING, {"/a.png": "A", "/pix2pix.toml": "size=32"})}
    harness.run("train", "export")
    sets["pictures"] = harness.put(INPUT_IMAGES, {"/1.jpg": "1", "/2.jpg": "2", "/bad.jpg": "bad"})
    harness.run("resize", "generate")
    sets["changed"] = harness.put(INPUT_IMAGES, {"/2.jpg": "two", "/3.jpg": "3"})
    harness.run("resize", "generate")
    sets["renamed"] = harness.put(INPUT_IMAGES, {"/cats/1.jpg": "1", "/2.jpg": "two", "/3.jpg": "3"}, mirror=True)
    harness.run("resize", "generate")
    sets["second"] = harness.put(TRAINING, {"/a.png": "B"})
    harness.run("train", "export", "resize", "generate")
    sets["again"] = harness.put(TRAINING, {"/a.png": "A"})
    harness.run("train", "export", "resize", "generate")
    rollback(harness.client, sets["second"], 2e9)
    harness.run("resize", "generate")

    def fail(name: str) -> None:
        raise PermanentError("no pair can be used; commit pairs")

    sets["failed"] = harness.put(TRAINING, {"/a.png": "worse"})
    harness.fail = fail
    with pytest.raises(CommitFailedError):
        harness.fill("train")
    harness.fail = lambda name: None
    sets["superseded"] = harness.put(TRAINING, {"/a.png": "C"})
    finish_with(harness.client, inspect(harness.client, "checkpoint", sets["superseded"]), "superseded: by the next")
    sets["last"] = harness.put(TRAINING, {"/a.png": "D"})
    harness.run("train", "export", "resize", "generate")
    old = harness.client.commit("input_images", sets["changed"])
    harness.client.pfs.create_branch(branch=harness.client.branch(INPUT_IMAGES), head=old)
    harness.run("resize", "generate")
    return sets
