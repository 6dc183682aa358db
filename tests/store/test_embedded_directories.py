"""The directories of commits: equal content has equal pages, and a change costs what it changes."""

import random
from collections.abc import Iterator

import pytest

from pachyderm.store.objects.changes import Changes
from pachyderm.store.objects.contents import Content
from pachyderm.store.objects.directories import changed, walk
from pachyderm.store.objects.directory_diff import diff, faults
from pachyderm.store.objects.prolly_tree import Page, PageWriter

pytestmark = pytest.mark.embedded


class Memory(PageWriter):
    """Pages in memory only."""

    def __init__(self) -> None:
        self._new: dict[bytes, tuple[Page, bytes]] = {}

    def load(self, name: bytes) -> Page:
        return self._new[name][0]

    def names(self) -> set[bytes]:
        return set(self._new)


class OwnHashes:
    def of(self, top: bytes | None) -> bytes | None:
        return top


def content(number: int) -> Content:
    return Content(number % 1000 + 1, number.to_bytes(32, "big"))


def last(parts: list[Content]) -> Content:
    return parts[-1]


def put(pages: Memory, top: bytes | None, files: dict[str, Content | None]) -> bytes | None:
    changes = Changes()
    for path, value in files.items():
        elements = path[1:].split("/")
        changes.delete(elements, "")
        if value is not None:
            changes.add(elements, "", value)
    return changed(pages, top, Changes.decode(changes.encode()).root, last)


def random_changes(rng: random.Random) -> dict[str, Content | None]:
    def draw() -> Iterator[tuple[str, Content | None]]:
        for _ in range(rng.choice([1, 3, 40, 300])):
            path = rng.choice(["/", "/a/", "/b/c/", "/d/e/f/"]) + f"file{rng.randrange(300)}"
            yield path, content(rng.randrange(10**6)) if rng.random() < 0.6 else None

    return dict(draw())


@pytest.mark.parametrize("seed", range(8))
def test_a_tree_equals_a_dict_and_its_pages_do_not_depend_on_its_history(seed: int) -> None:
    rng = random.Random(seed)
    pages, top, model = Memory(), None, dict[str, Content]()
    for _ in range(20):
        before, old = top, {node.path: node.hash for node in walk(pages, top, "/")}
        step = random_changes(rng)
        top = put(pages, top, step)
        for path, value in step.items():
            model.pop(path, None)
            if value is not None:
                model[path] = value
        nodes = list(walk(pages, top, "/"))
        assert {node.path: node.content for node in nodes if not node.is_directory} == model
        assert [node.path for node in nodes] == sorted(node.path for node in nodes)
        shuffled = list(model.items())
        rng.shuffle(shuffled)
        assert put(pages, None, dict(shuffled)) == top
        new = {node.path: node.hash for node in nodes}
        expected = [path for path in sorted({*old, *new}) if old.get(path) != new.get(path)]
        assert [(a or b).path for a, b in diff(pages, OwnHashes(), before, top, "/")] == expected  # type: ignore[arg-type, union-attr]
        assert faults(pages, before, top) == ""


@pytest.mark.parametrize("count", [100, 100_000])
def test_one_more_file_writes_a_few_pages_however_many_there_are(count: int) -> None:
    pages = Memory()
    top = put(pages, None, {f"/img_{i:06d}.png": content(i) for i in range(count)})
    before = pages.names()
    after = put(pages, top, {"/img_000050.jpg": content(7)})
    assert len(pages.names() - before) <= 6
    assert len(list(diff(pages, OwnHashes(), top, after, "/"))) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ({"/a": 1}, {"/a/b": 2}, "collision (/a/)"),
        ({"/a/b": 1}, {"/a": 2}, "collision (/a/)"),
        ({"/a": 1, "/a-b": 1, "/a.c": 1}, {"/a/b/c": 2}, "collision (/a/)"),
        ({}, {"/x/a": 1, "/x/a/b": 2}, "collision (/x/a/)"),
        ({"/a": 1}, {"/ab/c": 2}, ""),
    ],
)
def test_a_file_and_a_directory_of_one_name_are_a_fault(
    first: dict[str, int], second: dict[str, int], found: str
) -> None:
    pages = Memory()
    old = put(pages, None, {path: content(number) for path, number in first.items()})
    new = put(pages, old, {path: content(number) for path, number in second.items()})
    assert found in faults(pages, old, new)
    assert bool(found) == bool(faults(pages, old, new))
