"""The bound on the effect of batches and threads holds for the kernels of other CPUs, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from generation_process import BATCHES
from pixel_bound import assert_folders_nearly_equal
from tiny_model import tiny, write_checkpoint, write_pairs

from pix2pix.inference.export import export

CPUS = {
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "without-onednn": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}
"""Environments in which oneDNN and TensorFlow choose the kernels of another CPU: a sample of `make test-cpus`."""

THREADS = (1, 3)
"""Numbers of threads that compute one operation; TensorFlow fixes it for a process."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    model = export(write_checkpoint(folder / "checkpoint", tiny()), folder / "model").folder
    return model, write_pairs(folder / "pictures", 5, halves=1)


@pytest.mark.parametrize("cpu", CPUS)
def test_batches_and_threads_change_a_value_by_one_level_at_most_on_every_cpu(inputs, tmp_path, cpu):
    command = [sys.executable, str(Path(__file__).with_name("generation_process.py")), *map(str, inputs)]
    for threads in THREADS:
        environment = {**os.environ, **CPUS[cpu], "TF_NUM_INTRAOP_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}
        subprocess.run([*command, str(tmp_path / str(threads))], check=True, env=environment)
    expected = tmp_path / "1" / f"batch-{BATCHES[0]}"
    for threads in THREADS:
        for batch in BATCHES:
            assert_folders_nearly_equal(tmp_path / str(threads) / f"batch-{batch}", expected)
        one_by_one = contents(tmp_path / str(threads) / "batch-1")
        alone = contents(tmp_path / str(threads) / "alone")
        assert len(alone) == 3
        assert alone == {name: one_by_one[name] for name in alone}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.png")}
