"""compare: models side by side; `model@master^` is the model that was in use before."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from stage_harness import StageHarness

from cli.generated_pictures import Originals, same_inputs
from cli.main import pix2pix
from pachyderm.client.commits import inspect
from pachyderm.client.upload import put
from pachyderm.dag.model_references import resolve_model
from pachyderm.dag.promotion import promote, rollback
from pachyderm.dag.repos import INPUT_IMAGES, MODEL, TRAINING
from pachyderm.errors import RequestError
from pix2pix.images.codec import png_bytes
from pix2pix.images.similarity import target_of


def trained(harness: StageHarness, text: str, parameters: str) -> str:
    commit_set = harness.put(TRAINING, {"/a.png": text, "/pix2pix.toml": parameters})
    harness.run("train", "export", "resize", "generate")
    return commit_set


def run(harness: StageHarness, *words: object) -> str:
    """Run a subcommand and return its standard output."""
    arguments = [str(word) for word in (*harness.location, *words)]
    environment = {"PACH_PROJECT": harness.target.project}
    result = CliRunner(env=environment).invoke(pix2pix, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_model_before_is_the_one_that_was_in_use_and_never_the_set_up(harness: StageHarness) -> None:
    client = harness.client
    with pytest.raises(RequestError, match="no models so far in use"):
        resolve_model(client, "master^")
    first = trained(harness, "A", "size=32")
    with pytest.raises(RequestError, match="1 model so far in use"):
        resolve_model(client, "model@master^")
    kept = trained(harness, "B", "size=48 promote=never")
    third = trained(harness, "C", "size=64")
    assert resolve_model(client, "model@master^").id == first, "the second was never in use"
    rollback(client, None, 2e9)
    assert [resolve_model(client, f"master{ancestry}").id for ancestry in ("", "^", "^^")] == [first, third, first]
    promote(client, kept, 3e9)
    assert [resolve_model(client, f"master{ancestry}").id for ancestry in ("", "~1", "^2")] == [kept, first, third]
    with pytest.raises(RequestError, match="is not a model"):
        resolve_model(client, "training@master")


def test_models_are_compared_by_parameters_data_and_metrics(harness: StageHarness) -> None:
    first, second = trained(harness, "A", "size=32"), trained(harness, "B", "size=64")
    models = json.loads(run(harness, "compare", first[:8], "master", "--json"))["models"]
    assert [model["commit"] for model in models] == [first, second]
    assert [model["in_use"] for model in models] == [False, True]
    assert [model["parameters"]["train.size"] for model in models] == ["32", "64"]
    assert models[0]["data"]["pairs"] == 1 and models[0]["data"]["digest"] != models[1]["data"]["digest"]
    assert models[0]["metrics"] == {"held_out_l1": 0.5}
    lines = run(harness, "compare", "master^", "master").splitlines()
    assert lines[0].split() == ["model", first[:12], second[:12]]
    assert ["train.size", "32", "64"] in [line.split() for line in lines]
    assert "pillow" not in "".join(lines), "equal versions are listed with -v alone"
    assert "pillow" in run(harness, "compare", "master^", "master", "-v")
    with pytest.raises(RequestError, match="not found"):
        run(harness, "compare", "nosuch")


def test_the_page_shows_each_models_picture_of_the_same_input(harness: StageHarness, tmp_path: Path) -> None:
    harness.put(INPUT_IMAGES, {"/1.jpg": "1"})
    first, second = trained(harness, "A", "size=32"), trained(harness, "B", "size=64")
    run(harness, "compare", first, second, "--html", tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text()
    assert page.count("<img") == 3, "the input and an output of each"
    assert "http" not in page
    kept = trained(harness, "C", "size=48 promote=never")
    run(harness, "compare", first, kept, "--html", tmp_path / "d.html")
    assert "never generated from the same pictures" in (tmp_path / "d.html").read_text()


def test_the_target_of_a_picture_is_b_of_the_pair_whose_a_it_is(harness: StageHarness, tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    a, b, other = (draw.integers(0, 255, (16, 16, 3)).astype(np.uint8) for _ in range(3))
    pair = png_bytes(np.concatenate([a, b], axis=1))
    assert target_of(pair, png_bytes(a)) == png_bytes(b)
    assert target_of(pair, png_bytes(other)) is None
    assert target_of(b"", png_bytes(a)) is None
    (tmp_path / "1.png").write_bytes(pair)
    harness.put(INPUT_IMAGES, {"/1.jpg": "1"})
    put(harness.client, TRAINING, {"/1.png": tmp_path / "1.png"})
    model = trained(harness, "A", "size=32")
    (generation,) = same_inputs(harness.client, [inspect(harness.client, MODEL.repo, model)])
    originals = Originals(harness.client, generation)
    assert originals.input("/1.png") == b"small(1)"
    assert originals.target("/1.png", png_bytes(a)) == png_bytes(b)
    assert originals.target("/1.png", png_bytes(other)) is None
