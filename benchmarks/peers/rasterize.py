"""Rasterizes SVG for `pair_sets.py`: JSON list of SVG texts on standard input to one array, uint8 ``[N, S, S, 3]``.

python rasterize.py SIZE OUT.npy < texts.json
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

size, out = int(sys.argv[1]), Path(sys.argv[2])
pictures = []
for text in json.load(sys.stdin):
    data = bytes(resvg_py.svg_to_bytes(svg_string=text, background="#ffffff", width=size, height=size))
    pictures.append(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
np.save(out, np.stack(pictures))
