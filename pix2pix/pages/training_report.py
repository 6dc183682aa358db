"""report.html of a training: one file, nothing loaded from anywhere.

It exists so that a run can be judged from a phone, in print or in a mail, without TensorBoard or a server.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.thread_map import cores
from pix2pix.pages.curves import Curve, draw

TEMPLATE = Path(__file__).with_name("templates") / "training_report.html"
TITLES = {
    "l1": "L1, held out (less is better)",
    "psnr": "PSNR in dB, held out (more is better)",
    "ssim": "SSIM, held out (more is better)",
    "losses/l1": "L1, training",
    "losses/game": "Discriminator and generator against each other",
    "pace": "Pictures a second",
}
"""Curve -> what stands below it."""


def write_report(
    work: Path,
    parameters: TrainParameters,
    records: Sequence[Mapping[str, Any]],
    steps: Sequence[int],
    facts: Mapping[str, Any],
) -> None:
    """Write ``report.html``.

    Args:
        work: folder of the training; has ``samples/over_time.png``.
        parameters: all of them are listed.
        records: the lines of ``metrics.jsonl``.
        steps: which the outputs in ``over_time.png`` are of.
        facts: what else is known, name -> value.
    """
    held_out = [record for record in records if "held_out" in record]
    last = held_out[-1]["held_out"] if held_out else {}
    figures = {name.upper() + (" (dB)" if name == "psnr" else ""): f"{value:.3f}" for name, value in last.items()}
    heads = ["input", *(f"step {step:,}" for step in steps), "target"]
    png = (work / "samples" / "over_time.png").read_bytes()
    text = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        summary=html.escape(_summary(parameters, held_out)),
        figures="".join(f"<div><dt>{html.escape(n)}<dd>{html.escape(v)}</div>" for n, v in figures.items()),
        heads="".join(f"<span>{html.escape(head)}</span>" for head in heads),
        samples=base64.b64encode(png).decode("ascii"),
        curves=figures_of(records),
        facts=_rows({**facts, **_environment()}),
        parameters=_rows(dataclasses.asdict(parameters)),
    )
    path = work / "report.html"
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)  # noqa: PTH105 - the atomic rename, by its name


def figures_of(records: Sequence[Mapping[str, Any]]) -> str:
    """The curves of a history (lines of ``metrics.jsonl``) as HTML figures with inline SVG."""
    return "".join(_figure(title, curves) for title, curves in _curves(records))


def _summary(parameters: TrainParameters, held_out: Sequence[Mapping[str, Any]]) -> str:
    height, width = parameters.shape
    measured = "Figures are means over pairs that were never trained on." if held_out else "No pairs were held out."
    return f"{width} x {height} pixels, {parameters.direction}, {parameters.ngf} filters. {measured}"


def _curves(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Curve]]]:
    """Collect the curves that there is data for, with their titles."""
    held_out = [record for record in records if "held_out" in record]
    losses = [record for record in records if "losses" in record]

    def curve(label: str, source: Sequence[Mapping[str, Any]], *keys: str) -> Curve:
        points = []
        for record in source:
            value: Any = record
            for key in keys:
                value = value[key]
            points.append((float(record["step"]), float(value)))
        return Curve(label, points)

    found = [(TITLES[name], [curve(name, held_out, "held_out", name)]) for name in ("l1", "psnr", "ssim")]
    found.append((TITLES["losses/l1"], [curve("l1", losses, "losses", "l1")]))
    game = [curve(name, losses, "losses", name) for name in ("discriminator", "adversarial")]
    found.append((TITLES["losses/game"], game))
    found.append((TITLES["pace"], [curve("pace", losses, "images_per_second")]))
    return [(title, curves) for title, curves in found if any(any(y for _, y in c.points) for c in curves)]


def _figure(title: str, curves: list[Curve]) -> str:
    return f"<figure>{draw(curves)}<figcaption>{html.escape(title)}</figcaption></figure>"


def _environment() -> dict[str, str]:
    found = {}
    for name in ("tensorflow", "numpy", "pillow"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    machine = f"{platform.system()} {platform.machine()}, {cores()} cores"
    return {"Machine": machine, "Python": platform.python_version(), **found}


def _rows(values: Mapping[str, Any]) -> str:
    return "".join(f"<tr><td>{html.escape(str(n))}<td>{html.escape(str(v))}" for n, v in values.items())
