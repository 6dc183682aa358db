"""The server under test of the conformance suite: the one at `PACHD_ADDRESS`, or an embedded store per module.

The suite specifies Pachyderm's behaviour, so it must run against any server of the protocol.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pachyderm_sdk import Client
from server_under_test import Pachd


@pytest.fixture(scope="module")
def connect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Client]]:
    """Return a function that connects a client to the server under test."""
    address = os.environ.get("PACHD_ADDRESS")
    if address:
        yield lambda: Client.from_pachd_address(address)
        return
    from pachyderm.store.rpc.server import StoreServer

    folder: Path = tmp_path_factory.mktemp("store")
    socket = folder / "s"
    with StoreServer(folder / "data", f"unix:{socket}"):
        yield lambda: Client(host="unix", port=str(socket))


@pytest.fixture
def pachd(connect: Callable[[], Client], request: pytest.FixtureRequest) -> Pachd:
    """Return the server under test."""
    if os.environ.get("PACHD_ADDRESS") and request.node.get_closest_marker("embedded"):
        pytest.skip("a promise of the embedded store alone; PACHD_ADDRESS names another server")
    return Pachd(connect)
