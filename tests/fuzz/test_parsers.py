"""Whatever others write into metadata, records, files and answers, each parser ends with a result or a refusal."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inputs import DEEP, DIGITS, inputs, mutated, structured
from parsers import PARSERS, SCRATCH, check

SAMPLE, MANY = 60, 100_000
"""Inputs of one parser in the normal and in the long tests."""

FUZZ_PROCESS = Path(__file__).with_name("fuzz_process.py")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Drop log messages and warnings, of which there is one for most inputs."""
    logging.disable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_takes_or_refuses_any_input(name: str) -> None:
    run(name, seed=sum(name.encode()), count=SAMPLE)


FOUND = [
    ("own parameters", b'{"train": {"max_steps": "\\ud800"}}'),
    ("model options", b'{"format": 1, "train": 1e999}'),
    ("metrics log", b'{"step": 1, "losses": ' + DEEP.encode()),
    ("metrics log", b'{"step": {}, "losses": {}}'),
    ("checkpoint", b'{"format": ' + DEEP.encode()),
    ("run folder", b'{"phase": "failed"}'),
    ("run folder", b"-1"),
    ("runs of Kubeflow", b'{"runs": [null]}'),
    ("runs of Kubeflow", b'{"run_id": "r", "state": "FAILED", "created_at": "0001-01-01"}'),
    ("runs of Kubeflow", b'{"run_id": "r", "state": {}}'),
    ("runs of Kubeflow", b""),
    ("compiled pipeline", b"root:\n  inputDefinitions:\n    parameters:\n"),
    ("lock file", DEEP.encode()),
    ("references", b"master^" + DIGITS.encode()),
]


def test_values_that_were_found_by_fuzzing_are_refused() -> None:
    for name, data in FOUND:
        check(PARSERS[name](), data)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_takes_or_refuses_a_hundred_thousand_inputs(name: str, volume: Callable[[int, int], int]) -> None:
    run(name, seed=int(os.environ.get("FUZZ_SEED", "1")), count=volume(MANY, 2_000))


def run(name: str, seed: int, count: int) -> None:
    parser = PARSERS[name]()
    for number, data in enumerate(inputs(seed, count, list(parser.seeds))):
        try:
            check(parser, data)
        except Exception as error:
            kept = SCRATCH / f"{name}-{seed}-{number}"
            kept.write_bytes(data)
            raise AssertionError(f"{name}: input {number} of seed {seed}, kept in {kept}: {data[:300]!r}") from error


@pytest.mark.parametrize("name", ["metadata", "record", "own parameters", "parameters file", "references", "globs"])
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_a_parser_takes_or_refuses_what_hypothesis_finds(name: str, data: st.DataObject) -> None:
    parser = PARSERS[name]()
    random = data.draw(st.randoms(use_true_random=False))
    check(parser, data.draw(st.one_of(st.binary(max_size=100), st.text(max_size=50).map(str.encode))))
    check(parser, structured(random, random.choice(parser.seeds)))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_takes_or_refuses_what_coverage_leads_to(
    name: str, tmp_path: Path, volume: Callable[[int, int], int]
) -> None:
    pytest.importorskip("atheris", reason="atheris has packages for Linux on x86_64 and for macOS")
    runs = volume(MANY, 2_000)
    command = [sys.executable, str(FUZZ_PROCESS), name, str(runs), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert f"Done {runs} runs" in ended.stderr


def test_the_generator_gives_hostile_and_valid_inputs_and_repeats_them() -> None:
    seeds = [b'{"a": {"b": [1, 2]}}', b"a = 1\n[b]\nc = 2"]
    first, again = (list(inputs(7, 200, seeds)) for _ in range(2))
    assert first == again
    assert len(set(first)) > 150
    assert any(b"\xb2" in data for data in first)
    assert any(len(data) > 20_000 for data in first)
    random = Random(1)
    assert all(isinstance(make, bytes) for make in (structured(random, seeds[0]), mutated(random, seeds)))
