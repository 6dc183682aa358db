"""A task of the tests' pipelines: it fills a commit with one line that names the run.

It follows the protocol of a stage (claim, fence, one publication). Files in a folder order it to fail, wait or die.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from pachyderm_sdk.api import pfs

from pachyderm.client.commits import inspect
from pachyderm.client.connection import Connection
from pachyderm.queue.claims import end_of, give_back, live_claim, take


class Died(BaseException):
    """Raised where the process would have ended."""


def fill(client: Connection, repo: str, commit_set: str, run: str, orders: Path) -> None:
    with (orders / "began").open("a") as began:
        began.write(f"{repo} {commit_set} {run} {os.getpid()}\n")
    commit = inspect(client, repo, commit_set)
    if commit.id != commit_set or commit.state != "open":
        return
    claim = take(client, commit, run, str(os.getpid()))
    if claim is None:
        raise RuntimeError(f"{commit} is claimed by {live_claim(commit.metadata)}")
    while (orders / "wait").exists():
        time.sleep(0.02)
    if (orders / f"fail-{repo}").exists():
        error = RuntimeError((orders / f"fail-{repo}").read_text())
        give_back(client, commit, claim.number, end_of(error))
        raise error
    if (orders / "die").exists():
        (orders / "die").unlink()
        raise Died
    if (orders / "do-nothing").exists():
        return
    changes = [
        pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/by")),
        pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/by", raw=f"{run}\n".encode())),
    ]
    file_set = client.pfs.create_file_set(iter(changes))
    output = client.commit(repo, commit_set)
    client.pfs.add_file_set(commit=output, file_set_id=file_set.file_set_id)
    with client.transaction.transaction():
        client.edit_keys(repo, commit_set, add={f"over.{claim.number}": "good"})
        client.pfs.finish_commit(commit=client.commit(repo, commit_set))
    client.pfs.inspect_commit(commit=output, wait=pfs.CommitState.FINISHED)
