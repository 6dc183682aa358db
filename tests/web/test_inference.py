"""The translation of pictures for pages and programs, and the exchange of the model under load."""

from __future__ import annotations

import base64
import gc
import io
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from web_site import LABELS, SIZE, Site, csrf, inverting, pair, png, ready

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import head
from pachyderm.client.files import content, files
from pachyderm.dag.promotion import promote
from pachyderm.dag.repos import INPUT_IMAGES, MODEL
from pachyderm.errors import PermanentError
from web.backend import Backend
from web.errors import OverloadedError
from web.inference.batcher import MAX_BATCH, MAX_WAITING, Batcher
from web.inference.model_in_use import LoadedModel, ModelInUse
from web.pages.palette import label_colours

COLOUR = (10, 20, 30)
INVERTED = [245, 235, 225]


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_a_picture_of_any_size_is_translated_at_the_models_size(history: Site, served: TestClient) -> None:
    response = served.post("/api/translate", content=png(COLOUR, 40, 24))
    translated = pixels(response.content)
    assert translated.shape == (SIZE, SIZE, 3) and (translated == INVERTED).all()
    assert response.headers["x-model-commit"] == history.sets["second"]


def test_a_picture_keeps_its_size_where_that_is_asked_for(served: TestClient) -> None:
    assert pixels(served.post("/api/translate?size=0", content=png(COLOUR, 40, 24)).content).shape == (24, 40, 3)
    assert pixels(served.post("/api/translate?size=32", content=png()).content).shape == (32, 32, 3)
    for size in ("31", "4096", "-4", "x", "", "9" * 30):
        assert served.post(f"/api/translate?size={size}", content=png()).status_code in (400, 422), size


@pytest.mark.parametrize("body", [b"", b"text", b"\x89PNG\r\n\x1a\n", png()[:-30], b"<svg/>"])
def test_a_body_that_is_no_picture_is_refused_with_its_code(served: TestClient, body: bytes) -> None:
    response = served.post("/api/translate", content=body)
    assert response.status_code == 422 and ":" in response.json()["error"]


def test_tensorflow_servings_requests_are_answered(served: TestClient) -> None:
    encoded = {"b64": base64.b64encode(png(COLOUR)).decode()}
    array = np.full((4, 8, 3), 10, np.uint8).tolist()
    status = served.get("/v1/models/pix2pix").json()
    assert status["model_version_status"][0]["state"] == "AVAILABLE"
    predict = "/v1/models/pix2pix:predict"
    for instances in ([encoded], [{"image_bytes": encoded}]):
        (prediction,) = served.post(predict, json={"instances": instances}).json()["predictions"]
        assert (pixels(base64.b64decode(prediction["b64"])) == INVERTED).all()
    image = {"signature_name": "image", "instances": [array, {"image": array}]}
    predictions = np.asarray(served.post(predict, json=image).json()["predictions"])
    assert predictions.shape == (2, 4, 8, 3) and (predictions == 245).all()
    column = {"signature_name": "image", "inputs": {"image": [array]}}
    assert np.asarray(served.post(predict, json=column).json()["outputs"]).shape == (1, 4, 8, 3)


