"""The fixtures of the tests of the web application."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from web_site import TOKEN, Site, populate, ready, site


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A history that no test changes."""
    with site(tmp_path_factory.mktemp("history")) as provided:
        populate(provided)
        yield provided


@pytest.fixture(scope="module")
def served(history: Site) -> Iterator[TestClient]:
    """A client of the application over the history, with a model loaded."""
    with history.serve() as client:
        yield ready(client)


@pytest.fixture(scope="module")
def guarded(history: Site) -> Iterator[TestClient]:
    """A client of an application that requires `TOKEN`."""
    with history.serve(token=TOKEN) as client:
        yield ready(client)


@pytest.fixture(scope="module")
def watching(history: Site) -> Iterator[TestClient]:
    """A client with the token of an application that is read-only."""
    with history.serve(read_only=True, token=TOKEN) as client:
        client.headers["authorization"] = f"Bearer {TOKEN}"
        yield ready(client)


@pytest.fixture
def changing(tmp_path: Path) -> Iterator[Site]:
    """A history that a test may change."""
    with site(tmp_path) as provided:
        populate(provided)
        yield provided


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Site]:
    """A store that is set up, and nothing else."""
    with site(tmp_path) as provided:
        yield provided
