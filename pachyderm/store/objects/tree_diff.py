"""What differs between two trees, and what makes a tree invalid, without a look at the pages that they share.

It exists so that comparing two commits, and checking a new one, costs what changed and not what is there.
"""

from __future__ import annotations

from collections.abc import Iterator

from pachyderm.store.objects.changes import parse_key
from pachyderm.store.objects.pages import Entry
from pachyderm.store.objects.trees import FolderHashes, Loader, Node, entries, find, walk

EntryPair = tuple[Node | None, Node | None]
"""Old and new; None where a side has nothing."""


def unshared(pages: Loader, old: bytes | None, new: bytes | None) -> tuple[list[bytes], list[bytes]]:
    """The leaves of each of two directories that the other lacks, in order."""
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
            left, was = _below(pages, left), left_level
            if right and right_level == was:
                right, right_level = _below(pages, right), right_level - 1
            left_level -= 1
        elif right and right_level > 0:
            right, right_level = _below(pages, right), right_level - 1
    return left, right


def _below(pages: Loader, names: list[bytes]) -> list[bytes]:
    below: list[bytes] = []
    for name in names:
        page = pages.load(name)
        below.extend(page.hash_at(number) for number in range(len(page.keys)))
    return below


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


def diff(pages: Loader, hashes: FolderHashes, old: bytes | None, new: bytes | None, prefix: str) -> Iterator[EntryPair]:
    """What differs below a directory, in byte order of the paths; a directory counts where its hash differs.

    Args:
        pages: reads the pages.
        hashes: hashes of directories.
        old: topmost page of the old directory; None where there is none.
        new: likewise.
        prefix: the directory's path, which ends in a slash.
    """
    if old == new:
        return
    left, right = (_content(pages, leaves) for leaves in unshared(pages, old, new))
    a, b = next(left, None), next(right, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a[0] < b[0]):
            yield from ((node, None) for node in _all(pages, _node(prefix, a)))  # type: ignore[arg-type]
            a = next(left, None)
        elif a is None or b[0] < a[0]:
            yield from ((None, node) for node in _all(pages, _node(prefix, b)))
            b = next(right, None)
        else:
            if a[2] != b[2]:
                before, after = _node(prefix, a), _node(prefix, b)
                if not after.is_folder or hashes.of(before.hash) != hashes.of(after.hash):
                    yield before, after
                if after.is_folder:
                    yield from diff(pages, hashes, before.hash, after.hash, after.path)
            a, b = next(left, None), next(right, None)


def _all(pages: Loader, node: Node) -> Iterator[Node]:
    yield node
    if node.is_folder:
        yield from walk(pages, node.hash, node.path)


def faults(pages: Loader, old: bytes | None, new: bytes | None, prefix: str = "/") -> str:
    """The first thing that makes a tree invalid, in pachd's words; empty where there is none.

    Args:
        pages: reads the pages.
        old: a tree without faults; what it shares with the new one needs no look.
        new: the tree's topmost page.
        prefix: the directory's path, which ends in a slash.
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
                below = faults(pages, before[1] if before else None, page.hash_at(number), prefix + key.decode())
                if below:
                    return below
                continue
            plain = key.partition(b"\0")[0]
            if old and find(pages, new, plain + b"/"):
                return f"file / directory path collision ({prefix}{plain.decode()}/)"
            if (plain != key or number == len(page.keys) - 1) and (text := _twice(pages, new, plain, prefix)):
                return text
    return ""


def _twice(pages: Loader, top: bytes | None, name: bytes, prefix: str) -> str:
    datums = []
    for key, _, _ in entries(pages, top, name):
        if key.partition(b"\0")[0] != name:
            break
        datums.append(parse_key(key)[1])
    if len(datums) < 2:
        return ""
    path = prefix + name.decode()
    return f"duplicate path output by different datums ({path} from {datums[0]} and {path} from {datums[1]})"
