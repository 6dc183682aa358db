"""The tables of docs/parameters.md, from the docstrings and defaults of the hyperparameters.

``python tests/docs/parameters_page.py`` rewrites the page; what is written around the tables stays.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from pathlib import Path

from pix2pix.hyperparameters import SECTIONS
from pix2pix.hyperparameters.section import Section

PAGE = Path(__file__).resolve().parents[2] / "docs" / "parameters.md"


def meanings(section: type[Section]) -> dict[str, str]:
    """Name of a hyperparameter -> its text in the class's docstring, as Markdown."""
    attributes = inspect.cleandoc(section.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", attributes, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text).replace("``", "`") for name, text in entries}


def rows(section: type[Section]) -> list[str]:
    texts = meanings(section)
    return [
        f"| `{field.name}` | `{json.dumps(field.default)}` | {texts[field.name]} |"
        for field in dataclasses.fields(section)
    ]


def render(page: str) -> str:
    """The page with the rows of all hyperparameters written again; those of policies (`promote*`) are kept."""
    for name, section in SECTIONS.items():
        before, heading, rest = page.partition(f"## [{name}]\n")
        body, following, after = rest.partition("\n## [")
        policies = [line for line in body.splitlines() if line.startswith("| `promote")]
        prose = "\n".join(line for line in body.splitlines() if not line.startswith("|")).strip()
        table = "\n".join(("| name | default | meaning |", "|---|---|---|", *rows(section), *policies))
        page = f"{before}{heading}\n" + (f"{prose}\n\n" if prose else "") + f"{table}\n{following}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
