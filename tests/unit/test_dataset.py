"""The pairs of a step are a function of the seed and its number; the held-out pairs, of their content."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from seeded_pairs import edges, near_copy
from tiny_model import tiny, write_pairs

from pix2pix.datasets.held_out import is_held_out
from pix2pix.datasets.pair_notes import note_on_levels
from pix2pix.errors import InputError, WorkError
from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.codec import encode_png
from pix2pix.training import loading
from pix2pix.training.dataset import batch, batches
from pix2pix.training.loading import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs"), 24)


def test_every_pair_is_seen_once_an_epoch_in_an_order_of_its_own(folder):
    parameters = tiny(held_out=0.0, batch_size=4)
    pairs = load(folder, parameters).training
    dealt = np.concatenate([batch(pairs, parameters, step)[0] for step in range(12)])
    numbers = [next(n for n in range(24) if np.array_equal(pairs.pixels(n), picture)) for picture in dealt]
    assert sorted(numbers[:24]) == sorted(numbers[24:]) == list(range(24))
    assert numbers[:24] != numbers[24:]


def test_batches_that_do_not_divide_the_pairs_go_on_with_the_next_epoch(folder):
    parameters = tiny(held_out=0.0, batch_size=5)
    pairs = load(folder, parameters).training
    dealt = np.concatenate([batch(pairs, parameters, step)[0] for step in range(24)])
    seen = [sum(np.array_equal(pairs.pixels(n), picture) for picture in dealt) for n in range(24)]
    assert seen == [5] * 24


def test_batches_prepared_ahead_are_those_of_their_step(folder):
    parameters = tiny()
    pairs = load(folder, parameters).training
    dealt = batches(pairs, parameters, 7)
    for step in (7, 8, 9):
        pictures, seeds = next(dealt)
        np.testing.assert_array_equal(pictures, batch(pairs, parameters, step)[0])
        np.testing.assert_array_equal(seeds, [[1, 2 * step], [1, 2 * step + 1]])
    dealt.close()


def test_crops_move_both_halves_together_over_the_whole_range(tmp_path):
    rows = np.arange(40, dtype=np.uint8)[:, None].repeat(40, 1)
    picture = np.stack([rows, rows.T, rows], -1)
    Image.fromarray(np.concatenate([picture, picture], 1)).save(tmp_path / "a.png")
    parameters = tiny(scale_size=40, held_out=0.0, batch_size=1)
    pairs = load(tmp_path, parameters).training
    corners = set()
    for step in range(300):
        (pixels,) = batch(pairs, parameters, step)[0]
        np.testing.assert_array_equal(pixels[..., :3], pixels[..., 3:])
        top, left = int(pixels[0, 0, 0]), int(pixels[0, 0, 1])
        np.testing.assert_array_equal(pixels[..., :3], picture[top : top + 32, left : left + 32])
        corners.add((top, left))
    assert {top for top, _ in corners} == {left for _, left in corners} == set(range(9))


def test_half_of_the_pairs_are_mirrored_and_none_without_flip(tmp_path):
    ramp = np.arange(32, dtype=np.uint8)[None, :, None].repeat(32, 0).repeat(3, 2)
    Image.fromarray(np.concatenate([ramp, ramp], 1)).save(tmp_path / "a.png")
    for flip, fewest, most in ((True, 70, 130), (False, 0, 0)):
        parameters = tiny(flip=flip, held_out=0.0, batch_size=1)
        pairs = load(tmp_path, parameters).training
        mirrored = 0
        for step in range(200):
            (pixels,) = batch(pairs, parameters, step)[0]
            np.testing.assert_array_equal(pixels[..., :3], pixels[..., 3:])
            mirrored += int(pixels[0, 0, 0] > pixels[0, -1, 0])
        assert fewest <= mirrored <= most


def test_another_seed_gives_other_batches(folder):
    pairs = load(folder, tiny(held_out=0.0)).training
    assert not np.array_equal(batch(pairs, tiny(seed=1), 0)[0], batch(pairs, tiny(seed=2), 0)[0])


def test_direction_decides_which_half_is_the_input(folder):
    there, back = (load(folder, tiny(held_out=0.0, direction=d)).training.pixels(3) for d in ("AtoB", "BtoA"))
    np.testing.assert_array_equal(there[..., :3], back[..., 3:])
    np.testing.assert_array_equal(there[..., 3:], back[..., :3])
    assert not np.array_equal(there, back)


def test_label_maps_get_no_new_colour(tmp_path):
    checks = (np.indices((24, 24)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    Image.fromarray(np.concatenate([checks, checks], 1)).save(tmp_path / "a.png")
    pixels = load(tmp_path, tiny(labels=True, held_out=0.0)).training.pixels(0)
    assert set(np.unique(pixels[..., :3])) == {0, 255}
    assert len(np.unique(pixels[..., 3:])) > 2
    assert len(np.unique(load(tmp_path, tiny(held_out=0.0)).training.pixels(0)[..., :3])) > 2


def test_colorization_takes_single_pictures(tmp_path):
    write_pairs(tmp_path, 3, halves=1)
    pairs = load(tmp_path, tiny(lab_colorization=True, held_out=0.0)).training
    assert pairs.pixels(0).shape == (32, 32, 3)


def test_a_pair_stays_on_its_side_whatever_its_name_and_whatever_is_added(folder, tmp_path):
    before = load(folder, tiny(held_out=0.3))
    assert 2 <= len(before.held_out) <= 14
    held = {(folder / name).read_bytes() for name in before.held_out.names}
    for n, path in enumerate(sorted(folder.iterdir())):
        shutil.copy(path, tmp_path / f"renamed-{99 - n}.png")
    write_pairs(tmp_path / "more", 10, seed=8)
    after = load(tmp_path, tiny(held_out=0.3))
    assert held <= {(tmp_path / name).read_bytes() for name in after.held_out.names}
    assert not held & {(tmp_path / name).read_bytes() for name in after.training.names}


def test_a_part_made_by_split_is_not_held_out_as_a_whole(tmp_path):
    from pix2pix.datasets.split import Shares, split_folder

    write_pairs(tmp_path / "all", 60)
    split_folder(tmp_path / "all", tmp_path / "parts", Shares(0.5, 0.5))
    for part in ("train", "val"):
        data = load(tmp_path / "parts" / part, tiny(held_out=0.5))
        assert 0.2 < len(data.held_out) / (len(data.held_out) + len(data.training)) < 0.8


def test_pairs_that_do_not_fit_into_memory_are_read_each_time_and_are_the_same(folder, monkeypatch, caplog):
    kept = load(folder, tiny())
    monkeypatch.setattr(loading, "free_megabytes", lambda: 0)
    with caplog.at_level(logging.WARNING):
        read = load(folder, tiny())
    assert "24 pairs do not fit into 0 MB of memory" in caplog.text
    assert (len(kept.training.cached), len(read.training.cached)) == (len(kept.training), 0)
    for step in range(3):
        for cached, fresh in zip(batch(kept.training, tiny(), step), batch(read.training, tiny(), step), strict=True):
            np.testing.assert_array_equal(cached, fresh)


def test_a_pair_that_changes_during_the_training_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "free_megabytes", lambda: 0)
    write_pairs(tmp_path, 1)
    pairs = load(tmp_path, tiny(held_out=0.0)).training
    (tmp_path / "000.png").write_text("gone", encoding="utf-8")
    with pytest.raises(WorkError, match=r"000\.png changed during the training"):
        pairs.pixels(0)


def test_bad_pictures_are_left_out_and_named(tmp_path):
    write_pairs(tmp_path, 3)
    (tmp_path / "text.png").write_text("not a picture", encoding="utf-8")
    Image.new("RGB", (33, 16)).save(tmp_path / "odd.png")
    data = load(tmp_path, tiny(held_out=0.0))
    assert [(r.path, r.code) for r in data.rejected] == [("odd.png", "BAD_PAIR"), ("text.png", "FORMAT_NOT_ALLOWED")]
    assert len(data.training) == 3


def test_a_folder_without_a_usable_pair_is_refused_with_the_first_reason(tmp_path):
    with pytest.raises(InputError, match="is empty"):
        load(tmp_path, tiny())
    with pytest.raises(InputError, match="does not exist"):
        load(tmp_path / "missing", tiny())
    Image.new("RGB", (33, 16)).save(tmp_path / "odd.png")
    with pytest.raises(InputError, match=r"none of the 1 pictures .* the first: odd\.png: .* even width"):
        load(tmp_path, tiny())


@pytest.mark.parametrize("seed", range(6))
def test_one_pair_is_trained_on_whatever_side_it_falls(tmp_path, seed):
    write_pairs(tmp_path, 1, seed=seed)
    data = load(tmp_path, tiny(held_out=0.5))
    assert (len(data.training), len(data.held_out), len(data.notes)) == (1, 0, 1)


def test_equal_pairs_fall_to_the_same_side(tmp_path):
    write_pairs(tmp_path, 1)
    for n in range(5):
        shutil.copy(tmp_path / "000.png", tmp_path / f"copy{n}.png")
    data = load(tmp_path, tiny(held_out=0.5))
    assert (len(data.training), len(data.held_out)) == (6, 0)
    assert "nothing is measured" in data.notes[0]


def test_near_copies_are_held_out_together_or_not_at_all(tmp_path):
    random = np.random.default_rng(4)
    for n in range(12):
        encode_png(np.concatenate(edges(4000 + n), axis=1), tmp_path / f"{n:02d}.png")
        encode_png(np.concatenate(near_copy(edges(4000 + n), random), axis=1), tmp_path / f"{n:02d}-again.png")
    parameters = tiny(held_out=0.5, scale_size=40)
    data = load(tmp_path, parameters)
    sides = {name: side for side in (data.training, data.held_out) for name in side.names}
    assert all(sides[f"{n:02d}.png"] is sides[f"{n:02d}-again.png"] for n in range(12))
    assert 4 <= len(data.held_out) <= 20
    assert data.copies == 12
    alone = {p.name: is_held_out(hashlib.sha256(p.read_bytes()).hexdigest(), 0.5) for p in tmp_path.iterdir()}
    moved = [name for name, held_out in alone.items() if (sides[name] is data.held_out) != held_out]
    assert moved
    for name in moved:
        side = sides[name]
        fresh = dataclasses.replace(side, cached=())
        np.testing.assert_array_equal(side.pixels(side.names.index(name)), fresh.pixels(fresh.names.index(name)))


def test_pairs_that_all_nearly_equal_each_other_are_split_one_by_one_with_a_note(tmp_path):
    random = np.random.default_rng(4)
    for n in range(24):
        encode_png(np.concatenate(near_copy(edges(4000), random), axis=1), tmp_path / f"{n:02d}.png")
    data = load(tmp_path, tiny(held_out=0.5))
    assert 2 <= len(data.held_out) <= 22
    assert "24 of 24 pairs nearly equal each other" in data.notes[0]


def test_the_digest_covers_names_and_contents(folder, tmp_path):
    digest = load(folder, tiny()).digest
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert load(copy, tiny()).digest == digest
    (copy / "000.png").rename(copy / "zzz.png")
    assert load(copy, tiny()).digest != digest


@pytest.mark.parametrize(
    ("width", "height", "colorization", "words"),
    [(64, 64, False, "halves far from .*32x32; .*32x64"), (128, 64, True, "pictures far from .*128x64")],
)
def test_pictures_that_are_hardly_pairs_are_reported_before_the_first_step(
    tmp_path, caplog, width, height, colorization, words
):
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    with caplog.at_level(logging.WARNING):
        data = load(tmp_path, tiny(size=32, held_out=0.0, lab_colorization=colorization))
    assert re.search(words, caplog.text)
    assert any(re.search(words, note) for note in data.notes)


def test_pairs_of_the_usual_shapes_cause_no_warning(tmp_path, caplog):
    for number, (width, height) in enumerate([(64, 32), (128, 48), (96, 64)]):
        noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    with caplog.at_level(logging.WARNING):
        assert load(tmp_path, tiny(size=32, held_out=0.0)).notes == ()
    assert caplog.text == ""


@pytest.mark.parametrize(("size", "levels"), [(440, 3), (352, 5), (1000, 3)])
def test_a_size_that_gives_few_levels_is_reported_before_the_first_step(tmp_path, caplog, size, levels):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    with caplog.at_level(logging.WARNING):
        data = load(tmp_path, TrainParameters(size=size, held_out=0.0, keep_best="last"))
    assert f"the U-Net has {levels} levels" in caplog.text
    [note] = data.notes
    better = int(re.search(r"set size = (\d+)$", note)[1])
    assert note_on_levels(TrainParameters(size=better)) is None
    assert abs(better - size) <= size / 8


@pytest.mark.parametrize("values", [{"size": 256}, {"size": 384}, {"size": 320}, {"size": 440, "depth": 3}])
def test_a_usual_size_or_a_chosen_depth_is_not_remarked_on(values):
    assert note_on_levels(TrainParameters(**values)) is None
