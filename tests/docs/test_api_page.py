"""docs/api.md lists every public name with the signature and the docstring that the code has."""

from __future__ import annotations

import ast
import inspect
import re

from api_page import MARKER, PACKAGES, PAGE, render

import pachyderm
from pachyderm.client.connection import Target


def test_the_reference_is_that_of_the_code() -> None:
    """If this fails: make api-page."""
    text = PAGE.read_text(encoding="utf-8")
    assert render(text) == text


def test_every_public_name_has_its_entry() -> None:
    headings = set(re.findall(r"^### (\S+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert headings == {f"{package.__name__}.{name}" for package in PACKAGES for name in package.__all__}


def calls() -> list[ast.Call]:
    """The calls in the examples above the reference."""
    text = PAGE.read_text(encoding="utf-8").partition(MARKER)[0]
    examples = [ast.parse(block) for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]
    return [node for example in examples for node in ast.walk(example) if isinstance(node, ast.Call)]


def test_the_examples_call_what_exists_with_arguments_that_it_takes() -> None:
    places = {package.__name__: package for package in PACKAGES} | {"data": pachyderm.VersionedData(Target())}
    checked = 0
    for call in calls():
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        if isinstance(call.func, ast.Attribute) and isinstance(owner, ast.Name) and owner.id in places:
            function = getattr(places[owner.id], call.func.attr)
            inspect.signature(function).bind(*call.args, **{word.arg: None for word in call.keywords if word.arg})
            checked += 1
    assert checked >= 8
