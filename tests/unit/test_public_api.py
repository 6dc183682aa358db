"""The public names of `pix2pix`, `pachyderm` and `workflows` are documented, typed, and imported when used."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import subprocess
import sys
import typing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pachyderm
import pix2pix
import workflows

SLOW = ("tensorflow", "numpy", "PIL", "cv2", "jinja2", "kfp", "kubernetes", "grpc", "pachyderm_sdk", "IPython")

PACKAGES = (pix2pix, pachyderm, workflows)

FUNCTIONS = [
    (package, name)
    for package in PACKAGES
    for name in package.__all__
    if inspect.isfunction(inspect.unwrap(getattr(package, name)))
]
CLASSES = [
    (package, name) for package in PACKAGES for name in package.__all__ if inspect.isclass(getattr(package, name))
]


def methods(public: type) -> dict[str, Any]:
    """The public methods of a class of ours, and its call."""
    if public.__module__.split(".")[1:2] != ["api"]:
        return {}
    return {
        name: member
        for name, member in vars(public).items()
        if inspect.isfunction(member) and (name == "__call__" or not name.startswith("_"))
    }


METHODS = [
    pytest.param(package, name, method, id=f"{name}.{method}")
    for package, name in CLASSES
    for method in methods(getattr(package, name))
]


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_imports_nothing_slow_and_changes_no_setting(package: ModuleType) -> None:
    code = (
        f"import os, sys; before = dict(os.environ), list(sys.meta_path); import {package.__name__} as package; "
        f"assert not {{*{SLOW!r}}} & {{*sys.modules}}, sorted(sys.modules); "
        "assert dir(package); assert (dict(os.environ), list(sys.meta_path)) == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_using_a_name_that_needs_no_tensorflow_does_not_import_it() -> None:
    code = (
        "import sys, pix2pix; pix2pix.InputError; pix2pix.resize; pix2pix.pairs; pix2pix.split; pix2pix.train; "
        "pix2pix.load; pix2pix.Training; assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'trian'"):
        _ = package.trian


@pytest.mark.parametrize("package", PACKAGES)
def test_the_names_for_type_checkers_are_those_that_are_imported_lazily(package: Any) -> None:
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    static = {(node.module, alias.name) for node in imports for alias in node.names}
    assert static == {(module, name) for module, names in package._MODULES.items() for name in names}
    assert sorted(name for _, name in static) == sorted(package.__all__)


def test_functions_and_classes_are_all_of_the_public_names_but_the_type_of_a_callback() -> None:
    names = {(package, name) for package in PACKAGES for name in package.__all__}
    assert names - {*FUNCTIONS} - {*CLASSES} == {(pix2pix, "Progress")}


@pytest.mark.parametrize(("package", "name"), [*FUNCTIONS, *CLASSES])
def test_a_public_name_is_documented(package: ModuleType, name: str) -> None:
    public = getattr(package, name)
    assert len(public.__doc__ or "") > 20
    assert not public.__doc__.startswith(f"{name}("), "a dataclass without a docstring gets its signature"


@pytest.mark.parametrize(("package", "name"), FUNCTIONS)
def test_the_parameters_of_a_public_function_are_typed_and_the_less_obvious_ones_documented(
    package: ModuleType, name: str
) -> None:
    check_function(inspect.unwrap(getattr(package, name)))


@pytest.mark.parametrize(("package", "name", "method"), METHODS)
def test_the_parameters_of_a_public_method_are_typed_and_documented(
    package: ModuleType, name: str, method: str
) -> None:
    check_function(vars(getattr(package, name))[method], documented_from=2)


def check_function(function: Any, documented_from: int = 3) -> None:
    hints = typing.get_type_hints(function, localns={name: getattr(package, name) for package, name in CLASSES})
    parameters = {name: one for name, one in inspect.signature(function).parameters.items() if name != "self"}
    assert {*parameters, "return"} <= {*hints}
    assert function.__doc__
    if len(parameters) >= documented_from:
        for parameter in parameters:
            assert f"{parameter}:" in function.__doc__, parameter


@pytest.mark.parametrize(("package", "name"), CLASSES)
def test_the_fields_of_a_public_class_are_documented(package: ModuleType, name: str) -> None:
    public = getattr(package, name)
    if dataclasses.is_dataclass(public):
        for field in dataclasses.fields(public):
            assert f"{field.name}:" in (public.__doc__ or ""), field.name
