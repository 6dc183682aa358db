"""The demo's timeline: what it shows is read from the store."""

from __future__ import annotations

from pathlib import Path

from stage_harness import StageHarness

from cli.demo.report import COLUMNS, write_report
from cli.demo.timeline import Timeline
from pachyderm.dag.promotion import promote, rollback
from pachyderm.dag.repos import INPUT_IMAGES, TRAINING
from pix2pix.facades import generator


def followed(harness: StageHarness) -> Timeline:
    """Return the timeline of two trainings, two sets of pictures, a promotion by hand and a rollback."""
    timeline = Timeline(harness.target)
    timeline.begin()
    harness.put(TRAINING, {"/a.png": "A"})
    harness.run("train", "export")
    timeline.add("first pairs", 1.0)
    harness.put(INPUT_IMAGES, {"/a.png": "1", "/b.png": "2"})
    harness.run("resize", "generate")
    timeline.add("two pictures", 2.0)
    harness.put(INPUT_IMAGES, {"/<c>.png": "3"})
    harness.run("resize", "generate")
    timeline.add("<one> more", 3.0)
    harness.put(TRAINING, {"/a.png": "B", "/pix2pix.toml": "promote=never"})
    harness.run("train", "export")
    timeline.add("other pairs", 4.0)
    promote(harness.client, None, 10.0**10)
    harness.run("generate")
    timeline.add("promote", 4.0)
    rollback(harness.client, None, 10.0**10 + 1)
    harness.run("generate")
    timeline.add("rollback", 5.0)
    return timeline


def test_the_timeline_shows_who_moved_each_head_and_what_each_stage_computed(harness: StageHarness) -> None:
    first, pictures, more, second, by_hand, back = followed(harness).entries
    assert [(move.branch, move.actor) for move in first.moves] == [
        ("training@master", "you: pix2pix put"),
        ("model@master", "the stage export: promotion"),
    ]
    assert [(commit.stage, commit.outcome) for commit in first.commits] == [
        ("train", "computed"),
        ("export", "computed"),
    ]
    assert "held-out L1 0.5000" in first.commits[0].figures
    assert [commit.figures for commit in pictures.commits] == [("2 of 2 computed, 0 carried over",)] * 2
    assert [commit.figures for commit in more.commits] == [("1 of 3 computed, 2 carried over",)] * 2
    assert [commit.stage for commit in second.commits] == ["train", "export"]
    assert second.commits[1].figures == ("held back: the harness says so",)
    assert [move.branch for move in second.moves] == ["training@master"]
    assert [(move.branch, move.actor, move.commit) for move in by_hand.moves] == [
        ("model@master", "you: pix2pix promote", second.commits[1].id)
    ]
    assert [commit.figures for commit in by_hand.commits] == [("3 of 3 computed, 0 carried over",)]
    assert [(move.branch, move.actor, move.commit) for move in back.moves] == [
        ("model@master", "you: pix2pix rollback", first.moves[1].commit)
    ]
    (reused,) = back.commits
    assert reused.outcome == "reused" and reused.figures[0].startswith("3 reused from ")


def test_the_report_shows_the_loop_first_and_links_records_and_lineages(harness: StageHarness, tmp_path: Path) -> None:
    timeline = followed(harness)
    for caption, folder in COLUMNS:
        make = generator.make_facades if caption == "target" else generator.make_labels
        make(tmp_path / folder, 2, 32, seed=2)
    steps = [{"step": 1, "what": "<rollback>", "moved": "", "ran": "2 of 2 pictures are identical", "seconds": "1"}]
    page = write_report(tmp_path, harness.target, steps, timeline.entries).read_text()
    assert page.index("The loop") < page.index("The same pictures by each model") < page.index("The chain of commits")
    assert "&lt;one&gt; more" in page and "<one>" not in page and "<rollback>" not in page
    for entry in timeline.entries:
        for commit in entry.commits:
            assert f'href="records/{commit.page}"' in page and f'href="lineage/{commit.page}"' in page
            assert (tmp_path / "records" / commit.page).read_bytes() == commit.report
    assert page.count("<img") == 2 * len(COLUMNS)
    assert (tmp_path / "picture.png").is_file()
