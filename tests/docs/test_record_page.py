"""docs/record.md lists every code of fsck and every field of stage.json, and no others."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from pachyderm.record.stage_record import OutputFile, StageRecord

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "record.md").read_text()


def test_every_code_of_fsck_is_on_the_page_and_no_other() -> None:
    codes = {
        code
        for path in (ROOT / "pachyderm" / "fsck").glob("*.py")
        for code in re.findall(r'(?:Problem\(|quarantine_finding\(commit,)\s*"([A-Z_]+)"', path.read_text())
    }
    table = PAGE.partition("## Problems that fsck finds")[2].partition("## ")[0]
    assert len(codes) > 30
    assert set(re.findall(r"`([A-Z][A-Z_]{3,})`", table)) == codes


def test_every_field_of_the_record_is_on_the_page() -> None:
    for kind in (StageRecord, OutputFile):
        for field in dataclasses.fields(kind):
            assert f"`{field.name}`" in PAGE, field.name
