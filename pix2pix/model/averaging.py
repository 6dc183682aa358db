"""The average of the generator's weights over the steps of a training.

The average at step t weighs the weights of step s by s^g: its width grows with the training, so that one value suits
short and long ones and the number of steps need not be known (Karras et al., arXiv 2312.02696, section 3.1).
"""

from __future__ import annotations

import functools

import numpy as np

EVERY = 8
"""Steps between two updates of the average: it takes a pass over all weights."""
DENSE = 64
"""Number of the first steps, after each of which it is updated."""


def is_averaged(step: int) -> bool:
    """Return whether the average is updated after a step, counted from 1."""
    return step <= DENSE or step % EVERY == 0


def kept_share(width: float, step: int) -> float:
    """Return the weight of the old average in the one after a step for which `is_averaged` is true.

    Args:
        width: standard deviation of the average in steps, divided by the number of steps; above 0, below 0.29.
        step: counted from 1.
    """
    before = step - (1 if step <= DENSE else EVERY)
    return float((before / step) ** (_exponent(width) + 1))


@functools.cache
def _exponent(width: float) -> float:
    # Algorithm 2 of the paper: the standard deviation of the density (g + 1) s^g on [0, 1], solved for g.
    inverse = width**-2
    return float(np.roots([1, 7, 16 - inverse, 12 - inverse]).real.max())
