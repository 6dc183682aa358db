"""Formats the metrics of generated pictures for people."""

from __future__ import annotations

from collections.abc import Mapping

_FORMATS = {"l1": "L1 {:.4f}", "psnr": "PSNR {:.2f} dB", "ssim": "SSIM {:.4f}"}


def metrics_text(metrics: Mapping[str, float]) -> str:
    """Format L1, PSNR (dB) and SSIM, as far as they were measured."""
    known = [text.format(metrics[name]) for name, text in _FORMATS.items() if name in metrics]
    return ", ".join(known) or "nothing was measured"
