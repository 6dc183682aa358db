"""Measures the resizing of photographs against a plain loop over Pillow, in turns on the same files.

python -m benchmarks.pictures
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pix2pix.datasets.resize import resize_folder
from pix2pix.hyperparameters import ResizeParameters
from pix2pix.images.thread_map import cores

WIDTH, HEIGHT, SIDE = 1024, 768, 256


@dataclass(frozen=True)
class ResizeRates:
    """Medians over the rounds, in pictures per second.

    Attributes:
        ours: `pix2pix.datasets.resize.resize_folder` on `threads` threads.
        exact: the same, decoding JPEGs in full.
        plain: sequential loop over Pillow: open, crop, LANCZOS, save with the defaults.
        threads: that `ours` and `exact` use.
        kilobytes: mean size of a JPEG.
    """

    ours: float
    exact: float
    plain: float
    threads: int
    kilobytes: float


def measure_resize(pictures: int = 48, rounds: int = 3, threads: int | None = None) -> ResizeRates:
    """Resize 1024x768 JPEGs to 256x256 PNG.

    Args:
        pictures: number of files.
        rounds: the contenders take turns in each.
        threads: for ours; None means one per core.
    """
    threads = threads or cores()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "in"
        source.mkdir()
        for number in range(pictures):
            photograph(number).save(source / f"{number}.jpg", quality=88)
        seconds: dict[str, list[float]] = {"ours": [], "exact": [], "plain": []}
        for _ in range(rounds):
            for contender in seconds:
                start = time.perf_counter()
                if contender == "plain":
                    plain_loop(source, folder / contender)
                else:
                    parameters = ResizeParameters(size=SIDE, exact=contender == "exact")
                    resize_folder(source, folder / contender, parameters, workers=threads)
                seconds[contender].append(time.perf_counter() - start)
        rates = {contender: pictures / statistics.median(times) for contender, times in seconds.items()}
        kilobytes = statistics.mean(path.stat().st_size for path in source.iterdir()) / 1000
    return ResizeRates(threads=threads, kilobytes=kilobytes, **rates)


def photograph(seed: int) -> Image.Image:
    """Return a picture with the detail of a photograph: noise whose amplitude falls with its frequency."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, np.newaxis], np.fft.rfftfreq(WIDTH)[np.newaxis, :])
    frequency[0, 0] = 1
    planes = []
    for _ in range(3):
        noise = rng.standard_normal(frequency.shape) + 1j * rng.standard_normal(frequency.shape)
        plane = np.fft.irfft2(noise / frequency, (HEIGHT, WIDTH))
        planes.append(plane / plane.std())
    light = planes[0]
    shown = np.stack([128 + 48 * (light + 0.3 * plane) for plane in planes], axis=-1)
    return Image.fromarray(np.clip(shown, 0, 255).astype(np.uint8))


def plain_loop(source: Path, target: Path) -> None:
    """Resize as a short script does."""
    target.mkdir(exist_ok=True)
    for path in sorted(source.iterdir()):
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        picture = picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        picture.save(target / f"{path.stem}.png")


if __name__ == "__main__":
    found = measure_resize()
    print(f"JPEG {WIDTH}x{HEIGHT} ({found.kilobytes:.0f} kB) -> PNG {SIDE}x{SIDE}, pictures per second")
    print(f"  ours, {found.threads} threads          {found.ours:7.1f}   {found.ours / found.plain:.2f}x")
    print(f"  ours, --exact             {found.exact:7.1f}   {found.exact / found.plain:.2f}x")
    print(f"  plain Pillow LANCZOS loop {found.plain:7.1f}")
