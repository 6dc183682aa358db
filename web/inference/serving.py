"""The prediction requests of TensorFlow Serving's REST API and of the Open Inference Protocol version 2 (KServe).

Both take the signature ``image`` as uint8 ``[N, H, W, 3]``; TensorFlow Serving's also takes the default signature,
encoded pictures, as an exported model does.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from web.inference.model_in_use import LoadedModel
from web.inference.translate import Translation, TranslationService
from web.requests import MEBIBYTE, body_within

if TYPE_CHECKING:
    from pix2pix.images.codec import Pixels

NAME = "pix2pix"
MAX_BODY = 64 * MEBIBYTE
MAX_PICTURES = 16
"""Pictures of one request."""
MAX_VALUES = 16 * MEBIBYTE
"""Numbers of one request."""


class PredictRequest(msgspec.Struct):
    """TensorFlow Serving: rows as `instances`, or a column as `inputs`."""

    instances: list[Any] | None = None
    inputs: Any = None
    signature_name: str = "serving_default"


class InferTensor(msgspec.Struct):
    """An input of the Open Inference Protocol."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class InferRequest(msgspec.Struct):
    """A request of the Open Inference Protocol."""

    inputs: list[InferTensor]
    id: str | None = None


class Serving:
    """The endpoints.

    Args:
        service: translates.
    """

    def __init__(self, service: TranslationService) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Return the routes of both protocols."""
        model = f"/v1/models/{NAME}"
        return [
            Route(model, self.status),
            Route(f"{model}/metadata", self.signatures),
            Route(f"{model}:predict", self.predict, methods=["POST"]),
            Route("/v2", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            Route(f"/v2/models/{NAME}", self.metadata),
            Route(f"/v2/models/{NAME}/ready", self.ready),
            Route(f"/v2/models/{NAME}/infer", self.infer, methods=["POST"]),
        ]

    async def status(self, request: Request) -> Response:
        """TensorFlow Serving: the state of the model's version."""
        self._service.required()
        state = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        return JSONResponse({"model_version_status": [state]})

    async def signatures(self, request: Request) -> Response:
        """TensorFlow Serving: the model's signatures."""
        model = self._service.required()
        tensor = {"dtype": "DT_UINT8", "tensor_shape": {"dim": [{"size": str(n)} for n in (-1, -1, -1, 3)]}}
        text = {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": "-1"}]}}
        signatures = {
            "image": {"inputs": {"image": tensor}, "outputs": {"image": tensor}},
            "serving_default": {"inputs": {"image_bytes": text}, "outputs": {"image_bytes": text}},
        }
        spec = {"name": NAME, "signature_name": "", "version": "1"}
        metadata = {"signature_def": {"signature_def": signatures}, "commit": model.commit}
        return JSONResponse({"model_spec": spec, "metadata": metadata})

    async def predict(self, request: Request) -> Response:
        """TensorFlow Serving: translate pictures."""
        model = self._service.required()
        body = _decode(await body_within(request, MAX_BODY), PredictRequest)
        if (body.instances is None) == (body.inputs is None):
            raise HTTPException(400, "give either instances (rows) or inputs (a column)")
        rows = body.instances if body.instances is not None else _column(body.inputs)
        if body.signature_name == "serving_default":
            outputs = [{"b64": text} for text in await self._translate_encoded(model, rows)]
        elif body.signature_name == "image":
            pictures = [_pixels(_named(row, "image")) for row in rows]
            outputs = [translation.pixels.tolist() for translation in await self._translate(model, pictures)]
        else:
            raise HTTPException(400, f"signature {body.signature_name!r} is unknown; use serving_default or image")
        return JSONResponse({"predictions" if body.instances is not None else "outputs": outputs})

    async def server(self, request: Request) -> Response:
        """Open Inference Protocol: the server's metadata."""
        return JSONResponse({"name": NAME, "version": "2", "extensions": []})

    async def live(self, request: Request) -> Response:
        """Open Inference Protocol: the process answers."""
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        """Open Inference Protocol: a model is loaded."""
        ready = self._service.models.model is not None
        return JSONResponse({"name": NAME, "ready": ready}, 200 if ready else 503)

    async def metadata(self, request: Request) -> Response:
        """Open Inference Protocol: the model's inputs and outputs."""
        model = self._service.required()
        tensor = {"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}
        output = {"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, -1]}
        document = {"name": NAME, "versions": [model.commit], "platform": "tensorflow_savedmodel"}
        return JSONResponse({**document, "inputs": [tensor], "outputs": [output]})

    async def infer(self, request: Request) -> Response:
        """Open Inference Protocol: translate pictures."""
        model = self._service.required()
        body = _decode(await body_within(request, MAX_BODY), InferRequest)
        if len(body.inputs) != 1 or body.inputs[0].name != "image" or body.inputs[0].datatype != "UINT8":
            raise HTTPException(400, "give one input: name image, datatype UINT8, shape [N, H, W, 3]")
        tensor = body.inputs[0]
        pictures = _tensor(tensor.shape, tensor.data)
        translations = await self._translate(model, list(pictures))
        output = _stacked(translations)
        document = {"model_name": NAME, "model_version": model.commit} | ({"id": body.id} if body.id else {})
        flat = {"name": "image", "datatype": "UINT8", "shape": list(output.shape), "data": output.ravel().tolist()}
        return JSONResponse({**document, "outputs": [flat]})

    async def _translate(self, model: LoadedModel, pictures: list[Pixels]) -> list[Translation]:
        _check_count(len(pictures))
        return list(await asyncio.gather(*(self._service.translate(model, picture) for picture in pictures)))

    async def _translate_encoded(self, model: LoadedModel, rows: list[Any]) -> list[str]:
        from pix2pix.images.codec import png_bytes

        _check_count(len(rows))
        files = [_bytes(_named(row, "image_bytes")) for row in rows]
        translations = await asyncio.gather(*(self._service.translate_file(data, model=model) for data in files))
        return [base64.b64encode(png_bytes(translation.pixels)).decode() for translation in translations]


def _decode(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, f"the body cannot be read: {error}") from error


def _column(inputs: Any) -> list[Any]:
    """Return the rows of a column: ``{"image": [...]}`` or the list itself."""
    if isinstance(inputs, dict) and len(inputs) == 1:
        ((name, values),) = inputs.items()
        if isinstance(values, list):
            return [{name: value} for value in values]
    if isinstance(inputs, list):
        return inputs
    raise HTTPException(400, 'inputs: give a list, or an object of one name, for example {"image": [...]}')


def _named(row: Any, name: str) -> Any:
    """Return a row's value: the row itself, or the one under the input's name."""
    return row[name] if isinstance(row, dict) and set(row) == {name} else row


def _check_count(count: int) -> None:
    if not 0 < count <= MAX_PICTURES:
        raise HTTPException(400, f"{count} pictures; send 1 to {MAX_PICTURES}")


def _bytes(value: Any) -> bytes:
    if isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise HTTPException(400, f"b64 is not base64: {error}") from error
    raise HTTPException(400, 'a picture of serving_default is {"b64": "..."}')


def _pixels(value: Any) -> Pixels:
    """Return one picture, uint8 ``[H, W, 3]``, of nested lists."""
    import numpy as np

    try:
        array = np.asarray(value)
    except ValueError as error:
        raise HTTPException(400, f"a picture is [H][W][3] integers of 0 to 255: {error}") from error
    if array.ndim != 3 or array.shape[-1] != 3 or not array.size:
        raise HTTPException(400, f"a picture is [H][W][3] integers of 0 to 255, and this one has {array.shape}")
    return _levels(array)


def _tensor(shape: list[int], data: list[Any]) -> Pixels:
    """Return pictures, uint8 ``[N, H, W, 3]``, of flat or nested data."""
    import numpy as np

    if len(shape) != 4 or shape[-1] != 3 or min(shape) < 1 or math.prod(shape) > MAX_VALUES:
        raise HTTPException(400, f"shape {shape[:8]}: use [N, H, W, 3], at most {MAX_VALUES} values in all")
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise HTTPException(400, f"data has no regular shape: {error}") from error
    if array.size != math.prod(shape):
        raise HTTPException(400, f"data has {array.size} values, and the shape {shape} has {math.prod(shape)}")
    return _levels(array.reshape(shape))


def _levels(array: Any) -> Pixels:
    import numpy as np

    if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > 255:
        raise HTTPException(400, "values must be integers of 0 to 255")
    return array.astype(np.uint8)


def _stacked(translations: list[Translation]) -> Pixels:
    import numpy as np

    return np.stack([translation.pixels for translation in translations])
