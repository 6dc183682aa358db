"""Files from URLs: refused unless the store is served with the option, and then from http and https only."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from server_under_test import Pachd, refused

from pachyderm.store.rpc.server import StoreServer

pytestmark = pytest.mark.embedded

BODY = b"from elsewhere " * 200_000


class Site(BaseHTTPRequestHandler):
    """Serves BODY at /file, redirects, errors and truncated responses."""

    def do_GET(self) -> None:
        match self.path:
            case "/file":
                self.reply(200, length=len(BODY))
                self.wfile.write(BODY)
            case "/moved":
                self.reply(302, location="/file")
            case "/local":
                self.reply(302, location="file:///etc/hostname")
            case "/ftp":
                self.reply(302, location="ftp://127.0.0.1:1/file")
            case "/broken":
                self.reply(200, length=len(BODY))
                self.wfile.write(BODY[:100])
            case _:
                self.reply(404, length=0)

    def reply(self, code: int, length: int | None = None, location: str = "") -> None:
        self.send_response(code)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if location:
            self.send_header("Location", location)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def serving(folder: Path, url_sources: bool) -> Iterator[Pachd]:
    with StoreServer(folder / "data", f"unix:{folder / 's'}", url_sources=url_sources):
        yield Pachd(lambda: Client(host="unix", port=str(folder / "s")))


@pytest.fixture
def pachd(tmp_path: Path) -> Iterator[Pachd]:
    with serving(tmp_path, url_sources=True) as pachd:
        yield pachd


@pytest.fixture
def commit(pachd: Pachd) -> pfs.Commit:
    return pachd.start(pfs.Branch(repo=pachd.repo(), name="master"))


def source(url: str, recursive: bool = False) -> pfs.AddFile:
    return pfs.AddFile(path="/file", url=pfs.AddFileUrlSource(url=url, recursive=recursive))


def test_urls_are_not_read_without_the_option(tmp_path: Path, site: str) -> None:
    with serving(tmp_path, url_sources=False) as pachd:
        commit = pachd.start(pfs.Branch(repo=pachd.repo(), name="master"))
        with refused("store serve --url-sources", grpc.StatusCode.UNIMPLEMENTED):
            pachd.modify(commit, pfs.AddFile(path="/kept", raw=b"1"), source(f"{site}/file"))
        assert pachd.files(commit) == {}


@pytest.mark.parametrize("page", ["/file", "/moved"])
def test_a_file_has_the_content_of_the_url(pachd: Pachd, site: str, commit: pfs.Commit, page: str) -> None:
    pachd.modify(commit, source(site + page), pfs.AddFile(path="/other", raw=b"1"))
    assert pachd.files(commit) == {"/file": BODY, "/other": b"1"}


def test_a_file_from_a_url_is_appended_as_any_other(pachd: Pachd, site: str, commit: pfs.Commit) -> None:
    pachd.modify(commit, pfs.AddFile(path="/file", raw=b"head "), source(f"{site}/file"))
    assert pachd.read(commit, "/file") == b"head " + BODY


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("{site}/missing", "404"),
        ("{site}/broken", f"100 of {len(BODY)} bytes"),
        ("{site}/local", "file"),
        ("{site}/ftp", "unknown url type: ftp"),
        ("http://127.0.0.1:1/file", "refused"),
        ("file:///etc/hostname", "of the scheme 'file'"),
        ("s3://bucket/file", "of the scheme 's3'"),
        ("/etc/hostname", "of the scheme ''"),
        ("http:///file", "names no host"),
    ],
)
def test_a_url_that_cannot_be_read_is_refused_and_nothing_is_written(
    pachd: Pachd, site: str, commit: pfs.Commit, url: str, text: str
) -> None:
    with refused(text):
        pachd.modify(commit, pfs.AddFile(path="/kept", raw=b"1"), source(url.format(site=site)))
    assert pachd.files(commit) == {}


def test_a_folder_behind_a_url_is_refused(pachd: Pachd, site: str, commit: pfs.Commit) -> None:
    with refused("recursively", grpc.StatusCode.UNIMPLEMENTED):
        pachd.modify(commit, source(f"{site}/file", recursive=True))
