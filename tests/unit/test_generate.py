"""An output depends on its input and the model alone, and is not made twice."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pixel_bound import assert_folders_nearly_equal, assert_nearly_equal
from tiny_model import tiny, write_checkpoint, write_pairs

from components.code_digest import closure
from pix2pix.errors import HyperparameterError, InputError
from pix2pix.hyperparameters import GenerateParameters
from pix2pix.inference.batching import ReadyPicture, batches
from pix2pix.inference.evaluate import evaluate
from pix2pix.inference.export import export
from pix2pix.inference.generate import generate, prepare
from pix2pix.inference.translator import MAX_PIXELS, Translator

OWN = GenerateParameters(size="own")
IN_TENSORFLOW = GenerateParameters(size="own", engine="tensorflow")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    export(write_checkpoint(folder / "checkpoint", tiny()), folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Nested pictures of three sizes, a broken one, two with the same output name."""
    folder = tmp_path_factory.mktemp("source")
    write_pairs(folder, 5, halves=1)
    write_pairs(folder / "cats", 3, size=40, halves=1)
    draw = np.random.default_rng(0)
    Image.fromarray(draw.integers(0, 255, (64, 33, 3)).astype(np.uint8)).save(folder / "cats" / "tall.jpg")
    Image.fromarray(draw.integers(0, 255, (64, 33, 3)).astype(np.uint8)).save(folder / "cats" / "tall.webp")
    (folder / "text.png").write_text("not a picture", encoding="utf-8")
    (folder / "notes.txt").write_text("not a picture", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def generated(model, source, tmp_path_factory):
    target = tmp_path_factory.mktemp("target")
    return generate(model, source, target, OWN), target


@pytest.fixture(scope="module")
def by_tensorflow(model, source, tmp_path_factory):
    target = tmp_path_factory.mktemp("target")
    return generate(model, source, target, IN_TENSORFLOW), target


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def test_with_their_own_size_outputs_have_size_and_path_of_their_inputs(generated, source):
    outcome, target = generated
    assert (
        set(outcome.written.values())
        == set(contents(target))
        == {
            *(f"{n:03d}.png" for n in range(5)),
            *(f"cats/{n:03d}.png" for n in range(3)),
            "cats/tall.png",
        }
    )
    for name, output in outcome.written.items():
        with Image.open(source / name) as before, Image.open(target / output) as after:
            assert before.size == after.size
    assert [(r.path, r.code) for r in outcome.rejected] == [
        ("cats/tall.webp", "NAME_COLLISION"),
        ("notes.txt", "NOT_A_PICTURE"),
        ("text.png", "FORMAT_NOT_ALLOWED"),
    ]


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (2, 5), (3, 2), (64, 1)])
def test_batch_size_and_threads_change_a_value_by_one_level_at_most(
    model, source, by_tensorflow, tmp_path, batch, workers
):
    generate(model, source, tmp_path, replace(IN_TENSORFLOW, batch_size=batch, workers=workers))
    assert_folders_nearly_equal(tmp_path, by_tensorflow[1])


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (2, 5), (3, 2), (64, 1)])
def test_with_onnx_runtime_batch_size_and_threads_change_no_byte(model, source, generated, tmp_path, batch, workers):
    generate(model, source, tmp_path, replace(OWN, batch_size=batch, workers=workers))
    assert contents(tmp_path) == contents(generated[1]) != {}


@pytest.mark.parametrize(("engine", "batch"), [("tensorflow", 1), ("tensorflow", 8), ("onnxruntime", 8)])
def test_order_and_neighbours_change_no_byte_one_by_one_and_one_level_at_most_in_batches(
    model, source, generated, tmp_path, engine, batch
):
    options = GenerateParameters(size="own", engine=engine, batch_size=batch)
    generate(model, source, tmp_path / "expected", options)
    names = sorted(generated[0].written)
    for n, name in enumerate(names):
        path = tmp_path / "in" / f"{99 - n}{(source / name).suffix}"
        path.parent.mkdir(exist_ok=True)
        shutil.copy(source / name, path)
    generate(model, tmp_path / "in", tmp_path / "out", options)
    for n, name in enumerate(names):
        expected = tmp_path / "expected" / generated[0].written[name]
        found = tmp_path / "out" / f"{99 - n}.png"
        if batch == 1 or engine == "onnxruntime":
            assert found.read_bytes() == expected.read_bytes()
        else:
            assert_nearly_equal(*(np.asarray(Image.open(path)) for path in (found, expected)))


