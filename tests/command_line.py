"""Runs the command in this process and captures its exit code, standard output and standard error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from cli.main import main


@dataclass(frozen=True)
class CommandResult:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def pix2pix(capsys: pytest.CaptureFixture[str], *words: object) -> CommandResult:
    capsys.readouterr()
    code = 0
    try:
        main([str(word) for word in words])
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return CommandResult(code, captured.out, captured.err)
