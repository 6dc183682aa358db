"""The losses equal their formulas in NumPy, and stay finite where a logarithm would not."""

from __future__ import annotations

import numpy as np
import pytest

from pix2pix.model.losses import adversarial_loss, discriminator_loss, l1_loss

DRAW = np.random.default_rng(3)
REAL, FAKE = (DRAW.normal(0, 3, (2, 5, 4, 1)).astype(np.float32) for _ in range(2))


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


NUMPY = {
    "vanilla": (lambda r, f: -np.log(sigmoid(r)) - np.log(1 - sigmoid(f)), lambda f: -np.log(sigmoid(f))),
    "lsgan": (lambda r, f: (r - 1.0) ** 2 + f**2, lambda f: (f - 1.0) ** 2),
    "hinge": (lambda r, f: np.maximum(0, 1 - r) + np.maximum(0, 1 + f), lambda f: -f),
}


@pytest.mark.parametrize("mode", NUMPY)
def test_losses_equal_their_formulas_for_each_picture(mode):
    discriminator, adversarial = NUMPY[mode]
    np.testing.assert_allclose(
        discriminator_loss(mode, REAL, FAKE), discriminator(REAL, FAKE).mean((1, 2, 3)), rtol=2e-6
    )
    np.testing.assert_allclose(adversarial_loss(mode, FAKE), adversarial(FAKE).mean((1, 2, 3)), rtol=2e-6)


def test_l1_is_the_mean_absolute_difference_of_each_picture():
    np.testing.assert_allclose(l1_loss(REAL, FAKE), np.abs(REAL - FAKE).mean((1, 2, 3)), rtol=1e-6)


def test_the_loss_of_a_certain_discriminator_is_finite():
    certain = np.full((1, 2, 2, 1), 1e4, np.float32)
    assert float(discriminator_loss("vanilla", -certain, certain)[0]) == pytest.approx(2e4)
    assert float(adversarial_loss("vanilla", -certain)[0]) == pytest.approx(1e4)
