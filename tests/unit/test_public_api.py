"""Every public name of `pix2pix` is documented, typed, and imported only when it is used."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import pix2pix

SLOW = ("tensorflow", "numpy", "PIL", "cv2", "jinja2", "kfp", "grpc")

FUNCTIONS = [name for name in pix2pix.__all__ if inspect.isfunction(inspect.unwrap(getattr(pix2pix, name)))]
CLASSES = [name for name in pix2pix.__all__ if inspect.isclass(getattr(pix2pix, name))]


def test_importing_pix2pix_imports_nothing_slow_and_changes_no_setting() -> None:
    code = (
        "import os, sys; before = dict(os.environ), list(sys.meta_path); import pix2pix; "
        f"assert not {{*{SLOW!r}}} & {{*sys.modules}}, sorted(sys.modules); "
        "assert dir(pix2pix); assert (dict(os.environ), list(sys.meta_path)) == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_using_a_name_that_needs_no_tensorflow_does_not_import_it() -> None:
    code = (
        "import sys, pix2pix; pix2pix.InputError; pix2pix.resize; pix2pix.pairs; pix2pix.split; pix2pix.train; "
        "pix2pix.load; pix2pix.Training; assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'pix2pix' has no attribute 'trian'"):
        _ = pix2pix.trian


def test_the_names_for_type_checkers_are_those_that_are_imported_lazily() -> None:
    tree = ast.parse(Path(pix2pix.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    static = {(node.module, alias.name) for node in imports for alias in node.names}
    assert static == {(module, name) for module, names in pix2pix._MODULES.items() for name in names}
    assert sorted(name for _, name in static) == sorted(pix2pix.__all__)


def test_functions_and_classes_are_all_of_the_public_names_but_the_type_of_a_callback() -> None:
    assert {*pix2pix.__all__} - {*FUNCTIONS} - {*CLASSES} == {"Progress"}


@pytest.mark.parametrize("name", [*FUNCTIONS, *CLASSES])
def test_a_public_name_is_documented(name: str) -> None:
    public = getattr(pix2pix, name)
    assert len(public.__doc__ or "") > 20
    assert not public.__doc__.startswith(f"{name}("), "a dataclass without a docstring gets its signature"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_parameters_of_a_public_function_are_typed_and_the_less_obvious_ones_documented(name: str) -> None:
    function = inspect.unwrap(getattr(pix2pix, name))
    hints = typing.get_type_hints(function, localns={cls: getattr(pix2pix, cls) for cls in CLASSES})
    parameters = inspect.signature(function).parameters
    assert {*parameters, "return"} <= {*hints}
    if len(parameters) > 2:
        for parameter in parameters:
            assert f"{parameter}:" in (function.__doc__ or ""), parameter


@pytest.mark.parametrize("name", CLASSES)
def test_the_fields_of_a_public_class_are_documented(name: str) -> None:
    public = getattr(pix2pix, name)
    if dataclasses.is_dataclass(public):
        for field in dataclasses.fields(public):
            assert f"{field.name}:" in (public.__doc__ or ""), field.name
