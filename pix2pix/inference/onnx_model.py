"""Writes a generator as an ONNX model: uint8 pictures in, uint8 pictures out, without dropout.

The network is written layer by layer rather than converted from TensorFlow's graph: the model holds standard operations
of opset 17 alone, under the names of the layers, and no converter has to know this version of TensorFlow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pix2pix.errors import HyperparameterError
from pix2pix.hyperparameters import TrainParameters
from pix2pix.model.colour import LUMA
from pix2pix.model.networks import EPSILON, SLOPE, Layer, generator_layers
from pix2pix.training.checkpoints import Arrays

OPSET = 17
"""Version of ONNX's operations."""
IR_VERSION = 8
"""Version of the file format that belongs to it."""
INSTALL = "pip install 'pix2pix-pipelines[onnx]'"


def onnx_model(parameters: TrainParameters, weights: Arrays) -> bytes:
    """Return the model: ``image``, uint8 ``[N, H, W, 3]``, to ``image_out``, uint8 ``[N, H, W, 3 or 1]``.

    H and W are multiples of 2^levels.

    Args:
        parameters: of the training.
        weights: of the generator.

    Raises:
        HyperparameterError: the package onnx is missing, or the model works in Lab colours, with the statistics of a
            batch, or with separable convolutions.
    """
    try:
        import onnx
    except ImportError as error:
        raise HyperparameterError(f"onnx = true needs the packages onnx and onnxruntime; {INSTALL}") from error
    refused = [
        f"{name} = {value}"
        for name, value, bad in (
            ("lab_colorization", "true", parameters.lab_colorization),
            ("norm", "'batch'", parameters.norm == "batch"),
            ("separable_conv", "true", parameters.separable_conv),
        )
        if bad
    ]
    if refused:
        raise HyperparameterError(
            f"onnx = true cannot export a model with {' and '.join(refused)}; set onnx = false, or use the SavedModel"
        )
    writer = _Writer(onnx)
    image = writer.add("Cast", ["image"], to=onnx.TensorProto.FLOAT)
    values = writer.add("Transpose", [image], perm=[0, 3, 1, 2])
    if parameters.input_channels == 1:
        luma = np.array(LUMA, np.float32).reshape(1, 3, 1, 1)
        values = writer.add("Conv", [values, writer.constant("luma", luma)])
    values = writer.add("Div", [values, writer.constant("half_range", np.float32(127.5))])
    values = writer.add("Sub", [values, writer.constant("one", np.float32(1))])
    values = _network(writer, generator_layers(parameters), weights, values)
    values = writer.add("Mul", [writer.add("Add", [values, "one"]), "half_range"])
    bounds = [writer.constant("lowest", np.float32(0)), writer.constant("highest", np.float32(255))]
    values = writer.add("Round", [writer.add("Clip", [values, *bounds])])
    levels = writer.add("Cast", [values], to=onnx.TensorProto.UINT8)
    writer.add("Transpose", [levels], ["image_out"], perm=[0, 2, 3, 1])
    return writer.model(parameters)


def largest_difference(model: bytes, pictures: NDArray[np.uint8], expected: NDArray[np.uint8]) -> int:
    """Return by how many levels the model's outputs differ from those expected, at most.

    Args:
        model: as `onnx_model` returns it.
        pictures: uint8 ``[N, H, W, 3]``.
        expected: uint8 ``[N, H, W, 3 or 1]``.

    Raises:
        HyperparameterError: the package onnxruntime is missing.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise HyperparameterError(f"onnx = true needs the packages onnx and onnxruntime; {INSTALL}") from error
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    worst = 0
    for picture, wanted in zip(pictures, expected, strict=True):
        (found,) = session.run(None, {"image": picture[np.newaxis]})
        worst = max(worst, int(np.abs(found[0].astype(int) - wanted.astype(int)).max()))
    return worst


def _network(writer: _Writer, layers: list[Layer], weights: Arrays, values: str) -> str:
    """Add the U-Net, as `pix2pix.model.networks.Generator` computes it."""
    depth = len(layers) // 2
    skips: list[str] = []
    for layer in layers[:depth]:
        if layer.name != "e1":
            values = writer.add("LeakyRelu", [values], alpha=SLOPE)
            skips.append(values)
        values = _layer(writer, layer, weights, values)
    for layer in layers[depth:]:
        values = _layer(writer, layer, weights, writer.add("Relu", [values]))
        if skips:
            values = writer.add("Concat", [values, skips.pop()], axis=1)
    return writer.add("Tanh", [values])


def _layer(writer: _Writer, layer: Layer, weights: Arrays, values: str) -> str:
    """Add a convolution, and its normalization or bias."""
    kernel = weights[f"{layer.name}/kernel"]
    if kernel.shape[0] == 3:
        kernel = _spread(kernel)
    up = layer.kind == "upsample"
    # TensorFlow keeps a transposed kernel as [4, 4, out, in] and any other as [4, 4, in, out]; ONNX as [in, out, 4, 4]
    # and [out, in, 4, 4].
    name = writer.constant(f"{layer.name}/kernel", np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
    inputs = [values, name]
    if not layer.norm:
        inputs.append(writer.constant(f"{layer.name}/bias", weights[f"{layer.name}/bias"]))
    values = writer.add("ConvTranspose" if up else "Conv", inputs, strides=[2, 2], pads=[1, 1, 1, 1])
    if not layer.norm:
        return values
    scales = [writer.constant(f"{layer.name}/{part}", weights[f"{layer.name}/{part}"]) for part in ("gamma", "beta")]
    return writer.add("InstanceNormalization", [values, *scales], epsilon=EPSILON)


def _spread(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the kernel of a resizing layer as `pix2pix.model.convolutions.resizing_kernel` does."""
    wide = np.zeros((4, 4, *kernel.shape[2:]), np.float32)
    for row in (0, 1):
        for column in (0, 1):
            wide[row : row + 3, column : column + 3] += kernel
    return wide


class _Writer:
    """Collects the nodes and constants of a model."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, name: str, value: Any) -> str:
        self._constants.append(self._onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, operation: str, inputs: list[str], outputs: list[str] | None = None, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        outputs = outputs or [f"{operation.lower()}_{len(self._nodes)}"]
        self._nodes.append(self._onnx.helper.make_node(operation, inputs, outputs, **attributes))
        return outputs[0]

    def model(self, parameters: TrainParameters) -> bytes:
        helper, kind = self._onnx.helper, self._onnx.TensorProto.UINT8
        image = helper.make_tensor_value_info("image", kind, ["batch", "height", "width", 3])
        shape = ["batch", "height", "width", parameters.output_channels]
        output = helper.make_tensor_value_info("image_out", kind, shape)
        graph = helper.make_graph(self._nodes, "pix2pix", [image], [output], self._constants)
        opsets = [helper.make_opsetid("", OPSET)]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="pix2pix")
        self._onnx.checker.check_model(made)
        return bytes(made.SerializeToString(deterministic=True))
