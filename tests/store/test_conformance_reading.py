"""Files: listing, matching, reading and comparing."""

import hashlib

import grpc
import pytest
from pachyderm_sdk.api import pfs
from server_under_test import Pachd, refused

pytestmark = pytest.mark.conformance

NOT_FOUND = grpc.StatusCode.NOT_FOUND
FILE, DIR = pfs.FileType.FILE, pfs.FileType.DIR


@pytest.fixture
def branch(pachd: Pachd) -> pfs.Branch:
    return pfs.Branch(repo=pachd.repo(), name="master")


@pytest.fixture
def commit(pachd: Pachd, branch: pfs.Branch) -> pfs.Commit:
    return pachd.start(branch)


@pytest.fixture
def tree(pachd: Pachd, branch: pfs.Branch) -> pfs.Commit:
    return pachd.write(
        branch, {"/a.png": b"a", "/b.txt": b"bb", "/d/1.png": b"1", "/d/2.jpg": b"22", "/d/e/3.png": b"333"}
    )


def test_a_directory_lists_its_children_in_byte_order(pachd: Pachd, tree: pfs.Commit) -> None:
    assert pachd.ls(tree) == ["/a.png", "/b.txt", "/d/"]
    assert pachd.ls(tree, "/d") == pachd.ls(tree, "/d/") == ["/d/1.png", "/d/2.jpg", "/d/e/"]


def test_a_list_of_a_file_is_that_file(pachd: Pachd, tree: pfs.Commit) -> None:
    assert pachd.ls(tree, "/a.png") == ["/a.png"]


def test_a_list_can_be_read_in_pages(pachd: Pachd, tree: pfs.Commit) -> None:
    assert pachd.ls(tree, number=2) == ["/a.png", "/b.txt"]
    assert pachd.ls(tree, pagination_marker=pachd.file(tree, "/b.txt"), number=5) == ["/d/"]
    assert pachd.ls(tree, number=2, reverse=True) == ["/d/", "/b.txt"]


def test_a_walk_goes_depth_first_from_the_root(pachd: Pachd, tree: pfs.Commit) -> None:
    whole = ["/", "/a.png", "/b.txt", "/d/", "/d/1.png", "/d/2.jpg", "/d/e/", "/d/e/3.png"]
    assert pachd.walk(tree) == whole
    assert pachd.walk(tree, "") == whole
    assert pachd.walk(tree, "/d/e") == ["/d/e/", "/d/e/3.png"]
    assert pachd.walk(tree, number=3) == whole[:3]


def test_a_commit_without_files_has_no_root(pachd: Pachd, commit: pfs.Commit) -> None:
    for _ in ("open", "finished"):
        assert pachd.walk(commit) == pachd.ls(commit) == pachd.glob(commit, "/") == []
        with refused("not found", NOT_FOUND):
            pachd.client.pfs.inspect_file(file=pachd.file(commit, "/"))
        with refused("not found", NOT_FOUND):
            pachd.tar(commit)
        if pachd.is_open(commit):
            pachd.finish(commit)


def test_a_list_of_a_missing_path_is_empty(pachd: Pachd, commit: pfs.Commit) -> None:
    pachd.put(commit, {"/a": b"1"})
    assert pachd.ls(commit, "/nothing") == []


@pytest.mark.parametrize("path", ["nothing", "/d/nothing", "/a.png/x"])
def test_a_missing_path_is_not_found(pachd: Pachd, tree: pfs.Commit, path: str) -> None:
    with refused("", NOT_FOUND):
        pachd.client.pfs.inspect_file(file=pachd.file(tree, path))
    with refused("", NOT_FOUND):
        pachd.walk(tree, path)
    with refused("", NOT_FOUND):
        pachd.read(tree, path)
    with refused("", NOT_FOUND):
        pachd.tar(tree, path)
    assert not pachd.client.pfs.path_exists(file=pachd.file(tree, path))