def test_an_output_is_made_again_only_if_model_input_or_options_differ(model, source, tmp_path):
    folder, target = shutil.copytree(source, tmp_path / "in"), tmp_path / "out"
    first = generate(model, folder, target)
    again = generate(model, folder, target)
    assert (again.written, again.kept) == ({}, first.written)
    shutil.copy(folder / "001.png", folder / "000.png")
    shutil.copy(target / "003.png", target / "002.png")
    (target / "004.png").write_bytes(b"not a picture")
    assert set(generate(model, folder, target).written) == {"000.png", "002.png", "004.png"}
    assert (target / "000.png").read_bytes() == (target / "001.png").read_bytes()
    assert len(generate(model, folder, target, GenerateParameters(aspect_ratio=2.0)).written) == 9
    other = export(write_checkpoint(tmp_path / "checkpoint", tiny(), seed=2), tmp_path / "other")
    assert len(generate(other.folder, folder, target).written) == 9


def test_only_the_named_pictures_are_made(model, source, tmp_path):
    outcome = generate(model, source, tmp_path, only={"002.png", "cats/tall.webp"})
    assert outcome.written == {"002.png": "002.png"}
    assert [r.path for r in outcome.rejected] == ["cats/tall.webp"]


def test_the_page_shows_input_beside_output_and_its_links_are_relative(generated):
    import html
    import re
    from urllib.parse import unquote

    outcome, target = generated
    page = (target / "index.html").read_text(encoding="utf-8")
    links = [unquote(html.unescape(link)) for link in re.findall(r'src="([^"]+)"', page)]
    assert len(links) == 2 * len(outcome.written)
    assert all((target / link).resolve().is_file() for link in links)
    assert "http" not in page


def test_size_scales_inputs_and_aspect_ratio_stretches_outputs(model, source, tmp_path):
    options = GenerateParameters(size=64, aspect_ratio=1.5)
    generate(model, source, tmp_path, options, only={"cats/tall.jpg"})
    with Image.open(tmp_path / "cats" / "tall.png") as picture:
        assert picture.size == (96, 64)