def test_kserves_requests_are_answered(served: TestClient) -> None:
    tensor = {"name": "image", "shape": [2, 4, 8, 3], "datatype": "UINT8", "data": [10] * (2 * 4 * 8 * 3)}
    assert served.get("/v2").json()["name"] == "pix2pix"
    assert served.get("/v2/health/ready").status_code == served.get("/v2/models/pix2pix/ready").status_code == 200
    assert served.get("/v2/models/pix2pix").json()["inputs"][0]["shape"] == [-1, -1, -1, 3]
    answer = served.post("/v2/models/pix2pix/infer", json={"id": "7", "inputs": [tensor]}).json()
    (output,) = answer["outputs"]
    assert (answer["id"], output["shape"], set(output["data"])) == ("7", [2, 4, 8, 3], {245})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[" * 100_000,
        b"{}",
        b'{"instances": [], "inputs": []}',
        b'{"instances": []}',
        b'{"instances": [{"b64": "%%%"}]}',
        b'{"instances": [{"b64": 1}]}',
        b'{"instances": [1]}',
        b'{"signature_name": "x", "instances": [1]}',
        b'{"signature_name": "image", "instances": [[[[300, 0, 0]]]]}',
        b'{"signature_name": "image", "instances": [[[[0.5, 0, 0]]]]}',
        b'{"signature_name": "image", "instances": [[[[0, 0, 0]], [[0, 0]]]]}',
        b'{"signature_name": "image", "instances": [[]]}',
        b'{"inputs": {"a": 1}}',
        b'{"inputs": [{"name": "image", "shape": [1, 1, 1, 3], "datatype": "UINT8", "data": [1, 2]}]}',
        b'{"inputs": [{"name": "image", "shape": [-1, -1, 1, 3], "datatype": "UINT8", "data": [1, 2, 3]}]}',
        b'{"inputs": [{"name": "image", "shape": [99999, 99999, 99999, 3], "datatype": "UINT8", "data": []}]}',
        b'{"inputs": [{"name": "image", "shape": [1, 1, 1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}',
        b'{"inputs": [{"name": "image", "shape": [1, 1, 1, 3], "datatype": "UINT8", "data": [true, {}, "x"]}]}',
    ],
)
@pytest.mark.parametrize("address", ["/v1/models/pix2pix:predict", "/v2/models/pix2pix/infer"])
def test_a_malformed_prediction_is_refused(served: TestClient, address: str, body: bytes) -> None:
    response = served.post(address, content=body)
    assert response.status_code in (400, 422) and response.json()["error"]


def test_a_drawing_is_committed_to_input_images(changing: Site) -> None:
    with changing.serve() as client:
        added = client.post("/api/pictures", content=png(), headers=csrf(client)).json()
    commit = head(changing.client, INPUT_IMAGES)
    assert commit.id == added["commit"] and added["path"] in content(files(changing.client, commit.repo, commit.id))


def test_the_palette_is_that_of_the_label_maps() -> None:
    red_first = ("#ffff00", "#0080ff", "#ff0000")
    assert label_colours([pair()], "AtoB") == red_first and len(LABELS) == 3
    assert label_colours([pair()], "BtoA") == (), "noise has no palette"
    assert label_colours([b"text"], "AtoB") == () and label_colours([], "AtoB") == ()


def test_requests_that_wait_together_share_batches_and_shapes_do_not_mix() -> None:
    sizes: list[tuple[int, ...]] = []
    began, go_on = threading.Event(), threading.Event()

    def translate(batch: np.ndarray) -> np.ndarray:
        sizes.append(batch.shape)
        began.set()
        go_on.wait(60)
        return 255 - batch

    model = LoadedModel("c", (8, 8), 1, False, translate, {})
    batcher = Batcher()
    results = [batcher.submit(model, np.zeros((8, 8, 3), np.uint8))]
    assert began.wait(60)
    shapes = [(8, 8, 3)] * (MAX_BATCH + 1) + [(4, 4, 3)] * 2
    results += [batcher.submit(model, np.full(shape, 7, np.uint8)) for shape in shapes]
    go_on.set()
    assert [result.result(60).shape for result in results] == [(8, 8, 3), *shapes]
    batcher.close()
    assert sizes == [(1, 8, 8, 3), (MAX_BATCH, 8, 8, 3), (1, 8, 8, 3), (2, 4, 4, 3)]


def test_a_failing_translation_fails_its_batch_alone() -> None:
    def translate(batch: np.ndarray) -> np.ndarray:
        if batch.shape[1] == 4:
            raise ValueError("damaged")
        return batch

    model = LoadedModel("c", (8, 8), 1, False, translate, {})
    batcher = Batcher()
    bad, good = (batcher.submit(model, np.zeros((side, side, 3), np.uint8)) for side in (4, 8))
    assert isinstance(bad.exception(60), ValueError) and good.result(60).shape == (8, 8, 3)
    batcher.close()


