"""Writes a generator as an ONNX model: uint8 pictures in, uint8 pictures out, without dropout.

The network is written layer by layer rather than converted from TensorFlow's graph: the model holds standard operations
of opset 17 alone, under the names of the layers, and no converter has to know this version of TensorFlow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, checker, helper, numpy_helper

from pix2pix.hyperparameters import TrainParameters
from pix2pix.model.colour import AB_RANGE, DELTA, LUMA, RGB_TO_XYZ, WHITE, XYZ_TO_RGB
from pix2pix.model.networks import EPSILON, SLOPE, Layer, generator_layers
from pix2pix.training.checkpoints import Arrays

OPSET = 17
"""Version of ONNX's operations."""
IR_VERSION = 8
"""Version of the file format that belongs to it."""
MOST_BYTES = 2**31 - 2**24
"""Bytes of 32-bit weights at most; protobuf holds 2 GiB, the rest of a model included."""
REPEAT: dict[str, Any] = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
"""Attributes of a resizing that repeats each pixel."""


def onnx_model(parameters: TrainParameters, weights: Arrays, half: bool = False) -> bytes:
    """Return the model: ``image``, uint8 ``[N, H, W, 3]``, to ``image_out``, uint8 ``[N, H, W, 3 or 1]``.

    H and W are multiples of 2^levels.

    Args:
        parameters: of the training.
        weights: of the generator.
        half: whether kernels and biases are kept as 16-bit floats; computation stays 32-bit.
    """
    writer = _Writer(half)
    image = writer.add("Cast", ["image"], to=TensorProto.FLOAT)
    pictures = writer.add("Transpose", [image], perm=[0, 3, 1, 2])
    levels = (_colourized if parameters.lab_colorization else _translated)(writer, parameters, weights, pictures)
    rounded = writer.add("Round", [writer.add("Clip", [levels, writer.scalar(0), writer.scalar(255)])])
    writer.add("Transpose", [writer.add("Cast", [rounded], to=TensorProto.UINT8)], "image_out", perm=[0, 2, 3, 1])
    return writer.model(parameters)


def largest_difference(model: bytes, pictures: NDArray[np.uint8], expected: NDArray[np.uint8]) -> int:
    """Return by how many levels the model's outputs differ from those expected, at most.

    Args:
        model: as `onnx_model` returns it.
        pictures: uint8 ``[N, H, W, 3]``.
        expected: uint8 ``[N, H, W, 3 or 1]``.
    """
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    worst = 0
    for picture, wanted in zip(pictures, expected, strict=True):
        (found,) = session.run(None, {"image": picture[np.newaxis]})
        worst = max(worst, int(np.abs(found[0].astype(int) - wanted.astype(int)).max()))
    return worst


def _translated(writer: _Writer, parameters: TrainParameters, weights: Arrays, pictures: str) -> str:
    """Add the translation of float ``[N, 3, H, W]`` in 0 to 255 to the like, as `pix2pix.model.translation` does."""
    if parameters.input_channels == 1:
        pictures = _mix(writer, "luma", [LUMA], pictures)
    half, one = writer.scalar(127.5), writer.scalar(1)
    values = writer.add("Sub", [writer.add("Div", [pictures, half]), one])
    values = _network(writer, parameters, weights, values)
    return writer.add("Mul", [writer.add("Add", [values, one]), half])


def _colourized(writer: _Writer, parameters: TrainParameters, weights: Arrays, pictures: str) -> str:
    """Add the colourization of float ``[N, 3, H, W]`` in 0 to 255, by way of Lab as `pix2pix.model.colour`."""
    root = _luminance_root(writer, pictures)
    # L = 116 root - 16, which is 0 to 100; the network takes -1 to 1.
    lightness = writer.add("Sub", [writer.add("Mul", [root, writer.scalar(116 / 50)]), writer.scalar(16 / 50 + 1)])
    return _joined(writer, root, _network(writer, parameters, weights, lightness))


