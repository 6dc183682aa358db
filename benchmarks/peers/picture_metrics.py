"""Measures outputs against targets for `quality.py`, with metrics that need no downloaded weights.

    python picture_metrics.py DATA.npz RUN.npz...    one line of JSON a run: metric -> its value, of every picture

MS-SSIM and VIF are piq's, FLIP is NVIDIA's; NLPD, the sliced Wasserstein distance and the energy at the stride's
frequencies follow the papers named below.
"""

from __future__ import annotations

import json
import sys

import flip_evaluator
import numpy as np
import piq
import torch
from torch.nn import functional

SCALE_WEIGHTS = [0.2, 0.3, 0.5]
"""Of MS-SSIM: at 64 pixels there are 3 scales, not 5; the three coarsest weights of Wang et al. 2003, normalized."""
BURT = torch.tensor([1.0, 4, 6, 4, 1]) / 16
"""The low-pass filter of a Laplacian pyramid (Burt and Adelson 1983)."""


def blur(x: torch.Tensor) -> torch.Tensor:
    """Filter ``[N, C, H, W]``, with mirrored borders."""
    channels = x.shape[1]
    kernel = torch.outer(BURT, BURT)[None, None].repeat(channels, 1, 1, 1)
    return functional.conv2d(functional.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, groups=channels)


def laplacian(x: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """Return the levels of a Laplacian pyramid, the finest first and the low-pass rest last."""
    found = []
    for _ in range(levels - 1):
        small = blur(x)[:, :, ::2, ::2]
        found.append(x - functional.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False))
        x = small
    return [*found, x]


def nlpd(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the normalized Laplacian pyramid distance of each picture's luma (Laparra et al. 2016).

    Each band is divided by 0.17 plus its mean amplitude nearby; the root mean squares of the differences are averaged.
    """
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    bands = [laplacian((x * weights).sum(1, keepdim=True), 4) for x in (a, b)]
    normalized = [[band / (0.17 + blur(band.abs())) for band in side] for side in bands]
    distances = [(x - y).square().mean((1, 2, 3)).sqrt() for x, y in zip(*normalized, strict=True)]
    return torch.stack(distances).mean(0)


def sliced_wasserstein(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the sliced Wasserstein distance of 7 x 7 patches, times 1000, mean of 3 levels (Karras et al. 2018)."""
    draw = torch.Generator().manual_seed(1)
    distances = []
    for x, y in zip(laplacian(a, 3), laplacian(b, 3), strict=True):
        sides = []
        for side in (x, y):
            patches = functional.unfold(side, 7, stride=3).transpose(1, 2).reshape(-1, 3, 49)
            patches = (patches - patches.mean((0, 2), keepdim=True)) / (patches.std((0, 2), keepdim=True) + 1e-8)
            sides.append(patches.reshape(len(patches), -1))
        directions = torch.randn(147, 256, generator=draw)
        directions /= directions.norm(dim=0, keepdim=True)
        p, q = (torch.sort(side @ directions, 0).values for side in sides)
        distances.append(float((p - q).abs().mean()) * 1000)
    return float(np.mean(distances))


def stride_energy(x: torch.Tensor) -> float:
    """Return the energy at periods of 2 and 4 pixels, relative to that at the frequencies beside them.

    1 where nothing is special about them; checkerboards of layers with stride 2 raise it (Odena et al. 2016).
    """
    power = torch.fft.fft2(x.mean(1)).abs().square().mean(0)
    size = power.shape[0]
    lines = power.mean(0) + power.mean(1)
    ratios = [lines[at] / lines[[at - 3, at - 2]].mean() for at in (size // 2, size // 4)]
    return float(torch.stack(ratios).mean())


def measure(targets: np.ndarray, outputs: np.ndarray) -> dict[str, object]:
    """Measure outputs, uint8 ``[N, H, W, 3]``."""
    b, a = (torch.from_numpy(p.transpose(0, 3, 1, 2).astype(np.float32) / 255) for p in (targets, outputs))
    weights = torch.tensor(SCALE_WEIGHTS)
    flips = [
        float(flip_evaluator.evaluate(t / np.float32(255), o / np.float32(255), "LDR", applyMagma=False)[1])
        for t, o in zip(targets, outputs, strict=True)
    ]
    return {
        "l1": ((a - b).abs().mean((1, 2, 3)) * 2).tolist(),
        "ms_ssim": piq.multi_scale_ssim(a, b, scale_weights=weights, reduction="none").tolist(),
        "vif": piq.vif_p(a, b, reduction="none").tolist(),
        "flip": flips,
        "nlpd": nlpd(a, b).tolist(),
        "swd": [sliced_wasserstein(a, b)],
        "stride": [abs(float(np.log(stride_energy(a) / stride_energy(b))))],
    }


def main() -> None:
    """Print one line a run."""
    with np.load(sys.argv[1]) as data:
        targets = data["test"][..., 3:]
    for path in sys.argv[2:]:
        with np.load(path) as run:
            found = measure(targets, run["outputs"])
            found |= {"seconds": [float(run["seconds"])], "steps": [int(run["steps"])]}
        print(json.dumps({"run": path, **found}), flush=True)


main()
