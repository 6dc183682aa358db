"""pix2pix in plain Keras 3, in the manner of TensorFlow's tutorial: standard layers, optimizers and defaults."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

Run = Callable[[], object]
SPREAD = keras.initializers.RandomNormal(0.0, 0.02, seed=1)


def down(filters: int, norm: bool = True) -> keras.Sequential:
    """Return a block that halves height and width."""
    block = keras.Sequential([keras.layers.Conv2D(filters, 4, 2, "same", kernel_initializer=SPREAD, use_bias=False)])
    if norm:
        block.add(keras.layers.BatchNormalization())
    block.add(keras.layers.LeakyReLU())
    return block


def up(filters: int, dropout: bool = False) -> keras.Sequential:
    """Return a block that doubles height and width."""
    layer = keras.layers.Conv2DTranspose(filters, 4, 2, "same", kernel_initializer=SPREAD, use_bias=False)
    block = keras.Sequential([layer, keras.layers.BatchNormalization()])
    if dropout:
        block.add(keras.layers.Dropout(0.5))
    block.add(keras.layers.ReLU())
    return block


def generator(size: int, filters: int) -> keras.Model:
    """Return the U-Net."""
    depth = size.bit_length() - 1
    widths = [filters * min(2**i, 8) for i in range(depth)]
    inputs = x = keras.layers.Input([size, size, 3])
    skips = []
    for n, width in enumerate(widths):
        x = down(width, norm=n > 0)(x)
        skips.append(x)
    for n, width in enumerate(reversed(widths[:-1])):
        x = keras.layers.Concatenate()([up(width, dropout=n < 3)(x), skips[-2 - n]])
    last = keras.layers.Conv2DTranspose(3, 4, 2, "same", kernel_initializer=SPREAD, activation="tanh")
    return keras.Model(inputs, last(x))


def discriminator(size: int, filters: int) -> keras.Model:
    """Return the 70x70 PatchGAN."""
    a, b = keras.layers.Input([size, size, 3]), keras.layers.Input([size, size, 3])
    x = keras.layers.Concatenate()([a, b])
    for n in range(3):
        x = down(filters * 2**n, norm=n > 0)(x)
    x = keras.layers.ZeroPadding2D()(x)
    x = keras.layers.Conv2D(filters * 8, 4, kernel_initializer=SPREAD, use_bias=False)(x)
    x = keras.layers.LeakyReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Conv2D(1, 4, kernel_initializer=SPREAD)(keras.layers.ZeroPadding2D()(x))
    return keras.Model([a, b], x)


def step(batch: int = 1, size: int = 256, filters: int = 64) -> Run:
    """Return one training step."""
    compiled = training_step(generator(size, filters), discriminator(size, filters))
    draw = np.random.default_rng(0)
    x, y = (tf.constant(draw.uniform(-1, 1, (batch, size, size, 3)), tf.float32) for _ in range(2))
    return lambda: compiled(x, y).numpy()


def training_step(g: keras.Model, d: keras.Model) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return the function that learns from inputs and targets, float32 ``[N, H, W, 3]`` in [-1, 1]."""
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    g_adam, d_adam = (keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2))

    @tf.function
    def train_step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as g_tape, tf.GradientTape() as d_tape:
            fake_y = g(x, training=True)
            real, fake = d([x, y], training=True), d([x, fake_y], training=True)
            g_loss = entropy(tf.ones_like(fake), fake) + 100 * tf.reduce_mean(tf.abs(y - fake_y))
            d_loss = entropy(tf.ones_like(real), real) + entropy(tf.zeros_like(fake), fake)
        g_adam.apply_gradients(zip(g_tape.gradient(g_loss, g.trainable_variables), g.trainable_variables, strict=True))
        d_adam.apply_gradients(zip(d_tape.gradient(d_loss, d.trainable_variables), d.trainable_variables, strict=True))
        return g_loss

    return train_step


def generate(batch: int = 8, size: int = 256, filters: int = 64) -> Run:
    """Return the generation of a batch, with the batch's own statistics as in the tutorial."""
    g = generator(size, filters)
    x = tf.constant(np.random.default_rng(0).uniform(-1, 1, (batch, size, size, 3)), tf.float32)
    compiled = tf.function(lambda x: g(x, training=True))
    return lambda: compiled(x).numpy()