def _luminance_root(writer: _Writer, pictures: str) -> str:
    """Add the conversion of sRGB ``[N, 3, H, W]`` in 0 to 255 to Lab's root of the luminance, ``[N, 1, H, W]``."""
    scalar, add = writer.scalar, writer.add
    srgb = add("Div", [pictures, scalar(255)])
    curved = add("Pow", [add("Div", [add("Add", [srgb, scalar(0.055)]), scalar(1.055)]), scalar(2.4)])
    dark = add("LessOrEqual", [srgb, scalar(0.04045)])
    linear = add("Where", [dark, add("Div", [srgb, scalar(12.92)]), curved])
    luminance = _mix(writer, "rgb_to_y", [[row[1] / WHITE[1] for row in RGB_TO_XYZ]], linear)
    straight = add("Add", [add("Div", [luminance, scalar(3 * DELTA**2)]), scalar(4 / 29)])
    curved = add("Pow", [add("Max", [luminance, scalar(1e-6)]), scalar(1 / 3)])
    return add("Where", [add("LessOrEqual", [luminance, scalar(DELTA**3)]), straight, curved])


def _joined(writer: _Writer, root: str, ab: str) -> str:
    """Add the conversion of Lab's root of the luminance and of a and b in [-1, 1] to sRGB in 0 to 255."""
    scalar, add = writer.scalar, writer.add
    to_roots = [[1, AB_RANGE / 500, 0], [1, 0, 0], [1, 0, -AB_RANGE / 200]]
    roots = _mix(writer, "ab_to_xyz", to_roots, add("Concat", [root, ab], axis=1))
    straight = add("Mul", [add("Sub", [roots, scalar(4 / 29)]), scalar(3 * DELTA**2)])
    xyz = add("Where", [add("Greater", [roots, scalar(DELTA)]), add("Pow", [roots, scalar(3)]), straight])
    to_rgb = np.transpose(np.array(XYZ_TO_RGB) * np.array(WHITE)[:, np.newaxis])
    linear = add("Clip", [_mix(writer, "xyz_to_rgb", to_rgb, xyz), scalar(0), scalar(1)])
    curved = add("Pow", [add("Max", [linear, scalar(1e-6)]), scalar(1 / 2.4)])
    curved = add("Sub", [add("Mul", [curved, scalar(1.055)]), scalar(0.055)])
    dark = add("LessOrEqual", [linear, scalar(0.0031308)])
    return add("Mul", [add("Where", [dark, add("Mul", [linear, scalar(12.92)]), curved]), scalar(255)])


def _mix(writer: _Writer, name: str, rows: Any, values: str) -> str:
    """Add channels that are weighted sums of the channels of ``values``, one for each row of weights."""
    kernel = np.array(rows, np.float32)[:, :, np.newaxis, np.newaxis]
    return writer.add("Conv", [values, writer.constant(name, kernel)])


def _network(writer: _Writer, parameters: TrainParameters, weights: Arrays, values: str) -> str:
    """Add the U-Net, as `pix2pix.model.networks.Generator` computes it."""
    layers = generator_layers(parameters)
    normalize = _normalize_by_batch if parameters.norm == "batch" else _normalize_by_instance
    skips: list[str] = []
    for layer in layers:
        if layer.kind == "upsample":
            values = writer.add("Relu", [values])
        elif layer.name != "e1":
            values = writer.add("LeakyRelu", [values], alpha=SLOPE)
            skips.append(values)
        values = _convolve(writer, layer, weights, values)
        if layer.norm:
            values = normalize(writer, layer, weights, values)
        if layer.kind == "upsample" and skips:
            values = writer.add("Concat", [values, skips.pop()], axis=1)
    return writer.add("Tanh", [values])