def test_files_and_directories_have_their_types(pachd: Pachd, tree: pfs.Commit) -> None:
    inspect = pachd.client.pfs.inspect_file
    file = inspect(file=pachd.file(tree, "/d/2.jpg"))
    assert (file.file_type, file.size_bytes, file.file.path) == (FILE, 2, "/d/2.jpg")
    assert file.file.commit.id == tree.id
    assert file.committed == pachd.info(tree).finishing
    for path in ("/d", "/d/"):
        folder = inspect(file=pachd.file(tree, path))
        assert (folder.file_type, folder.size_bytes, folder.file.path) == (DIR, 6, "/d/")


def test_a_read_can_begin_inside_a_file(pachd: Pachd, tree: pfs.Commit) -> None:
    assert pachd.read(tree, "/d/e/3.png", offset=1) == b"33"
    assert pachd.read(tree, "/d/e/3.png", offset=0) == b"333"


def test_a_directory_cannot_be_read_as_a_file(pachd: Pachd, tree: pfs.Commit) -> None:
    with refused():
        pachd.read(tree, "/d")


def test_a_pattern_that_hits_one_file_reads_it(pachd: Pachd, tree: pfs.Commit) -> None:
    assert pachd.read(tree, "/d/*.jpg") == b"22"


def test_a_tar_brings_files_with_names_sizes_and_bytes(pachd: Pachd, tree: pfs.Commit) -> None:
    assert pachd.files(tree, "/d") == {"/d/1.png": b"1", "/d/2.jpg": b"22", "/d/e/3.png": b"333"}
    assert pachd.files(tree, "/**.png") == {"/a.png": b"a", "/d/1.png": b"1", "/d/e/3.png": b"333"}
    assert list(pachd.files(tree)) == ["/a.png", "/b.txt", "/d/1.png", "/d/2.jpg", "/d/e/3.png"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/", ["/"]),
        ("*", ["/a.png", "/b.txt", "/d/"]),
        ("/*", ["/a.png", "/b.txt", "/d/"]),
        ("/*.png", ["/a.png"]),
        ("/**.png", ["/a.png", "/d/1.png", "/d/e/3.png"]),
        ("/d/*", ["/d/1.png", "/d/2.jpg", "/d/e/"]),
        ("/d", ["/d/"]),
        ("/d/", ["/d/"]),
        ("*/*", ["/d/1.png", "/d/2.jpg", "/d/e/"]),
        ("/d/[0-1].png", ["/d/1.png"]),
        ("/d/[!1].*", ["/d/2.jpg"]),
        ("/d/?.png", ["/d/1.png"]),
        ("/{a,b}.*", ["/a.png", "/b.txt"]),
        ("/d/*.@(png|jpg)", ["/d/1.png", "/d/2.jpg"]),
        ("/d/!(1).*", ["/d/2.jpg"]),
        ("/d/+(1|2).*", ["/d/1.png", "/d/2.jpg"]),
        ("/+(a|.)*.png", ["/a.png"]),
        ("/*(a|.)?png", ["/a.png"]),
        ("/[[:alpha:]].*", ["/a.png", "/b.txt"]),
        ("/nothing*", []),
        ("**", ["/a.png", "/b.txt", "/d/", "/d/1.png", "/d/2.jpg", "/d/e/", "/d/e/3.png"]),
    ],
)
def test_a_glob_finds_files_and_directories(pachd: Pachd, tree: pfs.Commit, pattern: str, expected: list[str]) -> None:
    assert pachd.glob(tree, pattern) == expected


@pytest.mark.parametrize("pattern", ["/[a", "/d/[1-"])
def test_a_malformed_glob_is_refused(pachd: Pachd, tree: pfs.Commit, pattern: str) -> None:
    with refused():
        pachd.glob(tree, pattern)


def test_a_glob_can_be_cut_by_a_range_of_paths(pachd: Pachd, tree: pfs.Commit) -> None:
    assert pachd.glob(tree, "**", path_range=pfs.PathRange(lower="/b.txt", upper="/d/2.jpg")) == [
        "/b.txt",
        "/d/",
        "/d/1.png",
    ]


