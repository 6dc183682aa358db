"""TOML is read as people save it, and an error gives its place and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from pix2pix.toml_text import TomlError, decode, parse, place

TEXT = "[train]\nmax_steps = 3\n"


@pytest.mark.parametrize("content", [TEXT.encode(), TEXT.encode("utf-8-sig"), TEXT.replace("\n", "\r\n").encode()])
def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(content: bytes) -> None:
    assert parse(decode(content)) == {"train": {"max_steps": 3}}
    assert parse(content.decode()) == {"train": {"max_steps": 3}}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(encoding: str) -> None:
    with pytest.raises(TomlError, match=r"UTF-16.*save it as UTF-8"):
        decode(TEXT.encode(encoding))
    with pytest.raises(TomlError, match="UTF-16"):
        parse(TEXT.encode("utf-16-le").decode())


def test_another_encoding_is_refused_with_its_place() -> None:
    with pytest.raises(TomlError, match="line 2, column 5: the byte 0xe9 is not UTF-8"):
        decode("[train]\n# caf\u00e9"[:12].encode() + b"\xe9\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[train]\r\nmax_steps 3\r\n", ["line 2, column 11", "'max_steps 3'"]),
        ("[train]\nmax_steps = yes\n", ["line 2, column 13", "'max_steps = yes'", "expected a value"]),
        ("[train]\nmax_steps =", ["line 2, column", "expected a value"]),
        ("[train\nmax_steps = 1", ["line 1", "expected a section"]),
        ("[train]\na = 1\na = 2", ["line 3", "each name once"]),
        ("[train]\n[train]\n", ["line 2", "each once"]),
        ("x = " + "[" * 5000, ["nested too deep"]),
        ("x = " + "9" * 5000, ["4300 digits"]),
    ],
)
def test_an_error_gives_line_column_the_line_and_what_was_expected(text: str, words: list[str]) -> None:
    with pytest.raises(TomlError) as failure:
        parse(text)
    for word in words:
        assert word in str(failure.value)


def test_a_name_is_found_in_its_own_section() -> None:
    text = "\ufeff# size = 1\n[resize]\n  size = 2\n[generate]\nsize = 3\n"
    assert place(text, "resize", "size") == "line 3, column 3: "
    assert place(text, "generate", "size") == "line 5, column 1: "
    assert place(text, "generate") == "line 4, column 2: "
    assert place(text, "train", "size") == ""


def test_the_command_names_the_file(tmp_path: Path) -> None:
    from cli.folders.parameters import resolve_parameters
    from pix2pix.errors import InputError

    path = tmp_path / "p.toml"
    path.write_bytes(TEXT.encode("utf-16"))
    with pytest.raises(InputError, match=r"p\.toml.*UTF-16"):
        resolve_parameters("train", path, ())
    path.write_bytes(TEXT.encode("utf-8-sig"))
    assert resolve_parameters("train", path, ()).max_steps == 3
