"""The plan of an output commit is a pure function of listings and a record."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.page import MAX_ROWS, page
from components.pictures import assign
from pachyderm.client.files import FileEntry
from pachyderm.output.plan import CarryBase, plan
from pachyderm.record.stage_record import Counts, OutputFile, Rejected, StageRecord

RECORD = StageRecord(
    stage="resize",
    commit="preprocess_images@x",
    outcome="computed",
    inputs=(),
    fingerprint="",
    parts={},
    parameters={},
    parameters_from="",
    versions={},
    run={},
    started=0.0,
    seconds=0.0,
    counts=Counts(),
    files={},
)


def listing(contents: dict[str, str]) -> dict[str, FileEntry]:
    return {path: FileEntry(len(text), f"hash of {text}") for path, text in contents.items()}


def filled(inputs: dict[str, str]) -> CarryBase:
    """Return the base that a plan over `inputs` leads to; the content "bad" is rejected."""
    first = plan(listing(inputs), assign, None)
    files = {}
    for path, output in first.compute.items():
        if inputs[path] != "bad":
            entry = listing(inputs)[path]
            files[output] = OutputFile(9, "sha", f"made of {entry.hash}", path, entry.hash, entry.bytes, "base")
    bad = tuple(Rejected(path, "TRUNCATED", "", "hash of bad") for path in first.compute if inputs[path] == "bad")
    # A record has its files in any order.
    record = replace(RECORD, files=dict(reversed(files.items())), rejected=(*first.rejected, *bad))
    return CarryBase("base", {path: FileEntry(9, output.hash) for path, output in files.items()}, record)


UNKNOWN = Rejected("/unknown.png", "TRUNCATED", "", "hash of something")
"""Was in the base's inputs, and is in no other."""

names = st.sampled_from(["/a.jpg", "/a.png", "/b.png", "/c/d.jpg", "/c/e.bmp", "/f.tif"])
texts = st.dictionaries(names, st.sampled_from(["1", "2", "3", "bad"]))


@given(texts, texts)
def test_every_input_is_work_carried_or_rejected_exactly_once(before: dict[str, str], now: dict[str, str]) -> None:
    planned = plan(listing(now), assign, filled(before))
    paths = [*planned.compute, *planned.carried, *(entry.path for entry in planned.rejected)]
    assert sorted(paths) == sorted(now)


@given(texts, texts)
def test_what_is_carried_was_made_from_the_same_content(before: dict[str, str], now: dict[str, str]) -> None:
    for path, (output, carried) in plan(listing(now), assign, filled(before)).carried.items():
        assert carried.entry.hash == f"made of hash of {now[path]}"
        assert output == assign(list(now))[0][path]


@given(texts, texts)
def test_only_content_that_the_base_has_not_seen_is_work(before: dict[str, str], now: dict[str, str]) -> None:
    planned = plan(listing(now), assign, filled(before))
    base = filled(before)
    seen = {output.source_hash for output in base.record.files.values()}
    seen |= {entry.hash for entry in base.record.rejected if entry.code == "TRUNCATED"}
    assert all(f"hash of {now[path]}" not in seen for path in planned.compute)
    assert all(f"hash of {now[path]}" in seen for path in planned.carried)


@given(texts, st.dictionaries(names, st.sampled_from(["1", "2", "3", "bad"])))
def test_names_taken_from_the_base_are_those_that_the_paths_have(before: dict[str, str], now: dict[str, str]) -> None:
    base = filled(before)
    # The same paths, some with other contents, for which the names can be taken from the base.
    now = {path: now.get(path, text) for path, text in before.items()}
    elsewhere = replace(base, record=replace(base.record, rejected=(*base.record.rejected, UNKNOWN)))
    shortened, whole = plan(listing(now), assign, base), plan(listing(now), assign, elsewhere)
    assert (shortened.compute, shortened.carried) == (whole.compute, whole.carried)
    assert list(shortened.carried) == list(whole.carried) and list(shortened.compute) == list(whole.compute)
    assert set(shortened.rejected) == set(whole.rejected)


@pytest.mark.parametrize("rejected", ["nothing", "a name", "a content"])
def test_the_names_of_unchanged_paths_are_not_found_again(rejected: str) -> None:
    extra = {"nothing": {}, "a name": {"/a.png": "2"}, "a content": {"/z.png": "bad"}}[rejected]
    base = filled({"/a.jpg": "1", "/b.png": "1", **extra})
    planned = plan(listing({"/a.jpg": "1", "/b.png": "changed", **extra}), never, base)
    assert (planned.compute, list(planned.carried)) == ({"/b.png": "/b.png"}, ["/a.jpg"])
    assert [entry.path for entry in planned.rejected] == list(extra)


def never(paths: Collection[str]) -> NoReturn:
    raise AssertionError(f"the names of {len(paths)} paths are known")


def test_without_a_base_everything_is_work() -> None:
    assert set(plan(listing({"/a.jpg": "1", "/b.png": "2"}), assign, None).compute) == {"/a.jpg", "/b.png"}


def test_a_collision_is_decided_by_the_listing_alone_and_never_carried_over() -> None:
    base = filled({"/a.jpg": "1", "/a.png": "2"})
    assert [(entry.path, entry.code) for entry in base.record.rejected] == [("/a.png", "NAME_COLLISION")]
    assert plan(listing({"/a.png": "2"}), assign, base).compute == {"/a.png": "/a.png"}


def test_the_report_of_a_large_commit_lists_some_of_the_files_and_says_where_all_are() -> None:
    rejected = tuple(Rejected(f"/{number:06}.jpg", "TRUNCATED", "it is cut short") for number in range(20_000))
    text = page(replace(RECORD, rejected=rejected), {})
    assert len(text) < 200_000
    assert "/000000.jpg" in text
    assert f"and {20_000 - MAX_ROWS} more, which /_report/rejected.json lists" in text


def test_the_report_counts_the_pictures_that_it_does_not_show(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"png")
    shown = {f"/{number}.png": tmp_path / "a.png" for number in range(3)}
    text = page(replace(RECORD, counts=Counts(1000, 1000, 0, 1000, 0, 0)), shown)
    assert "and 997 more" in text
    assert f"pix2pix get {RECORD.commit[: RECORD.commit.index('@') + 13]} FOLDER" in text
