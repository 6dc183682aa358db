"""Comparison and validation of directories; pages that two directories share are not read."""

from __future__ import annotations

from collections.abc import Iterator

from pachyderm.store.objects.changes import parse_key
from pachyderm.store.objects.directories import DirectoryHashes, Loader, Node, entries, find, walk
from pachyderm.store.objects.prolly_tree import Entry

NodePair = tuple[Node | None, Node | None]
"""Old and new node of one path; None on the side that lacks it."""


def unshared(pages: Loader, old: bytes | None, new: bytes | None) -> tuple[list[bytes], list[bytes]]:
    """Return the leaf pages of each of two directories that the other one lacks, in order."""
    left, right = [old] if old else [], [new] if new else []
    left_level, right_level = (pages.load(top).level if top else -1 for top in (old, new))
    while left or right:
        if left_level == right_level or not left or not right:
            common = set(left) & set(right)
            left = [name for name in left if name not in common]
            right = [name for name in right if name not in common]
            if (left_level <= 0 or not left) and (right_level <= 0 or not right):
                break
        if left and left_level > 0 and (left_level >= right_level or not right):
            left, was = _children(pages, left), left_level
            if right and right_level == was:
                right, right_level = _children(pages, right), right_level - 1
            left_level -= 1
        elif right and right_level > 0:
            right, right_level = _children(pages, right), right_level - 1
    return left, right


def _children(pages: Loader, names: list[bytes]) -> list[bytes]:
    children: list[bytes] = []
    for name in names:
        page = pages.load(name)
        children.extend(page.hash_at(number) for number in range(len(page.keys)))
    return children


def _content(pages: Loader, leaves: list[bytes]) -> Iterator[Entry]:
    for name in leaves:
        page = pages.load(name)
        for number, key in enumerate(page.keys):
            yield key, page.sizes[number], page.hash_at(number)


def _node(prefix: str, entry: Entry) -> Node:
    key, size, name = entry
    if key.endswith(b"/"):
        return Node(prefix + key.decode(), size, name, "")
    path, datum = parse_key(key)
    return Node(prefix + path, size, name, datum)


def diff(
    pages: Loader, hashes: DirectoryHashes, old: bytes | None, new: bytes | None, prefix: str
) -> Iterator[NodePair]:
    """Yield the differences below a directory in byte order of the paths; directories differ if their hashes do.

    Args:
        pages: loads pages.
        hashes: hashes of directories.
        old: id of the old directory's root page; None if it does not exist.
        new: id of the new directory's root page; None if it does not exist.
        prefix: the directory's path, ending in a slash.
    """
    if old == new:
        return
    left, right = (_content(pages, leaves) for leaves in unshared(pages, old, new))
    a, b = next(left, None), next(right, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a[0] < b[0]):
            yield from ((node, None) for node in _subtree(pages, _node(prefix, a)))  # type: ignore[arg-type]
            a = next(left, None)
        elif a is None or b[0] < a[0]:
            yield from ((None, node) for node in _subtree(pages, _node(prefix, b)))
            b = next(right, None)
        else:
            if a[2] != b[2]:
                before, after = _node(prefix, a), _node(prefix, b)
                if not after.is_directory or hashes.of(before.hash) != hashes.of(after.hash):
                    yield before, after
                if after.is_directory:
                    yield from diff(pages, hashes, before.hash, after.hash, after.path)
            a, b = next(left, None), next(right, None)


def _subtree(pages: Loader, node: Node) -> Iterator[Node]:
    yield node
    if node.is_directory:
        yield from walk(pages, node.hash, node.path)


def faults(pages: Loader, old: bytes | None, new: bytes | None, prefix: str = "/") -> str:
    """Return the first fault of a directory in pachd's words; empty if it is valid.

    A name must not be both a file and a directory, nor a file of several datums.

    Args:
        pages: loads pages.
        old: root page of a valid directory; what the new one shares with it is not checked again.
        new: root page of the directory to check.
        prefix: the directory's path, ending in a slash.
    """
    if old == new:
        return ""
    for name in unshared(pages, old, new)[1]:
        page = pages.load(name)
        for number, key in enumerate(page.keys):
            if key.endswith(b"/"):
                if find(pages, new, key[:-1]):
                    return f"file / directory path collision ({prefix}{key.decode()})"
                before = find(pages, old, key)
                fault = faults(pages, before[1] if before else None, page.hash_at(number), prefix + key.decode())
                if fault:
                    return fault
                continue
            plain = key.partition(b"\0")[0]
            if old and find(pages, new, plain + b"/"):
                return f"file / directory path collision ({prefix}{plain.decode()}/)"
            # Keys of other datums of the same name follow on this page, or, after its last key, on the next one.
            if (plain != key or number == len(page.keys) - 1) and (text := _duplicate(pages, new, plain, prefix)):
                return text
    return ""


def _duplicate(pages: Loader, top: bytes | None, name: bytes, prefix: str) -> str:
    datums = []
    for key, _, _ in entries(pages, top, name):
        if key.partition(b"\0")[0] != name:
            break
        datums.append(parse_key(key)[1])
    if len(datums) < 2:
        return ""
    path = prefix + name.decode()
    return f"duplicate path output by different datums ({path} from {datums[0]} and {path} from {datums[1]})"
