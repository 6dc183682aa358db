"""The reference in docs/api.md, from the signatures and docstrings of all that is in `__all__`.

``python tests/docs/api_page.py`` rewrites the page; what is written above the marker stays.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pachyderm
import pix2pix
import workflows
from pix2pix.tensorflow import configure_tensorflow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
MARKER = "<!-- From here on written by `make api-page` from the docstrings. -->\n"
PACKAGES = (pix2pix, pachyderm, workflows)


def render(page: str) -> str:
    """The page with the reference written again."""
    return page.partition(MARKER)[0] + MARKER + "".join(f"\n{block}\n" for block in blocks())


def blocks() -> Iterator[str]:
    for package in PACKAGES:
        yield f"## {package.__name__}"
        names = sorted(package.__all__, key=lambda name: (inspect.isclass(getattr(package, name)), name))
        for name in names:
            yield from entry(package, name)


def entry(package: ModuleType, name: str) -> Iterator[str]:
    """The blocks of one public name."""
    public = getattr(package, name)
    yield f"### {package.__name__}.{name}"
    if inspect.isclass(public):
        yield from markdown(public)
        for method, function in methods(public):
            yield f"#### {name}.{method}" if method != "__call__" else f"#### {name}(...)"
            if inspect.isfunction(function):
                yield code(method if method != "__call__" else "model", function)
            yield from markdown(function)
    elif inspect.isfunction(public):
        yield code(name, public)
        yield from markdown(public)
    else:
        yield f"`{str(public).replace('collections.abc.', '')}`: {callback_text(public)}"


def callback_text(public: Any) -> str:
    assert public is pix2pix.Progress
    return "called as `progress(done, total, note)`: units done so far, units in all (0 if unknown), a short note."


def methods(public: type) -> list[tuple[str, Any]]:
    """The public methods and properties of a class of ours, in the order of their definition."""
    if public.__module__.split(".")[1] != "api":
        return []
    return [
        (name, member)
        for name, member in vars(public).items()
        if (name == "__call__" or not name.startswith("_"))
        and (inspect.isfunction(member) or isinstance(member, property))
    ]


def code(name: str, function: Any) -> str:
    """The signature as a block of code, one parameter a line if it is long."""
    signature = inspect.signature(function)
    given = [one for one in signature.parameters.values() if one.name != "self"]
    kinds = [one.kind for one in given]
    parameters = list(map(parameter, given))
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        parameters.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    returned = signature.return_annotation
    line = f"{name}({', '.join(parameters)}) -> {returned}"
    if len(line) > 100:
        line = "\n".join([f"{name}(", *(f"    {parameter}," for parameter in parameters), f") -> {returned}"])
    return f"```python\n{line}\n```"


def parameter(one: inspect.Parameter) -> str:
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(one.kind, "")
    default = "" if one.default is inspect.Parameter.empty else f" = {one.default!r}"
    return f"{stars}{one.name}: {one.annotation}{default}"


def markdown(public: Any) -> Iterator[str]:
    """The docstring's paragraphs, and its sections as lists."""
    text, *sections = re.split(
        r"^(Args|Attributes|Returns|Raises):\n", inspect.getdoc(public) or "", flags=re.MULTILINE
    )
    yield plain(text.strip())
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        entries = re.findall(r"^    (\S.*(?:\n {5,}.*)*)", body, re.MULTILINE)
        if title == "Returns":
            yield f"Returns {plain(' '.join(entries))}"
            continue
        if title == "Raises":
            yield "Raises:"
        items = [re.sub(r"\s+", " ", item).partition(": ") for item in entries]
        yield "\n".join(f"- `{name}`: {plain(meaning)}" for name, _, meaning in items)


def plain(text: str) -> str:
    return text.replace("``", "`")


if __name__ == "__main__":
    configure_tensorflow()
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
