"""`pix2pix plan` against what the stages then do, and that it writes nothing."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from stage_harness import StageHarness

from components.train.stage import effort
from pachyderm.client.branches import BranchName
from pachyderm.client.changes import changes_of
from pachyderm.client.commits import all_commits
from pachyderm.client.connection import Connection
from pachyderm.client.files import FileEntry
from pachyderm.client.files import files as files_of
from pachyderm.dag.repos import INPUT_IMAGES, MODEL, REPOS, RESIZE, STAGES, TRAIN, TRAINING
from pachyderm.forecast.earlier_runs import on_line
from pachyderm.forecast.outlook import forecast
from pachyderm.forecast.proposal import proposed
from pachyderm.forecast.stage_forecast import Forecast, StageForecast
from pachyderm.queue.claims import take
from pachyderm.record.stage_record import StageRecord

PAIRS = {"/1.png": "one", "/2.png": "two"}
PICTURES = {f"/{name}.png": name for name in "abcd"}


def foreseen(harness: StageHarness, **proposal: object) -> Forecast:
    return forecast(harness.client, harness.stages().__getitem__, **proposal)  # type: ignore[arg-type]


def about_to_be_put(
    harness: StageHarness, branch: BranchName, files: Mapping[str, str], mirror: bool = False
) -> Forecast:
    """The forecast for files that are not put."""
    folder = harness.folder / "about to be put"
    folder.mkdir(exist_ok=True)
    sources = {}
    for number, (path, text) in enumerate(files.items()):
        sources[path] = folder / str(number)
        sources[path].write_text(text)
    changes = changes_of(harness.client, branch, sources, mirror_under="/" if mirror else None)
    return foreseen(harness, proposed=proposed(harness.client, branch, changes))


def done(record: StageRecord) -> tuple[int, int, int]:
    """(computed, carried, reused) as a plan counts them; files that turned out to be bad were computed too."""
    whole = record.stage in ("train", "export")
    if record.outcome == "empty":
        return 0, 0, 0
    if record.outcome == "reused":
        return 0, 0, 1 if whole else len(record.files)
    return (1, 0, 0) if whole else (record.counts.computed, record.counts.carried, 0)


def figures(row: StageForecast) -> tuple[int, int, int]:
    return row.compute, row.carry, row.reuse


def run_all(harness: StageHarness) -> None:
    harness.run(*(spec.name for spec in STAGES))


def ended(harness: StageHarness) -> dict[str, set[str]]:
    """Return stage -> its commits that have ended."""
    return {
        spec.name: {commit.id for commit in all_commits(harness.client, spec.output.repo) if commit.ended}
        for spec in STAGES
    }


@pytest.fixture
def loop(harness: StageHarness) -> StageHarness:
    """A store with a promoted model and generated pictures, all by the harness's stages."""
    harness.put(TRAINING, PAIRS)
    harness.put(INPUT_IMAGES, PICTURES)
    run_all(harness)
    return harness


CHANGES = {
    "a picture is added": (INPUT_IMAGES, {**PICTURES, "/e.png": "e"}),
    "a picture is changed": (INPUT_IMAGES, {**PICTURES, "/a.png": "A"}),
    "a picture is renamed": (INPUT_IMAGES, {**{k: v for k, v in PICTURES.items() if k != "/a.png"}, "/z.png": "a"}),
    "a picture is removed": (INPUT_IMAGES, {k: v for k, v in PICTURES.items() if k != "/a.png"}),
    "a parameter is changed": (INPUT_IMAGES, {**PICTURES, "/pix2pix.toml": "size=32"}),
    "all pictures are removed": (INPUT_IMAGES, {"/pix2pix.toml": "size=64"}),
    "a pair is added": (TRAINING, {**PAIRS, "/3.png": "three"}),
    "a training parameter is changed": (TRAINING, {**PAIRS, "/pix2pix.toml": "size=32"}),
    "a training parameter is set to its default": (TRAINING, {**PAIRS, "/pix2pix.toml": "size=64"}),
}


