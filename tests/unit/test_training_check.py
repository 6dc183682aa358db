"""A training checks its pairs first: bounded in cost, reported, and without effect on what is trained."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from seeded_pairs import edges, mirrored, near_copy
from tiny_model import tiny

from components.train import stage as train_stage
from pachyderm.output.stage import Beginning
from pachyderm.record.stage_record import InputCheck
from pix2pix.datasets.checks import training_check
from pix2pix.datasets.checks.training_check import check_before_training
from pix2pix.images.codec import encode_png
from pix2pix.training.train import train

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen pairs: one half blank, one mirrored, one twice; and a file that cannot be read."""
    folder = tmp_path_factory.mktemp("faulty")
    random = np.random.default_rng(0)
    pairs = {f"{n:02d}.png": edges(1000 + n) for n in range(12)}
    pairs["03.png"] = (pairs["03.png"][0], np.zeros_like(pairs["03.png"][1]))
    pairs["05.png"] = mirrored(pairs["05.png"], random)
    pairs["07-again.png"] = near_copy(edges(1007), random)
    for name, pair in pairs.items():
        encode_png(np.concatenate(pair, axis=1), folder / name)
    (folder / "broken.png").write_bytes(b"")
    return folder


FOUND = {"BLANK": 1, "MIRRORED": 1, "DUPLICATE": 1}


def test_faults_are_counted_the_worst_comes_first_and_unusable_files_are_the_trainings(
    faulty: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        check = check_before_training(faulty, (32, 32))
    assert (check.pairs, check.of, check.counts) == (13, 14, FOUND)
    assert [fault.path for fault in check.worst] == ["03.png", "05.png", "07.png"]
    assert [record.getMessage() for record in caplog.records] == [check.note]
    assert "1 BLANK, 1 MIRRORED, 1 DUPLICATE. The worst, 03.png: B is constant" in (check.note or "")
    assert [len(row.pictures) for row in check.pictured] == [1, 1, 2]
    assert check_before_training(faulty, (32, 32)) == check


def test_of_many_pairs_only_a_part_is_checked_listed_and_pictured(
    faulty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_check, "MOST_PAIRS", 9)
    monkeypatch.setattr(training_check, "MOST_LISTED", 3)
    monkeypatch.setattr(training_check, "MOST_PICTURED", 2)
    check = check_before_training(faulty, (512, 128))
    assert (check.pairs, check.of) == (9, 14)
    assert check.counts["ASPECT"] == 9
    assert (len(check.worst), len(check.pictured)) == (3, 2)
    assert "9 pairs were checked (a sample of 14 files); probable faults: 1 BLANK." in (check.note or "")
    assert "ASPECT" not in (check.note or "")  # the loader reports it, over all pairs


def test_good_pairs_cause_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for n in range(10):
        encode_png(np.concatenate(edges(1000 + n), axis=1), tmp_path / f"{n}.png")
    with caplog.at_level(logging.INFO):
        check = check_before_training(tmp_path, (32, 32))
    assert (check.counts, check.worst, check.note) == ({}, (), None)
    assert caplog.text == ""


@pytest.mark.parametrize("shape", [(2, 2), (2, 4), (3, 2), (2, 40)])
def test_pairs_of_a_pixel_or_two_are_checked_too(tmp_path: Path, shape: tuple[int, int]) -> None:
    for n in range(9):
        encode_png(np.random.default_rng(n).integers(0, 256, (*shape, 3), dtype=np.uint8), tmp_path / f"{n}.png")
    check = check_before_training(tmp_path, (32, 32))
    assert check.pairs == 9
    assert all(0 < fault.score <= 1 for fault in check.worst)


def test_the_training_reports_what_the_check_found(faulty: Path, tmp_path: Path) -> None:
    trained = train(faulty, tmp_path / "work", tiny(max_steps=1, held_out=0.0))
    assert trained.check is not None
    assert trained.check.counts == FOUND
    assert trained.notes == (trained.check.note,)
    report = (tmp_path / "work" / "report.html").read_text(encoding="utf-8")
    section = report.partition("Check of the pairs")[2].partition("Left out")[0]
    assert "13 of 14 pairs were checked; 3 probable faults" in section
    assert section.index("BLANK</h3>".replace("</h3>", " <span")) < section.index("MIRRORED <span")
    assert section.count("data:image/png") == 4


def test_what_is_trained_does_not_depend_on_the_check(
    faulty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = tiny(max_steps=1, held_out=0.3, deterministic=True)
    train(faulty, tmp_path / "all", parameters)
    monkeypatch.setattr(training_check, "MOST_PAIRS", 1)
    train(faulty, tmp_path / "one", parameters)
    with (
        np.load(tmp_path / "all/checkpoint/generator.npz") as a,
        np.load(tmp_path / "one/checkpoint/generator.npz") as b,
    ):
        assert all(np.array_equal(a[name], b[name]) for name in a.files)


def test_colorization_has_no_pairs_to_check(faulty: Path, tmp_path: Path) -> None:
    trained = train(faulty, tmp_path, tiny(max_steps=1, held_out=0.0, lab_colorization=True))
    assert trained.check is None


def test_the_stage_records_what_the_check_found(faulty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_stage, "fetch", lambda job, repo: faulty)
    job: Any = SimpleNamespace(
        keep=tmp_path / "keep",
        parameters=tiny(max_steps=1, held_out=0.0),
        progress=lambda done, total, note: None,
        save=lambda: None,
        start=Beginning(),
    )
    output = train_stage.work(job)
    check = output.check
    assert isinstance(check, InputCheck)
    assert (check.checked, check.files, check.counts) == (13, 14, FOUND)
    assert [(finding.path, finding.code, finding.other) for finding in check.worst] == [
        ("/03.png", "BLANK", ""),
        ("/05.png", "MIRRORED", ""),
        ("/07.png", "DUPLICATE", "/07-again.png"),
    ]
    assert "Check of the pairs" in output.report
