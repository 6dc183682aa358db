"""Upload of a folder of pairs or pictures: files are collected one by one, and committed together."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pachyderm.client.branches import BranchName
from pachyderm.client.file_names import encode
from pachyderm.client.files import PARAMETERS_FILE
from pachyderm.client.upload import put
from pachyderm.dag.repos import INPUTS
from web.context import WebContext
from web.requests import MEBIBYTE, body_within

MAX_FILE = 64 * MEBIBYTE
MAX_FILES = 10_000
MAX_TOTAL = 2048 * MEBIBYTE
"""Bytes of an upload."""
MAX_UPLOADS = 4
"""Uploads in progress; a further one replaces the oldest."""
MAX_PARAMETERS = MEBIBYTE
"""Bytes of the parameters file."""


@dataclass
class Upload:
    """Files that were sent and are not committed yet.

    Attributes:
        folder: temporary folder of the files.
        files: path in the commit -> local file.
        bytes: size of all files.
    """

    folder: Path
    files: dict[str, Path] = field(default_factory=dict)
    bytes: int = 0


class Uploading:
    """The page, and the requests of its script.

    Args:
        context: of the application.
    """

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._uploads: dict[str, Upload] = {}
        self._lock = threading.Lock()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/upload", self.page),
            Route("/api/uploads", self.begin, methods=["POST"]),
            Route("/api/uploads/{upload}/files/{path:path}", self.add, methods=["PUT"]),
            Route("/api/uploads/{upload}/commit", self.commit, methods=["POST"]),
        ]

    def close(self) -> None:
        """Remove the files of uploads that were not committed."""
        with self._lock:
            for upload in self._uploads.values():
                shutil.rmtree(upload.folder, ignore_errors=True)
            self._uploads.clear()

    def page(self, request: Request) -> Response:
        """Render the page."""
        return self._context.page(request, "upload.html", repos=[branch.repo for branch in INPUTS])

    async def begin(self, request: Request) -> Response:
        """Begin an upload: ``{"upload": id}``."""
        name = secrets.token_urlsafe(12)
        with self._lock:
            while len(self._uploads) >= MAX_UPLOADS:
                shutil.rmtree(self._uploads.pop(next(iter(self._uploads))).folder, ignore_errors=True)
            self._uploads[name] = Upload(Path(tempfile.mkdtemp(prefix="pix2pix-web-")))
        return JSONResponse({"upload": name}, 201)

    async def add(self, request: Request) -> Response:
        """Add the body as a file; a picture that could not be used is refused with its code."""
        upload, path = self._upload(request), _commit_path(request.path_params["path"])
        data = await body_within(request, MAX_FILE)
        await run_in_threadpool(_check_usable, path, data)
        with self._lock:
            if len(upload.files) >= MAX_FILES or upload.bytes + len(data) > MAX_TOTAL:
                raise HTTPException(
                    413, f"an upload has at most {MAX_FILES} files and {MAX_TOTAL} bytes; use pix2pix put"
                )
            file = upload.folder / str(len(upload.files))
            upload.files[path] = file
            upload.bytes += len(data)
        await run_in_threadpool(file.write_bytes, data)
        return JSONResponse({"path": path, "bytes": len(data)}, 201)

    async def commit(self, request: Request) -> Response:
        """Commit an upload; ``?repo=`` names the input and ``?message=`` describes the commit."""
        name, upload = request.path_params["upload"], self._upload(request)
        branch = _branch(request.query_params.get("repo", ""))
        if not upload.files:
            raise HTTPException(422, "nothing was uploaded; add pictures first")
        response = await run_in_threadpool(self._commit, upload, branch, request.query_params.get("message", ""))
        with self._lock:
            self._uploads.pop(name, None)
        await run_in_threadpool(shutil.rmtree, upload.folder, ignore_errors=True)
        return response

    def _commit(self, upload: Upload, branch: BranchName, message: str) -> Response:
        with self._context.backend.client() as client:
            result = put(client, branch, upload.files, message=message)
        return JSONResponse({"repo": branch.repo, "commit": result.commit, "files_put": result.put})

    def _upload(self, request: Request) -> Upload:
        with self._lock:
            upload = self._uploads.get(request.path_params["upload"])
        if upload is None:
            raise HTTPException(404, "this upload has ended; begin again")
        return upload


def _branch(repo: str) -> BranchName:
    for branch in INPUTS:
        if branch.repo == repo:
            return branch
    raise HTTPException(422, f"repo = {repo[:40]!r}: use {' or '.join(branch.repo for branch in INPUTS)}")


def _commit_path(path: str) -> str:
    """Return the path that a file gets in the commit.

    Raises:
        HTTPException: 422, the path is empty or leads out of the folder.
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or "\0" in path or any(part in ("..", ".") for part in parts):
        raise HTTPException(422, f"the file name {path[:200]!r} cannot be used")
    return "/" + encode("/".join(parts))


def _check_usable(path: str, data: bytes) -> None:
    from pix2pix.images.codec import decode_bytes

    if path == PARAMETERS_FILE:
        if len(data) > MAX_PARAMETERS:
            raise HTTPException(413, f"{path} has {len(data)} bytes; at most {MAX_PARAMETERS} are accepted")
        return
    decode_bytes(data)
