"""The report of a training: one self-contained HTML file."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.rejections import Rejection
from pix2pix.images.thread_map import cores
from pix2pix.pages.curves import Curve, draw
from pix2pix.pages.rendering import render, write

TITLES = {
    "l1": "L1, held out (lower is better)",
    "psnr": "PSNR in dB, held out (higher is better)",
    "ssim": "SSIM, held out (higher is better)",
    "losses/l1": "L1, training",
    "losses/adversarial": "Adversarial losses of discriminator and generator",
    "rate": "Pictures per second",
}
"""Curve -> its title."""


def write_report(
    work: Path,
    parameters: TrainParameters,
    records: Sequence[Mapping[str, Any]],
    steps: Sequence[int],
    facts: Mapping[str, Any],
    left_out: Sequence[Rejection] = (),
    check: Mapping[str, Any] | None = None,
) -> None:
    """Write ``report.html``.

    Args:
        work: work folder of the training; holds ``samples/over_time.png``.
        parameters: of the training.
        records: of ``metrics.jsonl``.
        steps: of the outputs that ``over_time.png`` shows.
        facts: further facts to list, name -> value.
        left_out: files that were not used.
        check: what the check of the pairs found: ``pairs`` and ``of`` (numbers), ``counts`` (code -> number) and
            ``pictured`` (findings with thumbnails); None if they were not checked.
    """
    held_out = [record for record in records if "held_out" in record]
    last = held_out[-1]["held_out"] if held_out else {}
    page = render(
        "pix2pix.pages",
        "training_report.html",
        summary=_summary(parameters, held_out),
        figures={name.upper() + (" (dB)" if name == "psnr" else ""): f"{value:.3f}" for name, value in last.items()},
        heads=["input", *(f"step {step:,}" for step in steps), "target"],
        samples=(work / "samples" / "over_time.png").read_bytes(),
        curves=curves_of(records),
        facts={**facts, **_environment()},
        left_out=[{"name": file.path, "code": file.code, "reason": file.reason} for file in left_out],
        check=check,
        parameters={name: json.dumps(value) for name, value in dataclasses.asdict(parameters).items()},
    )
    write(work / "report.html", page)


def curves_of(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, Markup]]:
    """Return title and chart of each metric in records of ``metrics.jsonl``."""
    return [(title, draw(curves)) for title, curves in _curves(records)]


def _summary(parameters: TrainParameters, held_out: Sequence[Mapping[str, Any]]) -> str:
    height, width = parameters.shape
    measured = "Metrics are means over pairs that were never trained on." if held_out else "No pairs were held out."
    return f"{width} x {height} pixels, {parameters.direction}, {parameters.ngf} filters. {measured}"


def _curves(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Curve]]]:
    """Return title and curves of each chart that has data."""
    held_out = [record for record in records if "held_out" in record]
    losses = [record for record in records if "losses" in record]

    def curve(label: str, source: Sequence[Mapping[str, Any]], *keys: str) -> Curve:
        points = []
        for record in source:
            value: Any = record
            for key in keys:
                value = value.get(key, math.nan)
            points.append((float(record["step"]), float(value)))
        return Curve(label, points)

    charts = [(TITLES[name], [curve(name, held_out, "held_out", name)]) for name in ("l1", "psnr", "ssim")]
    charts.append((TITLES["losses/l1"], [curve("l1", losses, "losses", "l1")]))
    adversarial = [curve(name, losses, "losses", name) for name in ("discriminator", "adversarial")]
    charts.append((TITLES["losses/adversarial"], adversarial))
    charts.append((TITLES["rate"], [curve("rate", losses, "images_per_second")]))
    return [(title, curves) for title, curves in charts if any(any(y for _, y in c.points) for c in curves)]


def _environment() -> dict[str, str]:
    """Return the machine and the versions that a training ran with."""
    versions = {}
    for name in ("tensorflow", "numpy", "pillow"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    machine = f"{platform.system()} {platform.machine()}, {cores()} cores"
    return {"Machine": machine, "Python": platform.python_version(), **versions}
