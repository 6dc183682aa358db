"""The pairs that `quality.py` learns from: made at run time from packages and from a folder of photographs.

`npm pack openmoji@17 @iconify-json/fluent-emoji-high-contrast @lobehub/fluent-emoji-3d` fetches the packages (OpenMoji:
CC BY-SA 4.0; Fluent Emoji: MIT). Nothing of them is part of this repository.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from pix2pix.datasets.edges import draw_edges
from pix2pix.facades.generator import facade

TRAIN, TEST = 1000, 60
"""Pairs to learn from, and held-out pairs, at most; of few, a fifth is held out."""
WHITE = (255, 255, 255, 255)
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Sources:
    """Where pairs come from.

    Attributes:
        packages: folder of the three packages' archives.
        photographs: folder of photographs; None for none.
        python: a Python that has resvg-py.
    """

    packages: Path
    photographs: Path | None
    python: str


@dataclass(frozen=True)
class Pair:
    """A pair that is drawn at the size that is asked for.

    Attributes:
        name: decides whether it is held out.
        draw: returns A and B, uint8 ``[S, S, 3]`` each.
    """

    name: str
    draw: Callable[[int], tuple[np.ndarray, np.ndarray]]


def make_set(name: str, sources: Sources, size: int, out: Path) -> None:
    """Write the arrays ``train``, scaled for cropping, and ``test``, of `size`: uint8 ``[N, H, W, 6]`` each."""
    load = size * 286 // 256
    pairs = _shuffled(SETS[name](sources, 2 * load), lambda pair: pair.name)
    held_out = min(TEST, len(pairs) // 5)
    sides = {"train": (pairs[held_out : held_out + TRAIN], load), "test": (pairs[:held_out], size)}
    arrays = {
        side: np.stack([np.concatenate(pair.draw(wanted), axis=-1) for pair in chosen])
        for side, (chosen, wanted) in sides.items()
    }
    np.savez_compressed(out, **arrays)


def emoji(sources: Sources, size: int) -> Iterator[Pair]:
    """Outline to colour: OpenMoji's black and colour drawings."""
    files = _files(sources.packages, "openmoji-", lambda name: "/black/svg/" in name or "/color/svg/" in name)
    names = [Path(name).stem for name in files if "/black/" in name]
    chosen = _some([name for name in names if f"package/color/svg/{name}.svg" in files])
    sides = [
        _rasterize(sources, [files[f"package/{kind}/svg/{name}.svg"].decode() for name in chosen], size)
        for kind in ("black", "color")
    ]
    return (_scaled(name, a, b) for name, a, b in zip(chosen, *sides, strict=True))


def fluent(sources: Sources, size: int) -> Iterator[Pair]:
    """High contrast to 3D: two styles of Fluent Emoji."""
    drawings = _files(sources.packages, "iconify-json-fluent", lambda name: name.endswith(("icons.json", "chars.json")))
    icons, characters = (json.loads(drawings[f"package/{name}.json"]) for name in ("icons", "chars"))
    rendered = _files(sources.packages, "lobehub-fluent", lambda name: name.endswith(".webp"))
    bodies = {code: icons["icons"].get(name, {}).get("body") for code, name in characters.items()}
    chosen = _some([code for code, body in bodies.items() if body and f"package/assets/{code}.webp" in rendered])
    side = icons.get("height", 32)
    texts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" color="black">{bodies[code]}</svg>'
        for code in chosen
    ]
    for code, drawing in zip(chosen, _rasterize(sources, texts, size), strict=True):
        yield _scaled(code, drawing, _on_white(rendered[f"package/assets/{code}.webp"], size))


def gray(sources: Sources, size: int) -> Iterator[Pair]:
    """Gray to colour: the 3D emoji without and with their colours."""
    rendered = _files(sources.packages, "lobehub-fluent", lambda name: name.endswith(".webp"))
    for name in _some(list(rendered)):
        colour = _on_white(rendered[name], size)
        luma = np.asarray(Image.fromarray(colour).convert("L"))
        yield _scaled(name, np.repeat(luma[..., np.newaxis], 3, axis=-1), colour)


def edges(sources: Sources, size: int) -> Iterator[Pair]:
    """Edges to photographs: of the folder, those in its subfolders included."""
    if sources.photographs is None:
        raise SystemExit("the set edges needs --photographs FOLDER")

    def pair(path: Path) -> Pair:
        with Image.open(path) as picture:
            photograph = np.asarray(ImageOps.fit(picture.convert("RGB"), (size, size), Image.Resampling.LANCZOS))

        def draw(wanted: int) -> tuple[np.ndarray, np.ndarray]:
            b = _resize(photograph, wanted)
            return np.repeat(draw_edges(b), 3, axis=-1), b

        return Pair(path.name, draw)

    paths = [path for path in sources.photographs.rglob("*") if path.suffix.lower() in SUFFIXES]
    return (pair(path) for path in sorted(paths))


def facades(sources: Sources, size: int) -> Iterator[Pair]:  # noqa: ARG001 - every set takes the same arguments
    """Label maps to procedural facades, 400 to learn from, as in the paper."""
    for index in range(400 + TEST):
        yield Pair(str(index), lambda wanted, index=index: facade(wanted, 7, index))


SETS: dict[str, Callable[[Sources, int], Iterator[Pair]]] = {
    "emoji": emoji,
    "fluent": fluent,
    "edges": edges,
    "facades": facades,
    "gray": gray,
}
"""Name of a set -> what yields its pairs, from the sources and the size at which pictures are kept."""


def _shuffled(values: Iterable[Value], name: Callable[[Value], str]) -> list[Value]:
    return sorted(values, key=lambda value: hashlib.sha256(name(value).encode()).digest())


def _some(names: list[str]) -> list[str]:
    return _shuffled(names, str)[: TRAIN + TEST]


def _resize(picture: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BOX))


def _scaled(name: str, a: np.ndarray, b: np.ndarray) -> Pair:
    return Pair(name, lambda size: (_resize(a, size), _resize(b, size)))


def _files(folder: Path, prefix: str, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    found = sorted(folder.glob(f"{prefix}*.tgz"))
    if not found:
        raise SystemExit(f"{folder} has no archive {prefix}*.tgz; fetch it with npm pack (see {Path(__file__).name})")
    with tarfile.open(found[-1]) as archive:
        return {
            member.name: archive.extractfile(member).read()
            for member in archive.getmembers()
            if member.isfile() and wanted(member.name)
        }


def _rasterize(sources: Sources, texts: list[str], size: int) -> np.ndarray:
    out = sources.packages / "rasterized.npy"
    command = [sources.python, str(Path(__file__).parent / "peers" / "rasterize.py"), str(size), str(out)]
    subprocess.run(command, input=json.dumps(texts), text=True, check=True)
    return np.load(out)


def _on_white(data: bytes, size: int) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        layer = picture.convert("RGBA").resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(Image.alpha_composite(Image.new("RGBA", (size, size), WHITE), layer).convert("RGB"))
