"""What can go wrong on the model's floor, as one tree.

It exists so that a caller can tell bad input, which only the user can mend, from work that failed.

    Pix2PixError
    ├── InputError              wrong use or bad input: a folder, a file, a value
    │   ├── HyperparameterError an unknown hyperparameter or a value out of range
    │   └── PictureError        one picture that cannot be used; carries a code of the decision table
    └── WorkError               the work failed: no space left, a training that diverged
"""

from __future__ import annotations

from typing import ClassVar


class Pix2PixError(Exception):
    """Anything that this floor raises on purpose; its text says the problem and the remedy."""

    retryable: ClassVar[bool] = False
    """Whether the same request may succeed later without anybody changing the request or its input."""


class InputError(Pix2PixError):
    """Wrong use or bad input; nothing was changed."""


class HyperparameterError(InputError):
    """An unknown hyperparameter, or a value out of its range; the text lists what is allowed."""


class PictureError(InputError):
    """One picture that cannot be used.

    Attributes:
        code: why, as one of the codes of `pix2pix.images.codec`, e.g. ``TRUNCATED``.
        reason: the same for a person, without the file's name.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class WorkError(Pix2PixError):
    """The work failed; what was there before is as it was."""

    retryable = True
