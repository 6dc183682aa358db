"""Training and work on folders through `import pix2pix`, as in a script or a notebook."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_model import TINY, write_pairs

import pix2pix
from pix2pix.api.display import INTERVAL, WINDOW, NotebookBar
from pix2pix.stop_request import stop_on_signal


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_pairs(tmp_path_factory.mktemp("data") / "pairs", 8)
    (folder / "<b>.png").write_text("no picture", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def training(pairs: Path) -> pix2pix.Training:
    return pix2pix.train(pairs, pairs.parent / "work", **TINY, max_steps=3)


def test_a_training_has_metrics_samples_and_history(training: pix2pix.Training) -> None:
    assert training.step == 3
    assert {"l1", "psnr", "ssim"} <= {*training.metrics}
    assert training.samples.mode == "RGB"
    assert training.samples.width > 3 * 32
    assert training.history[-1]["step"] == 3
    assert [rejection.path for rejection in training.rejected] == ["<b>.png"]


def test_the_exported_model_translates_a_picture_a_folder_and_pairs(
    training: pix2pix.Training, pairs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = training.export(tmp_path / "model", weights="float16")
    assert model.folder == tmp_path / "model" / "1"
    assert model.metrics == training.metrics
    again = pix2pix.load(str(tmp_path / "model"))
    drawing = np.zeros((32, 32, 3), np.uint8)
    assert np.array_equal(model(drawing), again(drawing))
    pictures = write_pairs(tmp_path / "pictures", 2, halves=1)
    assert sorted(pix2pix.generate(model, pictures, tmp_path / "out").written) == ["000.png", "001.png"]
    assert caplog.messages == []
    warned = pix2pix.generate(model, write_pairs(tmp_path / "large", 3, size=96, halves=1), tmp_path / "out2")
    assert caplog.messages == list(warned.warnings) != []
    evaluation = pix2pix.evaluate(str(tmp_path / "model"), pairs, tmp_path / "evaluation", batch_size=4)
    assert len(evaluation.pictures) == 8


def test_pairs_are_made_split_and_resized(tmp_path: Path) -> None:
    photos = write_pairs(tmp_path / "photos", 3, size=64, halves=1)
    calls: list[tuple[int, int]] = []
    made = pix2pix.pairs(
        photos,
        str(tmp_path / "pairs"),
        "grayscale",
        size=32,
        progress=lambda done, total, note: calls.append((done, total)),
    )
    assert len(made.written) == 3
    assert calls[-1] == (3, 3)
    with Image.open(tmp_path / "pairs" / "000.png") as pair:
        assert pair.size == (64, 32)
    assert len(pix2pix.split(tmp_path / "pairs", tmp_path / "split", train=0.5, val=0.5).sides) == 3
    assert len(pix2pix.resize(photos, tmp_path / "resized", size=16, fit="pad").written) == 3
    with pytest.raises(pix2pix.InputError, match="did you mean grayscale"):
        pix2pix.pairs(photos, tmp_path / "other", "greyscale")
    with pytest.raises(pix2pix.HyperparameterError, match="did you mean size"):
        pix2pix.resize(photos, tmp_path / "other", sise=16)


def test_wrong_arguments_are_refused_before_tensorflow_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(pix2pix.InputError, match=r"pix2pix\.pairs"):
        pix2pix.train(tmp_path / "missing", tmp_path / "work")
    with pytest.raises(pix2pix.HyperparameterError, match="did you mean max_steps"):
        pix2pix.train(tmp_path, tmp_path / "work", max_step=3)
    assert not (tmp_path / "work").exists()


def test_an_interrupted_training_is_saved_and_resumed_by_the_same_call(pairs: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int, note: str) -> None:
        if done == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match=r"step 3.*same call resumes"):
        pix2pix.train(pairs, tmp_path / "work", **TINY, max_steps=4, progress=interrupt)
    steps: list[int] = []
    resumed = pix2pix.train(
        pairs, tmp_path / "work", **TINY, max_steps=4, progress=lambda done, total, note: steps.append(done)
    )
    assert resumed.step == 4
    assert steps == [0, 4]


def test_a_thread_that_receives_no_signals_can_train() -> None:
    entered: list[bool] = []

    def work() -> None:
        with stop_on_signal() as stop:
            entered.append(stop())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [False]


def test_a_training_describes_itself_in_a_notebook_and_escapes_what_it_shows(training: pix2pix.Training) -> None:
    html = training._repr_html_()
    assert "data:image/png;base64," in html
    assert "&lt;b&gt;.png" in html
    assert "<b>.png" not in html


class Screen:
    """Records what a notebook would display: each element, and each change of it."""

    def __init__(self) -> None:
        self.elements: list[str] = []
        self.changes = 0

    def __call__(self, html: str) -> Callable[[str], None]:
        self.elements.append(html)
        position = len(self.elements) - 1

        def update(changed: str) -> None:
            self.changes += 1
            self.elements[position] = changed

        return update


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_bar_shows_rate_and_time_left_of_the_recent_past(tmp_path: Path) -> None:
    screen, clock = Screen(), Clock()
    bar = NotebookBar("train", None, screen, clock)
    assert "<progress" in screen.elements[0]
    bar(0, 0, "loading TensorFlow")
    assert "loading TensorFlow" in screen.elements[0], "the first note is shown at once"
    clock.now += 200.0  # a slow start
    bar(1, 1000, "")
    for step in range(2, 200):
        clock.now += 0.5
        bar(step, 1000, "<i>")
    assert "2.0/s" in screen.elements[0], "the slow start is forgotten"
    assert "6 min 40 s left" in screen.elements[0]
    assert "&lt;i&gt;" in screen.elements[0]
    assert WINDOW < 200


def test_the_bar_is_updated_at_most_twice_a_second_and_at_the_end() -> None:
    screen, clock = Screen(), Clock()
    bar = NotebookBar("generate", None, screen, clock)
    for done in range(1000):
        clock.now += INTERVAL / 100
        bar(done + 1, 1000, "")
    assert screen.changes <= 12
    bar.close()
    assert "1,000 of 1,000" in screen.elements[0]
    assert "left" not in screen.elements[0]


def test_sample_pictures_are_shown_when_they_change(tmp_path: Path) -> None:
    screen, clock, file = Screen(), Clock(), tmp_path / "grid.png"
    bar = NotebookBar("train", file, screen, clock)
    bar(1, 9, "")
    assert len(screen.elements) == 1
    Image.new("RGB", (2, 2)).save(file)
    clock.now += 1
    bar(2, 9, "")
    assert "data:image/png" in screen.elements[1]
    before = screen.changes
    clock.now += 1
    bar(3, 9, "")
    assert screen.changes == before + 1, "the bar alone"


def test_nothing_is_displayed_outside_a_notebook(pairs: Path, tmp_path: Path, capfd: Any) -> None:
    pix2pix.pairs(write_pairs(tmp_path / "photos", 1), tmp_path / "out", "blank", size=16)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
