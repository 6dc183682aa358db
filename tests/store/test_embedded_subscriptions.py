"""Waiting and subscribing: commits of other processes are seen at once, and clients that leave free their threads."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from embedded_store import store
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from pachyderm.store.rpc.server import StoreServer

pytestmark = pytest.mark.embedded

COMMITS = """
import sys, time
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from pachyderm.store.rpc.server import StoreServer
folder, repo = sys.argv[1:]
with StoreServer(folder + "/data", f"unix:{folder}/other"):
    client = Client(host="unix", port=folder + "/other")
    for _ in range(5):
        branch = pfs.Branch(repo=pfs.Repo(name=repo), name="master")
        with client.pfs.commit(branch=branch) as commit:
            pass
        print(commit.id, time.time(), flush=True)
        sys.stdin.readline()
"""


def test_a_subscription_sees_the_commits_of_another_process_within_half_a_second(tmp_path: Path) -> None:
    with store(tmp_path) as pachd:
        repo = pachd.repo()
        stream = pachd.client.pfs.subscribe_commit(repo=repo, state=pfs.CommitState.FINISHED)
        other = subprocess.Popen(
            [sys.executable, "-c", COMMITS, str(tmp_path), repo.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert other.stdin
        assert other.stdout
        for _ in range(5):
            info = next(stream)
            seen = time.time()
            name, acknowledged = other.stdout.readline().split()
            assert info.commit.id == name
            assert seen - float(acknowledged) < 0.5
            other.stdin.write("\n")
            other.stdin.flush()
        other.stdin.close()
        assert other.wait(30) == 0
        other.stdout.close()


def test_clients_that_go_away_take_no_thread_with_them(tmp_path: Path) -> None:
    """More subscriptions come and go than the server has threads."""
    server = StoreServer(tmp_path / "data", f"unix:{tmp_path / 's'}")
    with server:
        client = Client(host="unix", port=str(tmp_path / "s"))
        repo = pfs.Repo(name="watched")
        client.pfs.create_repo(repo=repo)
        client.pfs.start_commit(branch=pfs.Branch(repo=repo, name="master"))
        raw = client._channel.unary_stream(
            "/pfs_v2.API/SubscribeCommit", request_serializer=bytes, response_deserializer=None
        )
        for _ in range(3):
            streams = [raw(pfs.SubscribeCommitRequest(repo=repo)) for _ in range(50)]
            for stream in streams:
                next(stream)
                stream.cancel()
            while server.busy():
                threading.Event().wait(0.01)
        assert client.pfs.inspect_repo(repo=repo).repo.name == "watched"
