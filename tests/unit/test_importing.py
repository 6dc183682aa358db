"""A slow module is imported in the background."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from components.importing import import_meanwhile

GATE = threading.Event()
"""The import of the module below waits for this event."""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "gate_of_the_slow_module", GATE, raising=False)
    (tmp_path / "slow_module.py").write_text("import sys\nassert sys.gate_of_the_slow_module.wait(60)\nVALUE = 1\n")
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('no such device')\n")
    monkeypatch.delitem(sys.modules, "slow_module", raising=False)
    return "slow_module"


def test_the_import_goes_on_while_the_caller_does_something_else(module: str) -> None:
    import_meanwhile(module)
    GATE.set()  # reached although the module is not imported yet
    import slow_module  # type: ignore[import-not-found]

    assert slow_module.VALUE == 1


@pytest.mark.usefixtures("module")
def test_an_error_of_the_import_is_raised_where_the_module_is_used() -> None:
    import_meanwhile("broken_module")
    with pytest.raises(RuntimeError, match="no such device"):
        import broken_module  # type: ignore[import-not-found]  # noqa: F401