def test_a_plan_states_what_the_run_then_does_before_and_after_the_put(loop: StageHarness) -> None:
    for change, (branch, files) in CHANGES.items():
        before = about_to_be_put(loop, branch, files, mirror=True)
        loop.put(branch, files, mirror=True)
        after = foreseen(loop)
        assert [figures(row) for row in before.stages] == [figures(row) for row in after.stages], change
        assert all(row.commit is None for row in before.stages), change
        rows = {row.stage: row for row in after.stages}
        before_run = ended(loop)
        run_all(loop)
        made = {name for name, commits in ended(loop).items() if commits != before_run[name]}
        assert made == rows.keys(), change
        for spec in (spec for spec in STAGES if spec.name in rows):
            row, commit = rows[spec.name], loop.head(spec.output)
            assert row.commit == (None if row.condition else commit.id), (change, spec.name)
            assert figures(row) == done(loop.record(commit)), (change, spec.name)
        assert foreseen(loop) == Forecast((), 0), change


def test_going_back_is_planned_as_reuse_and_is(loop: StageHarness) -> None:
    loop.put(INPUT_IMAGES, {"/pix2pix.toml": "size=32", "/a.png": "changed"})
    run_all(loop)
    loop.put(INPUT_IMAGES, PICTURES, mirror=True)
    rows = foreseen(loop).stages
    assert [(row.stage, figures(row)) for row in rows] == [("resize", (0, 0, 4)), ("generate", (0, 0, 4))]
    run_all(loop)
    assert [done(loop.record(loop.head(spec.output))) for spec in STAGES[2:]] == [(0, 0, 4), (0, 0, 4)]


def test_several_open_commits_are_planned_as_they_build_on_each_other(loop: StageHarness) -> None:
    sets = [
        loop.put(INPUT_IMAGES, {"/e.png": "e"}),
        loop.put(INPUT_IMAGES, {"/f.png": "f", "/a.png": "bad"}),
        loop.put(INPUT_IMAGES, {**PICTURES, "/g.png": "e"}, mirror=True),
        loop.put(INPUT_IMAGES, {**PICTURES, "/e.png": "e"}, mirror=True),
    ]
    rows = {(row.stage, row.commit): figures(row) for row in foreseen(loop).stages}
    assert rows["resize", sets[0]] == (1, 4, 0) and rows["resize", sets[1]] == (2, 4, 0)
    run_all(loop)
    for spec in STAGES[2:]:
        for commit_set in sets:
            computed, carried, reused = done(loop.record(loop.output(spec.output, commit_set)))
            bad = int((spec.name, commit_set) == ("resize", sets[1]))
            if spec.name == "generate" and commit_set == sets[1]:
                # The plan cannot know that the picture is bad.
                assert rows[spec.name, commit_set] == (computed + 1, carried, reused)
            else:
                assert rows[spec.name, commit_set] == (computed + bad, carried, reused), (spec.name, commit_set)


def test_a_training_that_a_newer_one_supersedes_is_not_planned(loop: StageHarness) -> None:
    loop.put(TRAINING, {"/3.png": "three"})
    newest = loop.put(TRAINING, {"/4.png": "four"})
    assert [(row.stage, row.commit) for row in foreseen(loop).stages] == [
        ("train", newest),
        ("export", newest),
        ("generate", None),
    ]
    proposal = about_to_be_put(loop, TRAINING, {"/5.png": "five"})
    assert [(row.stage, row.commit) for row in proposal.stages] == [
        ("train", None),
        ("export", None),
        ("generate", None),
    ]


def test_a_training_that_is_under_way_is_planned_although_a_newer_one_is_open(loop: StageHarness) -> None:
    """The trigger supersedes no commit set with a live claim."""
    under_way = loop.put(TRAINING, {"/3.png": "three"})
    assert take(loop.client, loop.output(TRAIN.output, under_way), "run", "attempt") is not None
    newest = loop.put(TRAINING, {"/4.png": "four"})
    assert [row.commit for row in foreseen(loop).stages if row.stage == "train"] == [under_way, newest]


