"""Exporting and generating on a full file system: one line that names the cause, then the whole result."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import pix2pix
from small_disk import fill, small_disk
from tiny_model import tiny, write_checkpoint, write_pairs


def test_export_and_generate_name_a_full_disk_and_go_on_once_there_is_space(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = write_checkpoint(tmp_path / "checkpoint", tiny())
    pictures = write_pairs(tmp_path / "pictures", 2, halves=1)
    with small_disk(tmp_path / "disk", 8) as disk:
        model, target = disk / "model", disk / "target"
        for words, product, place in (
            (("export", checkpoint, model), "model", model / "1"),
            (("generate", model, pictures, target), "pictures", target),
        ):
            filler = fill(disk)
            result = pix2pix(capsys, "-q", *words)
            (line,) = result.err.splitlines()
            assert result.code == 1, product
            assert f"no space for {'the model ' * (product == 'model')}{place}" in line and "free some" in line
            written = [path for path in disk.rglob("*") if path.is_file() and path != filler]
            assert product == "pictures" or written == []
            assert not any(path.suffix == ".png" for path in written)
            filler.unlink()
            assert pix2pix(capsys, "-q", *words).code == 0, product
        assert sorted(path.name for path in target.glob("*.png")) == ["000.png", "001.png"]
        assert [path for path in disk.rglob("*") if path.name.endswith(".part")] == []
