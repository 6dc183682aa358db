"""A slow module is imported in the background."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from components.importing import imported_meanwhile

GATE = threading.Event()
"""The import of the module below waits for this event."""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    GATE.clear()
    monkeypatch.setattr(sys, "gate_of_the_slow_module", GATE, raising=False)
    wait = "import sys\nassert sys.gate_of_the_slow_module.wait(60)\n"
    (tmp_path / "slow_module.py").write_text(f"{wait}VALUE = 1\n")
    (tmp_path / "broken_module.py").write_text(f"{wait}raise RuntimeError('no such device')\n")
    for name in ("slow_module", "broken_module"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_the_import_goes_on_while_the_caller_does_something_else() -> None:
    with imported_meanwhile("slow_module"):
        GATE.set()  # reached although the module is not imported yet
    assert "slow_module" in sys.modules, "the end of the block waits for the import"
    import slow_module  # type: ignore[import-not-found]

    assert slow_module.VALUE == 1


def test_an_error_of_the_import_is_raised_where_the_module_is_used() -> None:
    with imported_meanwhile("broken_module"):
        GATE.set()
    with pytest.raises(RuntimeError, match="no such device"):
        import broken_module  # type: ignore[import-not-found]  # noqa: F401