def test_an_open_commit_reads_as_its_parent_and_what_was_written_so_far(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.write(branch, {"/a": b"1"})
    commit = pachd.start(branch)
    pachd.put(commit, {"/b": b"2"})
    assert pachd.files(commit) == {"/a": b"1", "/b": b"2"}
    assert pachd.ls(commit) == ["/a", "/b"]
    assert pachd.glob(commit, "*") == ["/a", "/b"]


def test_an_output_commit_cannot_be_read_while_its_parent_is_open(pachd: Pachd) -> None:
    source, output = pachd.repos("source", "output")
    upstream = pachd.branch(source)
    branch = pachd.branch(output, on=[upstream])
    pachd.write(upstream, {})
    with refused("unfinished"):
        pachd.ls(branch)


def test_equal_contents_have_equal_hashes_wherever_they_are(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.write(branch, {"/a": b"same", "/b/c": b"same", "/d": b"other"})
    elsewhere = pachd.write(pfs.Branch(repo=pachd.repo("elsewhere"), name="master"), {"/z": b"same"})
    inspect = pachd.client.pfs.inspect_file
    a, c, d = (inspect(file=pachd.file(commit, path)).hash for path in ("/a", "/b/c", "/d"))
    assert a == c == inspect(file=pachd.file(elsewhere, "/z")).hash
    assert a != d


def test_the_hash_of_a_small_file_is_blake2b_of_blake2b(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.write(branch, {"/a": b"content"})
    inner = hashlib.blake2b(b"content", digest_size=32).digest()
    expected = hashlib.blake2b(inner, digest_size=32).digest()
    assert pachd.client.pfs.inspect_file(file=pachd.file(commit, "/a")).hash == expected


def test_the_hash_does_not_depend_on_how_the_content_was_written(pachd: Pachd, branch: pfs.Branch) -> None:
    whole = pachd.write(branch, {"/a": b"onetwo"})
    parts = pachd.start(branch)
    pachd.modify(parts, pfs.DeleteFile(path="/a"), pfs.AddFile(path="/a", raw=b"one"))
    pachd.modify(parts, pfs.AddFile(path="/a", raw=b"two"))
    pachd.finish(parts)
    inspect = pachd.client.pfs.inspect_file
    hashes = {inspect(file=pachd.file(commit, "/a")).hash for commit in (whole, parts)}
    assert pachd.read(parts, "/a") == b"onetwo"
    assert len(hashes) == 1


def diff(pachd: Pachd, new: pfs.File, old: pfs.File | None = None) -> list[tuple[str, str]]:
    """Return (new path, old path) of each difference; empty on the side that lacks the path."""
    found = pachd.client.pfs.diff_file(new_file=new, old_file=old)
    return [(each.new_file.file.path, each.old_file.file.path) for each in found]


def test_a_difference_names_the_file_and_the_directories_above_it(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.write(branch, {"/kept": b"0", "/d/kept": b"0", "/d/changed": b"1", "/d/gone": b"2"})
    commit = pachd.start(branch)
    pachd.modify(
        commit,
        pfs.DeleteFile(path="/d/changed"),
        pfs.AddFile(path="/d/changed", raw=b"new"),
        pfs.DeleteFile(path="/d/gone"),
        pfs.AddFile(path="/d/added", raw=b"3"),
    )
    expected = [("/", "/"), ("/d/", "/d/"), ("/d/added", ""), ("/d/changed", "/d/changed"), ("", "/d/gone")]
    assert diff(pachd, pachd.file(commit, "/")) == expected
    pachd.finish(commit)
    assert diff(pachd, pachd.file(commit, "/")) == expected


def test_two_commits_alike_show_no_difference(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.write(branch, {"/a": b"1"})
    same = pachd.write(branch, {"/a": b"1"})
    assert diff(pachd, pachd.file(same, "/")) == []


def test_the_first_commit_differs_in_all_it_holds(pachd: Pachd, branch: pfs.Branch) -> None:
    first = pachd.write(branch, {"/a": b"1"})
    assert diff(pachd, pachd.file(first, "/")) == [("/", ""), ("/a", "")]


def test_any_two_commits_can_be_compared(pachd: Pachd, branch: pfs.Branch) -> None:
    first = pachd.write(branch, {"/a": b"1"})
    pachd.write(branch, {"/b": b"2"})
    third = pachd.write(branch, {"/c": b"3"})
    expected = [("/", "/"), ("/b", ""), ("/c", "")]
    assert diff(pachd, pachd.file(third, "/"), pachd.file(first, "/")) == expected
