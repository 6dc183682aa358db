"""The drawing page, the translation of a picture, and a drawing's commit to `input_images`."""

from __future__ import annotations

import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pachyderm.client.upload import put
from pachyderm.dag.repos import INPUT_IMAGES
from web.context import WebContext
from web.inference.model_in_use import LoadedModel
from web.pages.palette import palette_of
from web.requests import MEBIBYTE, body_within

MAX_PICTURE = 32 * MEBIBYTE
"""Bytes of a picture to translate."""


class Drawing:
    """The drawing page and its requests.

    Args:
        context: of the application.
    """

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._palettes: dict[str, tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/draw", self.page),
            Route("/api/model", self.model),
            Route("/api/translate", self.translate, methods=["POST"]),
            Route("/api/pictures", self.commit, methods=["POST"]),
        ]

    def page(self, request: Request) -> Response:
        """Render the page; its script asks for the model."""
        return self._context.page(request, "draw.html")

    def model(self, request: Request) -> Response:
        """Describe the model in use: ``{"commit", "height", "width", "multiple", "labels", "palette", "problem"}``."""
        models = self._context.service.models
        model = models.model
        if model is None:
            return JSONResponse({"commit": None, "problem": models.problem})
        return JSONResponse({**_described(model), "palette": self._palette(model), "problem": models.problem})

    async def translate(self, request: Request) -> Response:
        """Translate the picture in the body to a PNG; ``?size=N`` scales it first, 0 keeps its size."""
        from pix2pix.images.codec import png_bytes

        data = await body_within(request, MAX_PICTURE)
        translation = await self._context.service.translate_file(data, _size(request))
        picture = await run_in_threadpool(png_bytes, translation.pixels)
        headers = {"x-model-commit": translation.commit, "cache-control": "no-store"}
        return Response(picture, media_type="image/png", headers=headers)

    async def commit(self, request: Request) -> Response:
        """Commit the picture in the body to `input_images`: ``{"commit", "path"}``."""
        data = await body_within(request, MAX_PICTURE)
        return await run_in_threadpool(self._commit, data)

    def _commit(self, data: bytes) -> Response:
        from pix2pix.images.codec import decode_bytes

        decode_bytes(data)  # refuses what the stage resize would reject
        moment = datetime.fromtimestamp(self._context.clock(), UTC)
        path = f"/drawings/{moment:%Y-%m-%dT%H-%M-%S-%f}.png"
        with tempfile.TemporaryDirectory(prefix="pix2pix-web-") as folder, self._context.backend.client() as client:
            file = Path(folder) / "drawing"
            file.write_bytes(data)
            result = put(client, INPUT_IMAGES, {path: file}, message="a drawing")
        return JSONResponse({"commit": result.commit, "path": path}, 201)

    def _palette(self, model: LoadedModel) -> tuple[str, ...]:
        with self._lock:
            if model.commit not in self._palettes:
                with self._context.backend.client() as client:
                    direction = str(model.options["train"].get("direction", "AtoB"))
                    self._palettes = {model.commit: palette_of(client, model.commit, direction)}
            return self._palettes[model.commit]


def _described(model: LoadedModel) -> dict[str, Any]:
    height, width = model.shape
    return {
        "commit": model.commit,
        "height": height,
        "width": width,
        "multiple": model.multiple,
        "labels": model.labels,
    }


def _size(request: Request) -> int | None:
    text = request.query_params.get("size")
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 5:
        raise HTTPException(400, f"size = {text[:20]!r}: give pixels, or 0 for the picture's own size")
    return int(text)
