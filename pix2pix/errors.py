"""The errors of the model layer, as one tree.

Pix2PixError
├── InputError              wrong use or bad input: a folder, a file, a value
│   ├── HyperparameterError an unknown hyperparameter or a value out of range
│   └── PictureError        a picture that cannot be used; carries a rejection code
└── WorkError               the work failed: no space left, a training that diverged
"""

from __future__ import annotations

from typing import ClassVar


class Pix2PixError(Exception):
    """Any error that this layer raises on purpose; the message gives the problem and the remedy."""

    retryable: ClassVar[bool] = False
    """Whether the same request may succeed later without anybody changing the request or its input."""


class InputError(Pix2PixError):
    """Wrong use or bad input; nothing was changed."""


class HyperparameterError(InputError):
    """An unknown hyperparameter, or a value out of range; the message lists what is allowed."""


class PictureError(InputError):
    """A picture that cannot be used.

    Attributes:
        code: one of the codes of `pix2pix.images.rejections`, e.g. ``TRUNCATED``.
        reason: an explanation for people, without the file's name.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class WorkError(Pix2PixError):
    """The work failed; earlier results are unchanged."""

    retryable = True
