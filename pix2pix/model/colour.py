"""Conversion between uint8 RGB pictures and network values in [-1, 1], inside the graph.

Colorization works in CIE Lab under D65.
"""

from __future__ import annotations

import tensorflow as tf

from pix2pix.tensorflow import Tensor

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, as in JPEG and in Pillow's mode L."""
RGB_TO_XYZ = (
    (0.412453, 0.212671, 0.019334),
    (0.357580, 0.715160, 0.119193),
    (0.180423, 0.072169, 0.950227),
)
"""sRGB primaries under D65; rows are R, G, B."""
XYZ_TO_RGB = (
    (3.2404542, -0.9692660, 0.0556434),
    (-1.5371385, 1.8760108, -0.2040259),
    (-0.4985314, 0.0415560, 1.0572252),
)
"""The inverse; rows are X, Y, Z."""
WHITE = (0.950456, 1.0, 1.088754)
"""The white point D65, XYZ."""
DELTA = 6 / 29
"""Root of the value at which CIE Lab's cube root turns into a line."""
AB_RANGE = 110.0
"""Lab's a and b of sRGB colours lie within plus or minus this."""


def to_network(picture: Tensor, channels: int) -> Tensor:
    """Convert uint8 RGB ``[..., 3]`` to float32 in [-1, 1]: RGB for 3 channels, luma for 1."""
    values = tf.cast(picture, tf.float32)
    if channels == 1:
        values = tf.reduce_sum(values * tf.constant(LUMA), axis=-1, keepdims=True)
    return values / 127.5 - 1


def to_picture(values: Tensor) -> Tensor:
    """Convert floats in [-1, 1] to uint8, rounded to the nearest of 0 to 255."""
    return to_levels((tf.cast(values, tf.float32) + 1) * 127.5)


def to_levels(values: Tensor) -> Tensor:
    """Convert floats to uint8, rounded to the nearest of 0 to 255 and clipped."""
    # Not tf.saturate_cast: TensorFlow Lite has no such operation.
    return tf.cast(tf.round(tf.minimum(tf.maximum(values, 0.0), 255.0)), tf.uint8)


def split_lab(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Convert uint8 sRGB ``[..., 3]`` to L ``[..., 1]`` and a, b ``[..., 2]``, float32 in [-1, 1]."""
    srgb = tf.cast(picture, tf.float32) / 255
    linear = tf.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    xyz = tf.tensordot(linear, tf.constant(RGB_TO_XYZ), 1) / tf.constant(WHITE)
    root = tf.where(xyz <= DELTA**3, xyz / (3 * DELTA**2) + 4 / 29, tf.maximum(xyz, 1e-6) ** (1 / 3))
    x, y, z = tf.unstack(root, axis=-1)
    lightness = 116 * y - 16
    # L is 0 to 100.
    return lightness[..., None] / 50 - 1, tf.stack([500 * (x - y), 200 * (y - z)], axis=-1) / AB_RANGE


def join_lab(lightness: Tensor, ab: Tensor) -> Tensor:
    """Convert L ``[..., 1]`` and a, b ``[..., 2]``, in [-1, 1], to uint8 sRGB ``[..., 3]``, clipped to its gamut."""
    y = ((lightness[..., 0] + 1) * 50 + 16) / 116
    x = y + ab[..., 0] * AB_RANGE / 500
    z = y - ab[..., 1] * AB_RANGE / 200
    root = tf.stack([x, y, z], axis=-1)
    xyz = tf.where(root > DELTA, root**3, 3 * DELTA**2 * (root - 4 / 29)) * tf.constant(WHITE)
    linear = tf.minimum(tf.maximum(tf.tensordot(xyz, tf.constant(XYZ_TO_RGB), 1), 0.0), 1.0)
    srgb = tf.where(linear <= 0.0031308, linear * 12.92, 1.055 * tf.maximum(linear, 1e-6) ** (1 / 2.4) - 0.055)
    return to_levels(srgb * 255)
