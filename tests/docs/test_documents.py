"""The documentation names only commands, options, links, files and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from cli.main import COMMANDS, pix2pix

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def command_lines(text: str) -> list[list[str]]:
    """Return the words after ``pix2pix`` of each command in a code block, other than a diagram, or in backticks."""
    text = re.sub(r"```mermaid\n.*?```", "", text, flags=re.DOTALL)
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", text)
    return [found[1].split() for line in lines if (found := re.search(r"(?:^|[ /])pix2pix ([a-z][^#|`]*)", line))]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_on_a_page_exists_with_its_options(page: Path) -> None:
    context = click.Context(pix2pix)
    for words in command_lines(page.read_text()):
        name = words[0].rstrip(",.;:")
        assert name in COMMANDS, words
        command = pix2pix.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            continue
        known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
        for word in words[1:]:
            if re.match(r"--?[a-z]", word):
                assert word.partition("=")[0].rstrip(",.;:") in known, words


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_and_picture_on_a_page_exists(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_file_and_test_named_on_a_page_exists(page: Path) -> None:
    text = page.read_text()
    for path in re.findall(r"`((?:tests|benchmarks|pachyderm|pix2pix|components|workflows|cli)/[\w/.-]+)`", text):
        assert (ROOT / path).exists() or list(ROOT.glob(path)), path
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in tests, name


def test_every_command_has_a_help_text() -> None:
    context = click.Context(pix2pix)
    for name in COMMANDS:
        command = pix2pix.get_command(context, name)
        assert command is not None and command.help, name


def test_the_first_screen_of_the_readme_has_a_picture_and_both_commands() -> None:
    first = "\n".join((ROOT / "README.md").read_text().splitlines()[:40])
    assert "make demo" in first and "make test" in first and "](docs/picture.png)" in first
