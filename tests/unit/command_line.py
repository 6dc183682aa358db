"""Runs the command line in this process, as a script would see it: exit code, standard output, standard error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from cli.main import main


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def pix2pix(capsys: pytest.CaptureFixture[str], *words: object) -> Said:
    capsys.readouterr()
    code = 0
    try:
        main([str(word) for word in words])
    except SystemExit as stop:
        code = int(stop.code or 0)
    said = capsys.readouterr()
    return Said(code, said.out, said.err)