def _convolve(writer: _Writer, layer: Layer, weights: Arrays, values: str) -> str:
    """Add a convolution, and its bias if no normalization follows."""
    kernel, depthwise = weights[f"{layer.name}/kernel"], weights.get(f"{layer.name}/depthwise")
    up = layer.kind == "upsample"
    window: dict[str, Any] = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    if depthwise is not None:
        if up:
            scales = writer.constant("twice", [1, 1, 2, 2])
            values = writer.add("Resize", [values, "", scales], mode="nearest", **REPEAT)
            # TensorFlow's padding "SAME" of an even kernel with stride 1 is one pixel wider at the far edges.
            window = {"strides": [1, 1], "pads": [1, 1, 2, 2]}
        grouped = writer.weight(f"{layer.name}/depthwise", depthwise.transpose(2, 3, 0, 1))
        values = writer.add("Conv", [values, grouped], group=layer.inputs, **window)
        window = {}
    if kernel.shape[0] == 3:
        kernel = _spread(kernel)
    # TensorFlow keeps a transposed kernel as [4, 4, out, in] and any other as [4, 4, in, out]; ONNX as [in, out, 4, 4]
    # and [out, in, 4, 4].
    inputs = [values, writer.weight(f"{layer.name}/kernel", kernel.transpose(3, 2, 0, 1))]
    if not layer.norm:
        inputs.append(writer.weight(f"{layer.name}/bias", weights[f"{layer.name}/bias"]))
    return writer.add("ConvTranspose" if up and depthwise is None else "Conv", inputs, **window)


def _normalize_by_instance(writer: _Writer, layer: Layer, weights: Arrays, values: str) -> str:
    scales = [writer.constant(f"{layer.name}/{part}", weights[f"{layer.name}/{part}"]) for part in ("gamma", "beta")]
    return writer.add("InstanceNormalization", [values, *scales], epsilon=EPSILON)


def _normalize_by_batch(writer: _Writer, layer: Layer, weights: Arrays, values: str) -> str:
    """Add a normalization by the statistics of this batch, which ONNX's own, made for fixed ones, does not know."""
    gamma, beta = (
        writer.constant(f"{layer.name}/{part}", weights[f"{layer.name}/{part}"].reshape(1, -1, 1, 1))
        for part in ("gamma", "beta")
    )
    centred = writer.add("Sub", [values, writer.add("ReduceMean", [values], axes=[0, 2, 3])])
    variance = writer.add("ReduceMean", [writer.add("Mul", [centred, centred])], axes=[0, 2, 3])
    deviation = writer.add("Sqrt", [writer.add("Add", [variance, writer.scalar(EPSILON)])])
    return writer.add("Add", [writer.add("Mul", [writer.add("Div", [centred, deviation]), gamma]), beta])


def _spread(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the kernel of a resizing layer as `pix2pix.model.convolutions.resizing_kernel` does."""
    wide = np.zeros((4, 4, *kernel.shape[2:]), np.float32)
    for row in (0, 1):
        for column in (0, 1):
            wide[row : row + 3, column : column + 3] += kernel
    return wide


class _Writer:
    """Collects the nodes and constants of a model."""

    def __init__(self, half: bool) -> None:
        self._half = half
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def constant(self, name: str, value: Any) -> str:
        """Add a constant of 32-bit floats, unless there is one of this name; return the name."""
        if name not in self._constants:
            array = np.ascontiguousarray(value, np.float32).reshape(np.shape(value))
            self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def weight(self, name: str, value: NDArray[np.float32]) -> str:
        """Add a kernel or a bias, which is kept in 16 bits if the model's are; return the name of its 32-bit form."""
        if not self._half:
            return self.constant(name, value)
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value, np.float16), name)
        return self.add("Cast", [name], f"{name}/float32", to=TensorProto.FLOAT)

    def scalar(self, value: float) -> str:
        return self.constant(f"{value:.9g}", value)

    def add(self, operation: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        output = output or f"{operation.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operation, inputs, [output], **attributes))
        return output

    def model(self, parameters: TrainParameters) -> bytes:
        kind = TensorProto.UINT8
        image = helper.make_tensor_value_info("image", kind, ["batch", "height", "width", 3])
        channels = 3 if parameters.lab_colorization else parameters.output_channels
        shape = ["batch", "height", "width", channels]
        output = helper.make_tensor_value_info("image_out", kind, shape)
        graph = helper.make_graph(self._nodes, "pix2pix", [image], [output], list(self._constants.values()))
        opsets = [helper.make_opsetid("", OPSET)]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="pix2pix")
        checker.check_model(made)
        return bytes(made.SerializeToString(deterministic=True))
