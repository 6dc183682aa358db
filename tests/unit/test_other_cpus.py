"""What batches and threads may change in a picture holds for the kernels of other CPUs, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pixel_bound import assert_folders_nearly_equal
from tiny_model import tiny, write_checkpoint, write_pairs

from pix2pix.inference.export import export

CPUS = {
    "sse41": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "without-onednn": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}
"""Settings that give oneDNN and TensorFlow the kernels of another CPU."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    model = export(write_checkpoint(folder / "checkpoint", tiny()), folder / "model").folder
    return model, write_pairs(folder / "pictures", 11, halves=1)


@pytest.mark.parametrize("cpu", CPUS)
def test_batches_and_threads_change_a_value_by_one_level_at_most_on_every_cpu(inputs, tmp_path, cpu):
    for threads in ("1", "3"):
        environment = {**os.environ, **CPUS[cpu], "TF_NUM_INTRAOP_THREADS": threads, "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, str(Path(__file__).with_name("generation_process.py")), *map(str, inputs)]
        subprocess.run([*command, str(tmp_path / threads)], check=True, env=environment)
    expected = tmp_path / "1" / "batch-8"
    for threads in ("1", "3"):
        for batch in ("batch-8", "batch-3", "batch-1"):
            assert_folders_nearly_equal(tmp_path / threads / batch, expected)
        alone = {path.name: path.read_bytes() for path in (tmp_path / threads / "batch-1").rglob("*.png")}
        assert alone == {path.name: path.read_bytes() for path in (tmp_path / threads / "halves").rglob("*.png")}
