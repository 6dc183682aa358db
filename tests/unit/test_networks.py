"""Every layer is as in the paper, but for the differences that `pix2pix.model.networks` states."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tensorflow as tf
from tiny_model import tiny

from pix2pix.hyperparameters import TrainParameters, resolve
from pix2pix.model.convolutions import downsample, upsample
from pix2pix.model.networks import (
    Discriminator,
    Generator,
    discriminator_layers,
    generator_layers,
    is_deep,
    parameter_count,
)


def pictures(*shape: int, seed: int = 1):
    return tf.random.stateless_uniform(shape, [seed, 2], -1.0, 1.0)


def test_the_networks_at_256_pixels_have_the_weights_of_the_paper_less_the_redundant_biases():
    assert parameter_count(generator_layers(resolve("train", {"preset": "paper"}))) == 54_414_531
    assert parameter_count(discriminator_layers(TrainParameters())) == 2_768_705


def test_the_generator_has_the_layers_of_the_paper():
    table = [
        (layer.name, layer.inputs, layer.outputs, layer.norm, layer.dropout)
        for layer in generator_layers(TrainParameters())
    ]
    assert table == [
        ("e1", 3, 64, False, False),
        ("e2", 64, 128, True, False),
        ("e3", 128, 256, True, False),
        ("e4", 256, 512, True, False),
        ("e5", 512, 512, True, False),
        ("e6", 512, 512, True, False),
        ("e7", 512, 512, True, False),
        ("e8", 512, 512, False, False),
        ("d8", 512, 512, True, True),
        ("d7", 1024, 512, True, True),
        ("d6", 1024, 512, True, True),
        ("d5", 1024, 512, True, False),
        ("d4", 1024, 256, True, False),
        ("d3", 512, 128, True, False),
        ("d2", 256, 64, True, False),
        ("d1", 128, 3, False, False),
    ]


def test_the_discriminator_has_the_layers_of_the_paper():
    table = [
        (layer.name, layer.kind, layer.inputs, layer.outputs, layer.norm)
        for layer in discriminator_layers(TrainParameters())
    ]
    assert table == [
        ("l1", "downsample", 6, 64, False),
        ("l2", "downsample", 64, 128, True),
        ("l3", "downsample", 128, 256, True),
        ("l4", "conv4", 256, 512, True),
        ("l5", "conv4", 512, 1, False),
    ]


@pytest.mark.parametrize(("size", "levels"), [(32, 5), (64, 6), (128, 7), (512, 9), (1024, 10)])
def test_a_power_of_two_is_downsampled_to_one_pixel(size, levels):
    assert len(generator_layers(TrainParameters(size=size))) == 2 * levels


def test_the_variables_are_those_of_the_table():
    for changes in ({}, {"separable_conv": True}, {"norm": "none"}):
        parameters = tiny(**changes)
        count = sum(int(tf.size(v)) for v in Generator(parameters, 1).weights.values())
        assert count == parameter_count(generator_layers(parameters), parameters.separable_conv)


def test_weights_are_drawn_as_in_the_paper_and_differ_between_seeds_and_layers():
    weights = Generator(resolve("train", {"size": 64, "ngf": 16}), 1).weights
    kernel = weights["e4/kernel"].numpy()
    assert abs(kernel.mean()) < 1e-3
    assert kernel.std() == pytest.approx(0.02, rel=0.02)
    assert weights["e2/gamma"].numpy().mean() == pytest.approx(1, abs=0.02)
    assert not weights["e1/bias"].numpy().any()
    other = Generator(resolve("train", {"size": 64, "ngf": 16}), 2).weights["e4/kernel"].numpy()
    assert not np.array_equal(kernel, other)
    assert not np.array_equal(weights["e5/kernel"].numpy(), weights["e6/kernel"].numpy())


@pytest.mark.parametrize(("layers", "field"), [(0, 1), (1, 16), (2, 34), (3, 70)])
def test_a_patch_of_the_discriminator_sees_the_field_of_the_paper(layers, field):
    size = 128
    network = Discriminator(
        resolve("train", {"size": size, "ndf": 2, "discriminator_layers": layers, "norm": "none"}), 1
    )
    x, y = pictures(1, size, size, 3), tf.Variable(pictures(1, size, size, 3, seed=2))
    with tf.GradientTape() as tape:
        logits = network(x, y)
        middle = logits[0, logits.shape[1] // 2, logits.shape[2] // 2, 0]
    rows = np.flatnonzero(np.abs(tape.gradient(middle, y).numpy()).sum((0, 2, 3)))
    assert rows[-1] - rows[0] + 1 == field
    assert len(rows) == field


def test_the_bottleneck_learns_at_batch_one():
    parameters = tiny(batch_size=1)
    network = Generator(parameters, 1)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(network(pictures(1, 32, 32, 3)) * pictures(1, 32, 32, 3, seed=9))
    inner = [network.weights["e5/kernel"], network.weights["d5/kernel"]]
    assert all(float(tf.reduce_max(tf.abs(g))) > 1e-6 for g in tape.gradient(total, inner))


def test_an_output_does_not_depend_on_the_rest_of_the_batch():
    network = Generator(tiny(), 1)
    batch = pictures(5, 32, 32, 3)
    alone = np.concatenate([network(batch[n : n + 1]) for n in range(5)])
    np.testing.assert_allclose(network(batch), alone, atol=1e-6)


def test_the_matrix_form_of_a_layer_gives_the_same_values_and_gradients():
    for convolve, shape in ((downsample, (4, 4, 3, 5)), (upsample, (4, 4, 5, 3)), (upsample, (3, 3, 5, 3))):
        x, kernel = tf.Variable(pictures(2, 6, 4, 3)), tf.Variable(pictures(*shape, seed=3))
        found = []
        for matrix in (False, True):
            with tf.GradientTape() as tape:
                y = convolve(x, kernel, matrix)
                total = tf.reduce_sum(y * pictures(*y.shape, seed=7))
            found.append((y, *tape.gradient(total, [x, kernel])))
        for direct, product in zip(*found, strict=True):
            np.testing.assert_allclose(direct, product, atol=1e-4)


def test_a_resizing_layer_doubles_the_size_and_convolves():
    x, kernel = pictures(2, 6, 4, 3), pictures(3, 3, 5, 3, seed=3)
    doubled = tf.repeat(tf.repeat(x, 2, 1), 2, 2)
    turned = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
    expected = tf.nn.conv2d(doubled, turned, 1, "SAME")
    for matrix in (False, True):
        np.testing.assert_allclose(upsample(x, kernel, matrix), expected, atol=1e-5)


def test_a_resizing_layer_makes_no_checkerboard_of_a_flat_area_and_a_transposed_one_does():
    flat = tf.ones([1, 8, 8, 3])
    inside = upsample(flat, pictures(3, 3, 2, 3), False).numpy()[0, 2:-2, 2:-2]
    np.testing.assert_allclose(inside, np.broadcast_to(inside[:1, :1], inside.shape), atol=1e-5)
    assert upsample(flat, pictures(4, 4, 2, 3), False).numpy()[0, 2:-2, 2:-2].std((0, 1)).min() > 0.1


@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
def test_a_network_computes_the_same_when_it_is_served(upsampling):
    network = Generator(tiny(upsampling=upsampling, ngf=32), 1, matrix=True)
    x = pictures(2, 32, 32, 3)
    before = network(x)
    network.to_serve(tf.float32)
    np.testing.assert_allclose(network(x), before, atol=1e-5)


def test_the_matrix_form_is_used_for_deep_layers_and_changes_no_result():
    deep = [layer.name for layer in generator_layers(TrainParameters()) if is_deep(layer)]
    assert deep == ["e5", "e6", "e7", "e8", "d8", "d7", "d6", "d5"]
    parameters = tiny(ngf=64)
    plain, matrix = Generator(parameters, 1), Generator(parameters, 1, matrix=True)
    x, toward = pictures(2, 32, 32, 3), pictures(2, 32, 32, 3, seed=4)
    gradients = []
    for network in (plain, matrix):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(network(x) * toward)
        gradients.append(tape.gradient(total, network.variables_list()))
    np.testing.assert_allclose(plain(x), matrix(x), atol=2e-5)
    for direct, product in zip(*gradients, strict=True):
        np.testing.assert_allclose(direct, product, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("size", "width"), [(32, 64), (64, 32), (48, 80)])
def test_pictures_need_not_be_square(size, width):
    parameters = resolve("train", {"size": size, "width": width, "ngf": 2, "ndf": 2, "discriminator_layers": 2})
    x = pictures(1, size, width, 3)
    assert Generator(parameters, 1)(x).shape == (1, size, width, 3)
    assert Discriminator(parameters, 1)(x, x).shape == (1, size // 4 - 2, width // 4 - 2, 1)


def test_a_generator_takes_other_multiples_than_its_training_size():
    for matrix in (False, True):
        assert Generator(tiny(), 1, matrix)(pictures(1, 64, 96, 3)).shape == (1, 64, 96, 3)


@pytest.mark.parametrize(
    ("changes", "inputs", "outputs"),
    [({"in_channels": 1}, 1, 3), ({"out_channels": 1}, 3, 1), ({"lab_colorization": True}, 1, 2), ({}, 3, 3)],
)
def test_channels_are_those_of_the_parameters(changes, inputs, outputs):
    parameters = tiny(**changes)
    x = pictures(1, 32, 32, inputs)
    y = Generator(parameters, 1)(x)
    assert y.shape == (1, 32, 32, outputs)
    assert Discriminator(parameters, 1).weights["l1/kernel"].shape[2] == inputs + outputs


def test_an_unconditional_discriminator_does_not_see_the_input():
    network = Discriminator(tiny(condition_discriminator=False), 1)
    y = pictures(1, 32, 32, 3)
    np.testing.assert_array_equal(network(y, y), network(-y, y))
    conditional = Discriminator(tiny(), 1)
    assert not np.array_equal(conditional(y, y), conditional(-y, y))


def test_norm_decides_whose_statistics_are_used():
    batch = pictures(2, 32, 32, 3)
    moved = tf.concat([batch[:1], batch[1:] * 0.1], 0)

    def first(norm: str, x):
        return Generator(tiny(norm=norm), 1)(x)[0].numpy()

    assert np.abs(first("instance", batch) - first("instance", moved)).max() < 1e-6
    assert np.abs(first("batch", batch) - first("batch", moved)).max() > 1e-4
    assert np.abs(first("none", batch) - first("none", moved)).max() < 1e-6
    assert not any("gamma" in name for name in Generator(tiny(norm="none"), 1).weights)


def test_dropout_belongs_to_the_picture_and_is_the_same_in_any_batch():
    network = Generator(tiny(), 1)
    x = pictures(1, 32, 32, 3)
    seeds = tf.constant([[1, 5], [1, 6]])
    both = network(tf.repeat(x, 2, 0), seeds)
    assert np.abs(both[0] - both[1]).max() > 1e-4
    np.testing.assert_allclose(both[1:], network(x, seeds[1:]), atol=1e-6)
    assert np.abs(both[0] - network(x)[0]).max() > 1e-4
    np.testing.assert_array_equal(Generator(tiny(dropout=0.0), 1)(x, seeds[:1]), network(x))


def test_separable_convolutions_have_far_fewer_weights():
    layers = generator_layers(TrainParameters())
    assert parameter_count(layers, separable=True) < parameter_count(layers) / 6
    parameters = tiny(separable_conv=True)
    assert Generator(parameters, 1)(pictures(1, 32, 32, 3)).shape == (1, 32, 32, 3)


@pytest.mark.skipif(
    os.environ.get("ONEDNN_MAX_CPU_ISA") in ("SSE41", "AVX2"),
    reason="TensorFlow checks the CPU, not the limited oneDNN, for bfloat16",
)
def test_activations_can_be_bfloat16_and_the_output_is_float32():
    network = Generator(tiny(), 1)
    x = pictures(1, 32, 32, 3)
    y = network(tf.cast(x, tf.bfloat16))
    assert y.dtype == tf.float32
    assert 0 < np.abs(y - network(x)).max() < 0.1
