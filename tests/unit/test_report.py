"""The report is one file that loads nothing from elsewhere and shows the metrics log."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.codec import encode_png
from pix2pix.images.rejections import Rejection
from pix2pix.pages.curves import Curve, draw
from pix2pix.pages.training_report import write_report
from pix2pix.training.samples import grid, keep, publish

LOSSES = {"discriminator": 1.2, "adversarial": 0.9, "l1": 0.3}


def records(steps: int):
    for step in range(10, steps + 1, 10):
        yield {"step": step, "images_per_second": 30.0 + step, "losses": {**LOSSES, "l1": 1 / step}}
        yield {"step": step, "held_out": {"l1": 2 / step, "psnr": step / 3, "ssim": 1 - 1 / step}}


@pytest.fixture
def page(tmp_path):
    encode_png(np.zeros((8, 8, 3), np.uint8), tmp_path / "samples" / "over_time.png")
    facts = {"Pairs": "<51> & more"}
    left_out = [Rejection("<a>\udcff.txt", "NOT_A_PICTURE", "the content is text")]
    write_report(tmp_path, TrainParameters(ngf=17), list(records(60)), [10, 60], facts, left_out)
    return (tmp_path / "report.html").read_text(encoding="utf-8", errors="surrogateescape")


def test_nothing_is_loaded_from_anywhere(page):
    assert re.findall(r"(?:src|href)\s*=\s*\"(?!data:image/png;base64,)", page) == []
    assert "http" not in page
    assert "@import" not in page


def test_the_report_shows_metrics_curves_samples_parameters_and_facts(page):
    assert "<dt>L1</dt><dd>0.033" in page
    assert page.count("<svg") == 6
    assert "step 10" in page
    assert "step 60" in page
    assert "<th>ngf</th><td>17" in page
    assert "&lt;51&gt; &amp; more" in page
    assert "<th>Python</th><td>3." in page
    assert "<td>&lt;a&gt;\udcff.txt</td><td>NOT_A_PICTURE</td><td>the content is text</td>" in page
    assert 'name="viewport"' in page
    assert "@media print" in page


def test_the_page_is_well_formed(page):
    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag, attrs):
            if tag not in {"meta", "img", "br"}:
                self.open.append(tag)

        def handle_startendtag(self, tag, attrs):
            pass

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    reader = Reader()
    reader.feed(page)
    assert reader.open == []


def test_a_run_without_held_out_pairs_has_a_report(tmp_path):
    encode_png(np.zeros((8, 8, 3), np.uint8), tmp_path / "samples" / "over_time.png")
    write_report(tmp_path, TrainParameters(), [], [0], {})
    assert "No pairs were held out" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_curve_spans_the_plot_and_stays_inside():
    drawing = draw([Curve("a", [(0, 5.0), (50, 1.0), (100, 9.0), (120, math.nan)]), Curve("b", [(100, 3.0)])])
    (points,) = re.findall(r'points="([^"]+)"', drawing)
    xy = np.array([[float(v) for v in point.split(",")] for point in points.split()])
    assert len(xy) == 3
    assert xy[1, 1] > xy[0, 1] > xy[2, 1]
    assert (xy[:, 0].min(), xy[:, 0].max()) == (44, 310)
    assert "<circle" in drawing
    assert "nan" not in drawing.replace("aria-label", "").split(">", 1)[1]


@pytest.mark.parametrize("values", [[0.0], [3.0, 3.0], [-1e-9, 1e-9], [1e12, 2e12], []])
def test_any_range_of_values_can_be_drawn(values):
    drawing = draw([Curve("a", list(enumerate(values)))])
    assert 1 <= drawing.count("<path") <= 8


def test_samples_over_time_show_the_first_the_last_and_a_few_between(tmp_path):
    inputs = np.zeros((2, 8, 8, 3), np.uint8)
    for step in range(1, 41):
        keep(tmp_path / "state", step, np.full((2, 8, 8, 1), step, np.uint8))
    steps = publish(tmp_path / "state", tmp_path / "out", inputs, np.full((2, 8, 8, 1), 200, np.uint8))
    assert (steps[0], steps[-1], len(steps)) == (1, 40, 6)
    from pix2pix.images.codec import decode

    page = decode(tmp_path / "out" / "over_time.png")
    assert [int(page[0, 12 * n, 0]) for n in range(8)] == [0, *steps, 200]
    assert [int(decode(tmp_path / "out" / "grid.png")[12, 12 * n, 0]) for n in range(3)] == [0, 40, 200]


def test_a_grid_arranges_pictures_in_rows_on_white():
    page = grid([[np.full((2, 3, 3), v, np.uint8) for v in row] for row in ((1, 2), (3, 4))])
    assert page.shape == (8, 10, 3)
    assert (page[0, 0, 0], page[0, 9, 0], page[7, 0, 0], page[7, 9, 0], page[3, 0, 0]) == (1, 2, 3, 4, 255)