def test_a_put_is_planned_with_the_parameters_that_the_branch_has(loop: StageHarness) -> None:
    loop.put(INPUT_IMAGES, {"/pix2pix.toml": "size=32"})
    run_all(loop)
    rows = about_to_be_put(loop, INPUT_IMAGES, {"/e.png": "e"}).stages
    assert [(row.stage, figures(row)) for row in rows] == [("resize", (1, 4, 0)), ("generate", (1, 4, 0))]


def test_what_a_failed_commit_leads_to_is_planned_as_nothing_and_names_it(loop: StageHarness) -> None:
    commit_set = loop.put(INPUT_IMAGES, {"/e.png": "e"})
    failed = loop.output(RESIZE.output, commit_set)
    loop.client.pfs.finish_commit(commit=loop.client.commit(failed.repo, failed.id), error="the disk is broken")
    (row,) = foreseen(loop).stages
    assert (row.stage, figures(row)) == ("generate", (0, 0, 0))
    assert f"its input {failed} ended with an error: the disk is broken" in row.note


def test_without_an_earlier_run_the_duration_is_unknown(harness: StageHarness) -> None:
    harness.put(INPUT_IMAGES, PICTURES)
    resize, generate = foreseen(harness).stages
    assert (resize.compute, resize.seconds, resize.bytes) == (4, None, None)
    assert figures(generate) == (0, 0, 0) and "something in model" in generate.note
    assert foreseen(harness).seconds is None


def test_a_plan_writes_nothing_and_takes_sizes_from_earlier_runs(loop: StageHarness) -> None:
    def everything() -> list[object]:
        return [list(all_commits(loop.client, repo)) for repo in REPOS]

    before = everything()
    about_to_be_put(loop, TRAINING, {"/3.png": "three"})
    resize, generate = about_to_be_put(loop, INPUT_IMAGES, {"/e.png": "e"}).stages
    assert everything() == before
    assert resize.bytes == len("small(a)") and generate.bytes == len("made(small(a))")


def test_durations_scale_with_files_and_with_the_effort_of_a_training() -> None:
    assert on_line([(1000, 20.0)], 1) == pytest.approx(0.02)
    assert on_line([(1, 2.0), (1000, 22.0)], 500) == pytest.approx(2 + 20 * 499 / 999)
    assert on_line([(1, 9.0), (100, 3.0)], 50) == pytest.approx(6.0), "never less for more files"
    defaults = {"max_steps": 100, "size": 64, "ngf": 16}
    assert effort(defaults | {"max_steps": 200}, 50) == 2 * effort(defaults, 50)
    assert effort({"max_epochs": 2}, 200) == 2 * effort({"max_epochs": 2}, 100)
    assert effort({"max_seconds": 60.0}, 100) == 0


def test_a_plan_lists_no_commit_whose_record_it_has_read(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.put(INPUT_IMAGES, PICTURES)
    harness.run("resize")
    harness.put(INPUT_IMAGES, {"/e.png": "e"})
    listed: list[str] = []

    def files(client: Connection, repo: str, commit_id: str, under: str = "/") -> dict[str, FileEntry]:
        listed.append(repo)
        return files_of(client, repo, commit_id, under)

    monkeypatch.setattr("pachyderm.output.ancestor.files", files)
    rows = foreseen(harness).stages
    assert [(row.stage, row.carry) for row in rows] == [("resize", 4), ("generate", 0), ("generate", 0)]
    assert rows[1].commit != rows[2].commit, "the first is made from the resized pictures that are there"
    assert set(listed) == {MODEL.repo}


def test_a_record_that_cannot_be_read_is_no_earlier_run(
    loop: StageHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loop.put(INPUT_IMAGES, {"/e.png": "e"})
    assert foreseen(loop).seconds is not None
    monkeypatch.setattr("pachyderm.forecast.run_figures.read", lambda *_: b'{"schema": 1, "seconds": "long"}')
    assert foreseen(loop).seconds is None
    assert "stage.json is not a valid stage record" in caplog.text
