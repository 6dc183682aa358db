"""A TIFF is decoded correctly or refused with the correct code, whatever its samples."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tiff_layouts import HEIGHT, TYPES, WIDTH, Kind, kinds, packings, table
from tiff_writer import DEFLATE, NONE, PACKBITS, Page, write

from pix2pix.errors import PictureError
from pix2pix.images.codec import decode_bytes, load
from pix2pix.images.rejections import CODES, DAMAGED, MULTI_FRAME, NOT_FINITE, SAMPLE_RANGE, TRUNCATED, UNSUPPORTED
from pix2pix.reading import ReadOptions

PAGE = Path(__file__).resolve().parents[2] / "docs" / "pictures.md"
GREY16 = Kind(1, "u16", ())


def outcome(data: bytes) -> str:
    try:
        decode_bytes(data)
    except PictureError as error:
        return error.code
    return "read"


def test_the_table_in_the_docs_is_what_happens_to_each_combination() -> None:
    outcomes: dict[tuple[str, str], dict[str, str]] = {}
    for meaning, kind, column, samples in kinds():
        outcomes.setdefault((meaning, kind), {})[column] = outcome(write(samples.page()))
    assert table(outcomes) in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("samples_type", TYPES)
def test_every_packing_of_the_same_samples_gives_the_same_pixels_or_the_same_code(samples_type: str) -> None:
    for meaning, kind, column, samples in kinds():
        if kind != samples_type:
            continue
        usual = outcome(write(samples.page()))
        # Refusals depend on the samples, and extra samples are packed like the others: a few packings suffice.
        step = 1 if usual == "read" and not samples.extras else 7
        for packing in itertools.islice(packings(samples), 0, None, step):
            data = write(samples.page(**packing))
            case = f"{meaning}, {kind}, {column}, {packing}"
            if usual != "read":
                assert outcome(data) == usual, case
            elif samples.photometric in (3, 6, 8) and packing.get("fill_order") == 2:
                assert outcome(data) == UNSUPPORTED, case
            elif samples.photometric == 8:
                assert np.array_equal(decode_bytes(data), decode_bytes(write(samples.page()))), case
            else:
                assert np.abs(decode_bytes(data) - samples.pixels()).max() <= samples.tolerance + 0.51, case


@pytest.mark.parametrize("samples_type", TYPES)
def test_another_decoder_finds_the_same_samples_in_the_files_of_this_test(samples_type: str) -> None:
    """A mistake in the writer must not hide the same mistake in the decoder."""
    for _, kind, _, samples in kinds():
        if kind != samples_type or samples.photometric == 6 or samples.extras:
            continue
        for packing in packings(samples):
            if packing.get("compression", NONE) not in (NONE, DEFLATE) or packing.get("predictor", 1) != 1:
                continue
            found = tifffile.imread(io.BytesIO(write(samples.page(**packing))))
            found = np.moveaxis(found, 0, -1) if samples.planar else found
            assert np.array_equal(found.reshape(HEIGHT, WIDTH, -1), samples.samples()), packing


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_bigtiff_is_read_in_both_byte_orders(order: str, big: bool) -> None:
    for samples in (GREY16, Kind(2, "u8", ())):
        assert np.array_equal(decode_bytes(write(samples.page(order=order), big=big)), samples.pixels())
    for samples in (Kind(1, "u1", ()), Kind(3, "u8", ())):
        refused = big and order == ">"
        assert outcome(write(samples.page(order=order), big=big)) == (UNSUPPORTED if refused else "read")


@pytest.mark.parametrize("turn", range(1, 9))
def test_deep_samples_are_turned_upright_like_others(turn: int) -> None:
    deep, plain = Kind(2, "u16", ()).page(), Kind(2, "u8", ()).page()
    plain = Page((deep.samples >> 8).astype(np.uint8), 2)
    turned = [write(Page(page.samples, 2, tags={274: (3, [turn])})) for page in (deep, plain)]
    assert np.array_equal(decode_bytes(turned[0]), decode_bytes(turned[1]))


def test_a_profile_is_applied_to_deep_samples_as_to_others() -> None:
    from exotic_pictures import swapped_profile

    deep = Kind(2, "u16", ()).page()
    tags = {34675: (7, list(swapped_profile()))}
    swapped = decode_bytes(write(Page(deep.samples, 2, tags=tags)))
    assert np.abs(swapped.astype(int) - (deep.samples >> 8)[..., [1, 0, 2]]).max() <= 1


def small(page: Page, kind: int) -> Page:
    return Page(page.samples[::2, ::2] // 2, page.photometric, tags={254: (4, [kind])})


@pytest.mark.parametrize("samples_type", ["u8", "u16"])
@pytest.mark.parametrize("before", [True, False])
def test_the_full_size_page_is_read_beside_overviews_and_masks(samples_type: str, before: bool) -> None:
    full = Kind(2, samples_type, ())
    mask = Page(np.ones((HEIGHT, WIDTH, 1), np.uint8), 4, bits=1, tags={254: (4, [4])})
    others = [small(full.page(), 1), mask, small(full.page(), 5)]
    pages = [*others, full.page()] if before else [full.page(), *others]
    assert np.array_equal(decode_bytes(write(*pages)), full.pixels())


def test_several_full_size_pages_are_refused_unless_the_first_is_asked_for() -> None:
    first, second = Kind(2, "u8", ()), Kind(1, "u8", ())
    data = write(first.page(), second.page())
    with pytest.raises(PictureError, match="--frames first") as refusal:
        decode_bytes(data)
    assert refusal.value.code == MULTI_FRAME
    assert np.array_equal(load(data, reading=ReadOptions(frames="first")), first.pixels())


def test_reduced_copies_alone_are_not_taken_for_the_picture() -> None:
    page = Kind(2, "u8", ()).page()
    assert outcome(write(small(page, 1), small(page, 1))) == UNSUPPORTED
    assert outcome(write(Page(page.samples, 2, tags={254: (4, [1]), 330: (4, [8])}))) == UNSUPPORTED
    assert outcome(write(small(page, 1))) == "read"


@pytest.mark.parametrize(
    ("samples_type", "low", "high"), [("i16", -500.0, 9000.0), ("f32", -2.0, 2.0), ("u32", 0.0, 1e6)]
)
def test_a_declared_range_says_what_is_black_and_what_is_white(samples_type: str, low: float, high: float) -> None:
    values = np.linspace(low - 100, high + 100, WIDTH * HEIGHT).clip(0 if samples_type[0] == "u" else None)
    samples = values.astype(f"{samples_type[0]}{int(samples_type[1:]) // 8}").reshape(HEIGHT, WIDTH, 1)
    reading = ReadOptions(range=(low, high))
    expected = np.rint(((samples - low) * (255 / (high - low))).clip(0, 255))
    found = np.asarray(load(write(Page(samples, 1)), "L", reading=reading))
    assert np.abs(found - expected[..., 0]).max() <= 1
    white = np.asarray(load(write(Page(samples, 0)), "L", reading=reading))
    assert np.array_equal(255 - white, found)


def test_a_range_changes_nothing_about_samples_whose_range_is_known() -> None:
    for samples in (GREY16, Kind(2, "u8", ()), Kind(1, "u8", ())):
        data = write(samples.page())
        assert np.array_equal(load(data, reading=ReadOptions(range=(0, 10))), decode_bytes(data))


def test_a_range_does_not_make_numbers_of_what_is_none() -> None:
    values = np.full((4, 4, 1), np.nan, np.float32)
    with pytest.raises(PictureError) as refusal:
        load(write(Page(values, 1)), reading=ReadOptions(range=(0, 1)))
    assert refusal.value.code == NOT_FINITE


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({258: (3, [5, 6, 5])}, UNSUPPORTED),
        ({258: (3, [7, 7, 7])}, DAMAGED),
        ({339: (3, [5, 5, 5])}, UNSUPPORTED),
        ({339: (3, [1, 2, 1])}, UNSUPPORTED),
        ({339: (3, [9, 9, 9])}, DAMAGED),
        ({339: (3, [2, 2, 2])}, SAMPLE_RANGE),
        ({259: (3, [50001])}, UNSUPPORTED),
        ({259: (3, [34712])}, UNSUPPORTED),
        ({259: (3, [4711])}, DAMAGED),
        ({262: (3, [32803])}, UNSUPPORTED),
        ({262: (3, [77])}, DAMAGED),
        ({262: (3, [6]), 530: (3, [2, 2])}, UNSUPPORTED),
        ({273: (4, [1 << 30])}, TRUNCATED),
        ({277: (3, [0])}, DAMAGED),
        ({317: (3, [7]), 259: (3, [8]), 258: (3, [16] * 3)}, DAMAGED),
    ],
)
@pytest.mark.parametrize("samples_type", ["u8", "u16"])
def test_a_header_that_is_odd_is_refused_with_its_code(tags: dict, code: str, samples_type: str) -> None:
    assert outcome(write(Page(Kind(2, samples_type, ()).samples(), 2, tags=tags))) == code


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("samples_type", ["u8", "u16"])
def test_strips_that_contradict_the_size_give_no_wrong_pixels(samples_type: str, planar: bool) -> None:
    kind = Kind(2, samples_type, (), planar)
    for real, stated in itertools.product((0, 3, 8, 16), (0, 1, 3, 4, 8, 16, HEIGHT, 2**31 + 1, 2**32 - 1)):
        data = write(replace(kind.page(rows_per_strip=real), tags={278: (4, [stated])}))
        case = f"strips of {real} rows, stated as {stated}"
        if (real and stated == real) or (real == 0 and stated >= HEIGHT):
            assert np.array_equal(decode_bytes(data), kind.pixels()), case
        else:
            assert outcome(data) == DAMAGED, case


@pytest.mark.parametrize("counts", [[0], [1], [10**6]])
def test_wrong_byte_counts_alone_do_not_matter_without_compression(counts: list[int]) -> None:
    kind = Kind(2, "u8", ())
    assert np.array_equal(decode_bytes(write(replace(kind.page(), tags={279: (4, counts)}))), kind.pixels())


@pytest.mark.parametrize("samples_type", ["u8", "u16"])
def test_too_few_tiles_are_damage(samples_type: str) -> None:
    assert outcome(write(replace(Kind(2, samples_type, ()).page(tile=(16, 16)), tags={324: (4, [8])}))) == DAMAGED


def test_four_bands_without_colours_are_not_taken_for_one_grey_picture() -> None:
    bands = np.zeros((HEIGHT, WIDTH, 4), np.uint16)
    with pytest.raises(PictureError, match="save three of them as RGB") as refusal:
        decode_bytes(write(Page(bands, 1, extras=(0, 0, 0))))
    assert refusal.value.code == UNSUPPORTED


@pytest.mark.parametrize("planar", [False, True])
def test_near_infrared_beside_rgb_is_passed_over(planar: bool) -> None:
    bands = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH, 5), dtype=np.uint16)
    data = write(Page(bands, 2, extras=(0, 0), planar=planar, compression=PACKBITS, tile=(16, 16)))
    assert np.array_equal(decode_bytes(data), bands[..., :3] >> 8)


def test_the_docs_explain_every_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for code, meaning in CODES.items():
        assert f"| `{code}` | {meaning} |" in text
