"""The structure of the code stays within its limits; `structure.py` measures it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
import structure

MOST_MODULES = 14


def test_no_package_has_more_modules_than_a_reader_can_survey() -> None:
    crowded = {name: count for name, count in structure.modules_per_package().items() if count > MOST_MODULES}
    assert crowded == {}


def test_no_package_imports_itself_through_another() -> None:
    assert [container.name for container in structure.containers() if container.cyclic] == []


def test_no_type_name_stands_for_two_things() -> None:
    assert structure.types_in_two_files() == {}
