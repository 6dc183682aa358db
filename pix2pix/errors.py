"""Errors of the model layer.

Pix2PixError
├── InputError              wrong use or bad input: a folder, a file, a value
│   ├── HyperparameterError an unknown hyperparameter, or a value out of range
│   └── PictureError        one picture that cannot be used; carries a code of the decision table
└── WorkError               the work failed: no space left, a training that diverged  (retryable)
"""

from __future__ import annotations

from typing import ClassVar


class Pix2PixError(Exception):
    """Base of this layer's errors; the message states the problem and the remedy.

    Attributes:
        retryable: whether the same request may succeed later without anybody changing the request or its input.
    """

    retryable: ClassVar[bool] = False


class InputError(Pix2PixError):
    """Wrong use or bad input; nothing was changed."""


class HyperparameterError(InputError):
    """An unknown hyperparameter, or a value out of its range; the message lists what is allowed."""


class PictureError(InputError):
    """One picture that cannot be used.

    Attributes:
        code: the reason, as one of the codes of `pix2pix.images.codec`, e.g. ``TRUNCATED``.
        reason: the reason in words, without the file's name.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class WorkError(Pix2PixError):
    """The work failed; earlier data is unchanged."""

    retryable = True
