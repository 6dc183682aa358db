"""Measures the structure of the code: packages, imports between them, long functions, names that stand for two things.

Run it as ``make structure``; `test_structure.py` keeps the limits.
"""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cli", "components", "pachyderm", "pix2pix", "workflows")
CONTAINERS = ("cli", "components", "workflows", "pachyderm", "pachyderm.store", "pix2pix")
"""Packages whose children's imports of each other are counted."""

LONGEST_FUNCTION = 40
"""Lines of a function, without its docstring, above which it needs a reason."""

FORMULA = re.compile(r"\b[Ii]t exists (so|because|as|to|for|apart|beside)\b")
TYPE_NAME = re.compile(r"[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*")


@dataclass(frozen=True)
class Function:
    """A function and its length in lines, without its docstring."""

    place: str
    lines: int


@dataclass(frozen=True)
class Container:
    """The children of a package and how they import each other.

    Attributes:
        name: dotted name.
        children: modules and packages directly in it.
        imports: pairs of children of which the first imports the second.
        cyclic: whether these imports contain a cycle.
    """

    name: str
    children: int
    imports: int
    cyclic: bool


def sources() -> Iterator[Path]:
    """Every source file of the product, without tests and benchmarks."""
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def modules_per_package() -> dict[str, int]:
    """Package folder -> its modules, without ``__init__``."""
    counts = Counter(str(file.parent.relative_to(ROOT)) for file in sources() if file.name != "__init__.py")
    return dict(counts.most_common())


def containers() -> list[Container]:
    """How the children of each package in `CONTAINERS` import each other."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    found = []
    for name in CONTAINERS:
        children = graph.find_children(name)
        downstream: dict[str, set[str]] = {
            child: {other for other in children if other != child and _imports_directly(graph, child, other)}
            for child in children
        }
        pairs = sum(map(len, downstream.values()))
        found.append(Container(name, len(children), pairs, _cyclic(downstream)))
    return found


def _imports_directly(graph: grimp.ImportGraph, importer: str, imported: str) -> bool:
    sources = {importer, *graph.find_descendants(importer)}
    targets = {imported, *graph.find_descendants(imported)}
    return any(graph.find_modules_directly_imported_by(source) & targets for source in sources)


def _cyclic(imports: dict[str, set[str]]) -> bool:
    try:
        TopologicalSorter(imports).prepare()
    except CycleError:
        return True
    return False


def long_functions() -> list[Function]:
    """Functions longer than `LONGEST_FUNCTION`, longest first."""
    found = []
    for file in sources():
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            first = node.body[0]
            documented = ast.get_docstring(node) is not None
            lines = (node.end_lineno or 0) - node.lineno + 1
            if documented:
                lines -= (first.end_lineno or 0) - first.lineno + 1
            if lines > LONGEST_FUNCTION:
                found.append(Function(f"{file.relative_to(ROOT)}:{node.name}", lines))
    return sorted(found, key=lambda function: -function.lines)


def formula_docstrings() -> list[str]:
    """Files in which a docstring explains why the module exists instead of what it does."""
    return [str(file.relative_to(ROOT)) for file in sources() if FORMULA.search(file.read_text())]


def types_in_two_files() -> dict[str, list[str]]:
    """Names of classes and type aliases that more than one file defines -> those files."""
    places: dict[str, set[str]] = defaultdict(set)
    for file in sources():
        for node in ast.parse(file.read_text()).body:
            names = []
            if isinstance(node, ast.ClassDef):
                names = [node.name]
            elif isinstance(node, ast.Assign):
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            for name in names:
                if TYPE_NAME.fullmatch(name):
                    places[name].add(str(file.relative_to(ROOT)))
    return {name: sorted(files) for name, files in sorted(places.items()) if len(files) > 1}


def report() -> str:
    """All figures as text."""
    lines = ["package                          modules"]
    lines += [f"{package:<32} {count:>7}" for package, count in modules_per_package().items()]
    lines += ["", "package               children  imports between them  cycle"]
    lines += [
        f"{container.name:<22} {container.children:>7} {container.imports:>21}  {container.cyclic}"
        for container in containers()
    ]
    functions = long_functions()
    lines += ["", f"functions over {LONGEST_FUNCTION} lines: {len(functions)}"]
    lines += [f"  {function.lines:>4}  {function.place}" for function in functions]
    lines += ["", f"docstrings that explain why a module exists: {len(formula_docstrings())}"]
    twice = types_in_two_files()
    lines += [f"type names in two files: {len(twice)}"]
    lines += [f"  {name}: {', '.join(files)}" for name, files in twice.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
