"""A file that is not a usable picture is never read, and is refused with the code that states why."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import raw_formats as raw
from exotic_pictures import cases
from malformed_corpus import CLASSES, VARIANTS, corpus

from pix2pix.datasets.resize import resize_folder
from pix2pix.errors import PictureError
from pix2pix.hyperparameters import ResizeParameters
from pix2pix.images import limits
from pix2pix.images.codec import CODES, decode, decode_bytes
from pix2pix.images.png.text import read_text

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def code_of(data: bytes, folder: Path) -> str:
    path = folder / "picture.png"
    path.write_bytes(data)
    try:
        decode(path)
    except PictureError as error:
        assert error.reason
        return error.code
    return "accepted"


@pytest.mark.parametrize("name", CLASSES)
def test_a_malformed_file_is_refused_with_its_code(name: str, tmp_path: Path) -> None:
    make, codes = CLASSES[name]
    number = list(CLASSES).index(name)
    found = {code_of(make(np.random.default_rng([number, variant])), tmp_path) for variant in range(VARIANTS)}
    assert found <= set(codes)


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(CLASSES) >= 30
    assert len(CLASSES) * VARIANTS >= 400


def test_a_folder_of_malformed_files_leaves_the_good_ones_through(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    bad = list(corpus(variants=1))
    for number, case in enumerate(bad):
        (source / f"bad{number:03d}.png").write_bytes(case.data)
    good = raw.png(30, 20, 8, 2, [bytes(90)] * 20)
    (source / "good.png").write_bytes(good)
    result = resize_folder(source, tmp_path / "out", ResizeParameters(size=16))
    assert result.written == {"good.png": "good.png"}
    assert [each.path for each in result.rejected] == [f"bad{number:03d}.png" for number in range(len(bad))]
    assert all(each.code in CODES for each in result.rejected)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.png"]


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: p.symlink_to("nowhere.png")], ids=["folder", "link"])
def test_what_cannot_be_read_is_refused(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "a.png")
    with pytest.raises(PictureError, match="UNREADABLE"):
        decode(tmp_path / "a.png")


def test_a_bomb_is_refused_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_decoding(*_: object) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", no_decoding)
    for name, (make, codes) in CLASSES.items():
        if "bomb" in name or "many pixels" in name:
            with pytest.raises(PictureError) as refusal:
                decode_bytes(make(np.random.default_rng(1)))
            assert refusal.value.code in codes


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    with path.open("wb") as sparse:
        sparse.truncate(limits.MAX_BYTES + 1)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("the file was read"))
    with pytest.raises(PictureError, match="TOO_LARGE"):
        decode(path)


def test_bombs_take_little_memory(tmp_path: Path) -> None:
    """Run in a separate process, whose peak memory is its own."""
    for name, (make, _) in CLASSES.items():
        if "bomb" in name or "many pixels" in name:
            (tmp_path / f"{name}.png").write_bytes(make(np.random.default_rng(1)))
    program = (
        "import pathlib, sys\n"
        "from pix2pix.errors import PictureError\n"
        "from pix2pix.images.codec import decode\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try:\n"
        "        decode(path)\n"
        "    except PictureError:\n"
        "        continue\n"
        "    sys.exit(path.name)\n"
        # Not ru_maxrss, which a process inherits from its parent.
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(status.partition('VmHWM:')[2].split()[0])\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 300 * 1024


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip bytes, remove a piece, duplicate a piece or truncate."""
    changed = bytearray(data)
    kind = int(rng.integers(4))
    position, length = int(rng.integers(len(changed))), int(rng.integers(1, 40))
    if kind == 0:
        for _ in range(int(rng.integers(1, 12))):
            changed[int(rng.integers(len(changed)))] = int(rng.integers(256))
    elif kind == 1:
        del changed[position : position + length]
    elif kind == 2:
        changed[position:position] = changed[position : position + length]
    else:
        del changed[position:]
    return bytes(changed)


def fuzz(rounds: int, seed: int) -> None:
    seeds = [case.data for case in cases()]
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        data = mutated(seeds[int(rng.integers(len(seeds)))], rng)
        if data.startswith(raw.PNG_SIGNATURE):
            data = with_right_checksums(data)
        try:
            pixels = decode_bytes(data)
        except PictureError as error:
            assert error.code in CODES
        else:
            assert pixels.dtype == np.uint8
            assert pixels.shape[2] == 3


def with_right_checksums(data: bytes) -> bytes:
    """Correct the checksums, so that the damage reaches the decoder."""
    out, position = bytearray(data), 8
    while position + 12 <= len(out):
        (length,) = struct.unpack(">I", out[position : position + 4])
        if position + 12 + length > len(out):
            break
        out[position + 8 + length : position + 12 + length] = struct.pack(
            ">I", zlib.crc32(out[position + 4 : position + 8 + length])
        )
        position += 12 + length
    return bytes(out)


def test_a_mutated_picture_is_accepted_or_refused_with_a_code() -> None:
    fuzz(2_000, seed=1)


@pytest.mark.long
def test_a_hundred_thousand_mutated_pictures_are_accepted_or_refused_with_a_code(
    volume: Callable[[int, int], int],
) -> None:
    fuzz(volume(100_000, 4_000), seed=2)


def test_a_picture_that_is_too_large_to_open_says_nothing_of_itself(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    assert read_text(tmp_path / "bomb.png") == {}
