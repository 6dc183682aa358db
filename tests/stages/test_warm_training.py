"""The stage train, from the weights of an earlier commit's model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stage_harness import StageHarness

from components.train.stage import STAGE
from pachyderm.client.commits import Commit
from pachyderm.client.files import files, read
from pachyderm.client.upload import put
from pachyderm.dag.repos import CHECKPOINT, TRAINING
from pachyderm.errors import StorageError
from pachyderm.output.output_commit import fill_set
from pachyderm.record import parent as parent_module
from pix2pix.hyperparameters import resolve

TEXT = """[train]
size = 32
scale_size = 36
ngf = 4
ndf = 4
discriminator_layers = 2
batch_size = 2
max_steps = 3
save_steps = 1
warm_start = "auto"
"""


pytestmark = pytest.mark.usefixtures("eager")


def filled(harness: StageHarness, commit_set: str, scratch: str, until: int = 99) -> Commit:
    """Train in a scratch folder that is lost afterwards; after step `until` the node dies."""

    def progress(done: int, total: int, note: str) -> None:
        if total == 3 and done == until:
            raise OSError(5, "the node is gone")

    folder = harness.folder / scratch
    folder.mkdir()
    worker = replace(harness.worker(), scratch=folder, keeps=False, progress=progress)
    return fill_set(harness.client, STAGE, commit_set, {}, worker)[0]


def add_pairs(folder: Path, numbers: range) -> None:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 255, (4, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((64, 32), Image.Resampling.NEAREST).save(folder / f"{number}.png")


def committed(harness: StageHarness, pairs: Path) -> str:
    commit = put(harness.client, TRAINING, {f"/{path.name}": path for path in pairs.iterdir()}).commit
    assert commit is not None
    return commit


@pytest.mark.long
def test_a_node_that_dies_changes_no_bit_of_a_training_from_the_parents_weights(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pix2pix.training.first_weights import EarlierModel
    from pix2pix.training.train import train

    pairs = harness.folder / "pairs"
    add_pairs(pairs, range(6))
    (pairs / "pix2pix.toml").write_text(TEXT)
    first = filled(harness, committed(harness, pairs), "first")
    add_pairs(pairs, range(6, 7))
    commit_set = committed(harness, pairs)
    with monkeypatch.context() as patch, pytest.raises(StorageError, match="differs from the commit's record"):
        readable = parent_module.readable_record

        def changed(client: object, repo: str, key: str) -> object:
            record = readable(client, repo, key)  # type: ignore[arg-type]
            wrong = {path: replace(entry, sha256="0" * 64) for path, entry in record.files.items()}  # type: ignore[union-attr]
            return replace(record, files=wrong)  # type: ignore[type-var]

        patch.setattr(parent_module, "readable_record", changed)
        filled(harness, commit_set, "changed")
    with pytest.raises(OSError, match="node is gone"):
        filled(harness, commit_set, "died", until=2)
    second = filled(harness, commit_set, "next")
    record = harness.record(second)
    assert record.parent == first.id and any("resumed at step" in note for note in record.notes)
    for path in files(harness.client, CHECKPOINT.repo, first.id, "/checkpoint/"):
        target = harness.folder / "weights" / Path(path).name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(read(harness.client, CHECKPOINT.repo, first.id, path) or b"")
    (pairs / "pix2pix.toml").unlink()
    values = dict(line.split(" = ") for line in TEXT.splitlines()[1:-1])
    parameters = resolve("train", {name: int(value) for name, value in values.items()})
    earlier = EarlierModel(harness.folder / "weights", "the parent")
    train(pairs, harness.folder / "uninterrupted", parameters, earlier=earlier)
    for name in ("generator.npz", "discriminator.npz"):
        whole = (harness.folder / "uninterrupted" / "checkpoint" / name).read_bytes()
        assert read(harness.client, CHECKPOINT.repo, second.id, f"/checkpoint/{name}") == whole
    report = read(harness.client, CHECKPOINT.repo, second.id, "/_report/report.html") or b""
    assert b"Began with the weights of" in report