def test_bad_input_is_refused_and_nothing_is_written(model, source, tmp_path):
    with pytest.raises(HyperparameterError, match=r"size = 48 does not fit the model; allowed: multiples of 32"):
        generate(model, source, tmp_path / "out", GenerateParameters(size=48))
    with pytest.raises(InputError, match="holds no model"):
        generate(source, source, tmp_path / "out")
    with pytest.raises(InputError, match="is empty"):
        (tmp_path / "empty").mkdir()
        generate(model, tmp_path / "empty", tmp_path / "out")
    with pytest.raises(InputError, match="is inside the input folder"):
        generate(model, source, source / "out")
    for name in ("x.png", "in/x.png"):
        path = tmp_path / "nest" / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / "000.png", path)
    with pytest.raises(InputError, match=r"the output in/x\.png would be inside the input folder .*nest/in; specify"):
        generate(model, tmp_path / "nest" / "in", tmp_path / "nest")
    assert (tmp_path / "nest" / "in" / "x.png").read_bytes() == (source / "000.png").read_bytes()
    damaged = shutil.copytree(model, tmp_path / "damaged")
    (damaged / "1" / "variables" / "variables.index").unlink()
    with pytest.raises(InputError, match=r"is not loaded: .*variables.index is missing; export it again"):
        generate(damaged, source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_evaluation_measures_each_pair_worst_first_and_the_mean(model, tmp_path):
    pairs = write_pairs(tmp_path / "pairs", 5, size=40)
    (pairs / "text.png").write_text("not a picture", encoding="utf-8")
    outcome = evaluate(model, pairs, tmp_path / "out", GenerateParameters(batch_size=2))
    assert sorted(pair.path for pair in outcome.pictures) == [f"{n:03d}.png" for n in range(5)]
    worst_first = [pair.metrics["l1"] for pair in outcome.pictures]
    assert worst_first == sorted(worst_first, reverse=True)
    assert outcome.mean["l1"] == pytest.approx(np.mean(worst_first))
    assert [r.path for r in outcome.rejected] == ["text.png"]
    worst = outcome.pictures[0]
    output, target = (
        np.asarray(Image.open(tmp_path / "out" / kind / f"{worst.path}.png")).astype(float)
        for kind in ("output", "target")
    )
    assert worst.metrics["l1"] == pytest.approx(np.abs(output - target).mean() / 127.5, rel=1e-5)
    assert worst.metrics["psnr"] == pytest.approx(10 * np.log10(255**2 / ((output - target) ** 2).mean()), rel=1e-5)
    assert 0 < worst.metrics["ssim"] < 1
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert page.index(outcome.pictures[0].path) < page.index(outcome.pictures[-1].path)
    again = evaluate(model, pairs, tmp_path / "again", GenerateParameters(batch_size=5))
    assert again.rejected == outcome.rejected
    assert again.mean == pytest.approx(outcome.mean, rel=1e-3)
    metrics = {pair.path: pair.metrics for pair in again.pictures}
    for pair in outcome.pictures:
        # A few values differ by one level; SSIM of unlike pictures is near 0.
        assert metrics[pair.path] == pytest.approx(pair.metrics, rel=1e-3, abs=1e-3)


def test_evaluation_warns_where_the_pictures_are_no_pairs(model, tmp_path, caplog):
    pairs = write_pairs(tmp_path / "pairs", 2)
    assert evaluate(model, pairs, tmp_path / "none").notes == ()
    write_pairs(tmp_path / "photos", 1, size=64, halves=1)
    (tmp_path / "photos" / "000.png").rename(pairs / "photo.png")
    with caplog.at_level(logging.WARNING):
        [note] = evaluate(model, pairs, tmp_path / "out").notes
    assert note.startswith("1 of 3 files have halves far from the model's 32x32; the first, photo.png: 32x64.")
    assert note in caplog.text


def test_evaluation_without_a_usable_pair_is_refused(model, tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (33, 16)).save(tmp_path / "in" / "odd.png")
    with pytest.raises(InputError, match=r"none of the 1 pictures in .* the first: odd\.png: .* even width"):
        evaluate(model, tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize("folder", [".", "out"])
def test_an_evaluation_whose_pictures_would_become_pairs_is_refused(model, tmp_path, folder):
    write_pairs(tmp_path, 2)
    with pytest.raises(InputError, match="is inside the input folder"):
        evaluate(model, tmp_path, tmp_path / folder)
    pairs = write_pairs(tmp_path / "all" / "target", 2)
    with pytest.raises(InputError, match=r"the output target/000\.png\.png would be inside the input folder"):
        evaluate(model, pairs, tmp_path / "all")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is a file; specify a folder for the results"):
        evaluate(model, pairs, tmp_path / "file")
    assert not list(tmp_path.rglob("*.png.png"))


def test_an_identical_picture_measures_perfectly():
    from pix2pix.model.metrics import measure

    picture = np.random.default_rng(0).integers(0, 255, (1, 16, 16, 3)).astype(np.uint8)
    found = {name: float(value[0]) for name, value in measure(picture, picture).items()}
    assert found == {"l1": 0.0, "psnr": 100.0, "ssim": pytest.approx(1.0)}


@pytest.mark.parametrize(
    "file", ["variables.data-00000-of-00001", "variables.index", "../saved_model.pb", "../assets.extra/model.onnx"]
)
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_model_truncated_anywhere_is_not_loaded(model, tmp_path, file, share):
    damaged = shutil.copytree(model, tmp_path / "damaged")
    path = damaged / "1" / "variables" / file
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=rf"the model .* is not loaded: .*{path.name} differs from its manifest"):
        Translator(damaged)


def test_no_batch_has_more_pixels_than_the_network_is_given(model, source, by_tensorflow, tmp_path, monkeypatch):
    shapes = []
    translate = Translator.__call__

    def watched(self, pictures):
        shapes.append(pictures.shape)
        return translate(self, pictures)

    monkeypatch.setattr(Translator, "__call__", watched)
    monkeypatch.setattr("pix2pix.inference.generate.MAX_PIXELS", 64 * 33)
    generate(model, source, tmp_path, IN_TENSORFLOW)
    assert set(shapes) == {(2, 32, 32, 3), (1, 40, 40, 3), (1, 64, 33, 3)}
    assert_folders_nearly_equal(tmp_path, by_tensorflow[1])


def test_few_pixels_wait_however_many_sizes_a_folder_has():
    read, done, most = [0], [], 0

    def results():
        for n in range(200):
            read[0] += 1
            yield ReadyPicture(str(n), {}, np.zeros((32, 8 + n % 32, 3), np.uint8))

    for batch in batches(results(), 8, MAX_PIXELS, 6 * 32 * 32):
        most = max(most, read[0] - len(done))
        done += [picture.path for picture in batch]
    assert sorted(done, key=int) == [str(n) for n in range(200)]
    assert most <= 6 * 32 // 8


@pytest.mark.parametrize(
    ("changes", "nearest"),
    [
        ({"labels": True}, True),
        ({"labels": True, "direction": "BtoA"}, False),
        ({"labels": True, "lab_colorization": True}, False),
        ({}, False),
    ],
)
def test_pictures_are_scaled_as_training_scaled_the_input(tmp_path, monkeypatch, changes, nearest):
    seen = []

    def watched(pixels, size, labels):
        seen.append(labels)
        return prepare(pixels, size, labels)

    monkeypatch.setattr("pix2pix.inference.generate.prepare", watched)
    model = export(write_checkpoint(tmp_path / "c", tiny(**changes)), tmp_path / "m").folder
    generate(model, write_pairs(tmp_path / "in", 1, halves=1), tmp_path / "out", GenerateParameters(size=64))
    assert seen == [nearest]


def test_a_pair_whose_result_would_have_too_long_a_name_is_left_out_of_an_evaluation(model, tmp_path):
    pairs = write_pairs(tmp_path / "pairs", 3)
    (pairs / "000.png").rename(pairs / f"{'a' * 247}.png")
    (pairs / "001.png").rename(pairs / f"{'b' * 248}.png")
    outcome = evaluate(model, pairs, tmp_path / "out")
    assert sorted(len(pair.path) for pair in outcome.pictures) == [7, 251]
    assert [(r.path[0], r.code) for r in outcome.rejected] == [("b", "BAD_PATH")]


def test_a_picture_with_the_longest_possible_name_is_made(model, tmp_path):
    pictures = write_pairs(tmp_path / "in", 2, halves=1)
    (pictures / "000.png").rename(pictures / f"{'a' * 251}.png")
    assert list(generate(model, pictures, tmp_path / "out").written) == ["001.png", f"{'a' * 251}.png"]


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (np.zeros((32, 32, 3), np.uint8), r"shape \[32, 32, 3\] .*; for one picture, pass picture\[np\.newaxis\]"),
        (
            np.zeros((32, 32), np.uint8),
            r"shape \[32, 32\] cannot be translated; pass a uint8 .* \[N, H, W, 3\]",
        ),
        (np.zeros((), np.uint8), r"shape \[\]"),
        (np.zeros((1, 1, 32, 32, 3), np.uint8), r"shape \[1, 1, 32, 32, 3\]"),
        (np.zeros((1, 32, 32, 4), np.uint8), r"shape \[1, 32, 32, 4\]"),
        (np.zeros((1, 32, 32, 1), np.uint8), r"shape \[1, 32, 32, 1\]"),
        (np.zeros((1, 32, 32, 3), np.float32), "dtype float32 cannot be translated; .* with values 0 to 255"),
        (np.zeros((1, 32, 32, 3), object), "dtype object"),
        (np.zeros((0, 32, 32, 3), np.uint8), r"shape \[0, 32, 32, 3\] have no pixels"),
        (np.zeros((1, 0, 32, 3), np.uint8), "have no pixels"),
        (np.broadcast_to(np.uint8(0), (2, 2**12, 2**12, 3)), f"have {2 * MAX_PIXELS:,} pixels, more than"),
        ([[[[0, 0, 0]]]], "type list cannot be translated"),
        ("picture.png", "type str cannot be translated"),
        (None, "type NoneType cannot be translated"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(getattr(value, "shape", "")),
)
def test_pictures_of_a_wrong_rank_type_or_size_are_an_error_and_do_not_abort_the_process(model, pictures, message):
    with pytest.raises(InputError, match=message):
        Translator(model)(pictures)


def test_the_code_of_generation_includes_neither_networks_nor_training():
    """The fingerprint of a stage covers the modules that it imports."""
    modules = closure(("pix2pix.inference.generate",))
    assert "pix2pix.inference.translator" in modules
    others = ("pix2pix.model.", "pix2pix.training.", "pix2pix.inference.export", "pix2pix.inference.served_model")
    assert [module for module in modules if module.startswith(others)] == []
