"""The pipelines, the runners that execute them, and the trigger that starts a run for every commit.

    import workflows

    workflows.run_open(".pix2pix")  # what `pix2pix trigger --once` does

`__all__` is the public API; everything else is private. Names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workflows.api.run_open import run_open
    from workflows.errors import RunFailedError, RunInputError, RunnerUnreachableError, WorkflowError
    from workflows.trigger.controller import Outcome

_MODULES = {
    "workflows.api.run_open": ("run_open",),
    "workflows.errors": ("RunFailedError", "RunInputError", "RunnerUnreachableError", "WorkflowError"),
    "workflows.trigger.controller": ("Outcome",),
}
"""Module -> the public names that it defines; the imports above, for type checkers, name the same."""

_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Outcome",
    "RunFailedError",
    "RunInputError",
    "RunnerUnreachableError",
    "WorkflowError",
    "run_open",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted({*globals(), *__all__})
