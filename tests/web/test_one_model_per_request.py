"""A request is answered by one model, although `model@master` moves while it is being answered."""

from __future__ import annotations

import base64
import io
import itertools
import threading
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient
from web_site import SIZE, png

from web.inference.batcher import Batcher
from web.inference.model_in_use import LoadedModel, ModelInUse
from web.inference.serving import Serving
from web.inference.translate import TranslationService

COUNT = 6
PREDICT = "/v1/models/pix2pix:predict"


def painting(level: int) -> LoadedModel:
    """Return a "model" that paints everything with its level."""
    return LoadedModel(str(level), (SIZE, SIZE), 1, False, lambda batch: np.full_like(batch, level), {})


class Moving:
    """A model in use that is another one whenever it is asked for."""

    problem = ""

    def __init__(self) -> None:
        self._levels = itertools.count(1)

    @property
    def model(self) -> LoadedModel:
        return painting(next(self._levels))


@pytest.mark.parametrize("kind", ["encoded", "arrays", "tensor"])
def test_every_picture_of_a_request_is_translated_by_the_model_that_it_began_with(kind: str) -> None:
    batcher = Batcher()
    service = TranslationService(cast("ModelInUse", Moving()), batcher)
    with TestClient(Starlette(routes=Serving(service).routes())) as client:
        levels = answered(client, kind)
    batcher.close()
    assert len(levels) == COUNT and len(set(levels)) == 1


def answered(client: TestClient, kind: str) -> list[int]:
    """Request translations of several pictures; return the level of each."""
    array = np.zeros((COUNT, SIZE, SIZE, 3), np.uint8)
    body: dict[str, Any]
    if kind == "encoded":
        body = {"instances": [{"b64": base64.b64encode(png()).decode()}] * COUNT}
        rows = client.post(PREDICT, json=body).json()["predictions"]
        pictures = [Image.open(io.BytesIO(base64.b64decode(row["b64"]))) for row in rows]
        return [int(np.asarray(picture).max()) for picture in pictures]
    if kind == "arrays":
        body = {"signature_name": "image", "instances": array.tolist()}
        return [int(np.max(row)) for row in client.post(PREDICT, json=body).json()["predictions"]]
    tensor = {"name": "image", "shape": list(array.shape), "datatype": "UINT8", "data": array.ravel().tolist()}
    answer = client.post("/v2/models/pix2pix/infer", json={"inputs": [tensor]}).json()
    data = np.reshape(answer["outputs"][0]["data"], (COUNT, -1))
    assert answer["model_version"] == str(data.max())
    return [int(level) for level in data.max(1)]


def test_requests_of_two_models_share_no_batch() -> None:
    began, go_on = threading.Event(), threading.Event()

    def hold(batch: np.ndarray) -> np.ndarray:
        began.set()
        go_on.wait(60)
        return batch

    batcher, picture = Batcher(), np.zeros((8, 8, 3), np.uint8)
    batcher.submit(LoadedModel("", (8, 8), 1, False, hold, {}), picture)
    assert began.wait(60)
    models = [painting(level) for level in (10, 20)]
    results = [batcher.submit(model, picture) for model in models * 3]
    go_on.set()
    assert [int(result.result(60).max()) for result in results] == [10, 20] * 3
    batcher.close()
