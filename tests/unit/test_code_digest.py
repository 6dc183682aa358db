"""The digest of the code that shapes a stage's output."""

from __future__ import annotations

import pytest

from components import code_digest


@pytest.fixture(autouse=True)
def fresh() -> None:
    code_digest.code_digest.cache_clear()


def changed(monkeypatch: pytest.MonkeyPatch, name: str, *modules: str) -> bool:
    before = code_digest.code_digest(*modules)
    code_digest.code_digest.cache_clear()
    original = code_digest._source
    monkeypatch.setattr(
        code_digest, "_source", lambda one: original(one) + (b"\nCHANGED = 1\n" if one == name else b"")
    )
    after = code_digest.code_digest(*modules)
    code_digest.code_digest.cache_clear()
    return before != after


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("pix2pix.datasets.resize", {"resize"}),
        ("pix2pix.images.codec", {"resize", "train", "export", "generate"}),
        ("pix2pix.model.losses", {"train"}),
        ("pix2pix.model.networks", {"train", "export"}),
        ("pix2pix.pages.training_report", set()),
        ("components.train.stage", {"train"}),
        ("pix2pix.facades.generator", set()),
    ],
)
def test_a_change_of_a_module_runs_the_stages_whose_output_it_shapes(
    monkeypatch: pytest.MonkeyPatch, module: str, stages: set[str]
) -> None:
    for stage in ("resize", "train"):
        with monkeypatch.context() as patch:
            modules = (f"components.{stage}.stage", f"pix2pix.{stage}")
            assert changed(patch, module, *modules) == (stage in stages), stage


def test_the_digest_is_the_same_each_time() -> None:
    first = code_digest.code_digest("pix2pix.datasets.resize")
    code_digest.code_digest.cache_clear()
    assert code_digest.code_digest("pix2pix.datasets.resize") == first