def test_requests_beyond_the_limit_are_refused_so_that_memory_is_bounded() -> None:
    began, go_on = threading.Event(), threading.Event()

    def translate(batch: np.ndarray) -> np.ndarray:
        began.set()
        go_on.wait(60)
        return batch

    model = LoadedModel("c", (8, 8), 1, False, translate, {})
    batcher = Batcher()
    picture = np.zeros((8, 8, 3), np.uint8)
    results = [batcher.submit(model, picture)]
    assert began.wait(60)
    results += [batcher.submit(model, picture) for _ in range(MAX_WAITING)]
    with pytest.raises(OverloadedError, match="try again"):
        batcher.submit(model, picture)
    go_on.set()
    assert all(result.result(60).shape == picture.shape for result in results)
    batcher.close()


def exchanged(site: Site, times: int) -> None:
    """Move `model@master` to and fro while clients translate: no request fails, and no model stays in memory."""
    loaded: list[weakref.ref[LoadedModel]] = []

    def load(folder: Path, commit: str) -> LoadedModel:
        model = inverting(folder, commit)
        loaded.append(weakref.ref(model))
        return model

    commits = [site.sets["first"], site.sets["second"]]
    with site.serve(load=load) as client, ThreadPoolExecutor(4) as pool:
        ready(client)
        stop = threading.Event()

        def translate() -> set[str]:
            seen = set()
            while not stop.is_set():
                response = client.post("/api/translate", content=png(COLOUR))
                assert response.status_code == 200 and (pixels(response.content) == INVERTED).all()
                seen.add(response.headers["x-model-commit"])
            return seen

        clients = [pool.submit(translate) for _ in range(4)]
        for number in range(times):
            promote(site.client, commits[number % 2], 2e9 + number)
            while client.get("/api/model").json()["commit"] != commits[number % 2]:
                pass
        stop.set()
        assert set().union(*(each.result() for each in clients)) == set(commits)
        gc.collect()
        assert len(loaded) == times + 1 and sum(reference() is not None for reference in loaded) <= 2


def test_the_model_is_exchanged_without_a_failed_request(changing: Site) -> None:
    exchanged(changing, 6)


@pytest.mark.long
def test_a_thousand_exchanges_fail_no_request_and_keep_no_model(
    changing: Site, volume: Callable[[int, int], int]
) -> None:
    exchanged(changing, volume(1000, 6))


def test_a_model_that_cannot_be_loaded_leaves_the_earlier_one_in_use(changing: Site) -> None:
    from pix2pix.errors import InputError

    damaged = changing.sets["first"]

    def load(folder: Path, commit: str) -> LoadedModel:
        if commit == damaged:
            raise InputError("the model is damaged; export it again")
        return inverting(folder, commit)

    with changing.serve(load=load) as client:
        ready(client)
        promote(changing.client, damaged, 2e9)
        while not client.get("/api/model").json()["problem"]:
            pass
        assert client.post("/api/translate", content=png()).headers["x-model-commit"] == changing.sets["second"]


def test_a_head_without_a_model_loads_none(empty: Site) -> None:
    backend = Backend(empty.target)
    models = ModelInUse(backend, inverting)
    assert models.refresh() is False and models.model is None
    backend.close()
    assert head(empty.client, MODEL).state == "good"


def test_a_model_that_its_commit_did_not_record_is_not_loaded(changing: Site) -> None:
    loaded: list[str] = []

    def load(folder: Path, commit: str) -> LoadedModel:
        loaded.append(commit)
        return inverting(folder, commit)

    planted = changing.put(BranchName(MODEL.repo, "planted"), {"/1/saved_model.pb": b"a program"})
    promote(changing.client, planted, 2e9)
    backend = Backend(changing.target)
    with pytest.raises(PermanentError, match="no record of the stage export"):
        ModelInUse(backend, load).refresh()
    backend.close()
    assert loaded == []
