"""What a change costs: 1,000 input pictures, then one changed, one added, one deleted and one renamed.

The figures in docs/guarantees.md are from here. Run `.venv/bin/python -m benchmarks.stages [PICTURES [FILTERS]]`;
it prints a table. Stages run in this process: neither the start of one nor the import of TensorFlow is measured. The
time that TensorFlow takes to load the model and to prepare it for its first batch is shown separately, and so is the
ratio with and without it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import ClassVar

import numpy as np

from components.export.stage import STAGE as EXPORT
from components.generate.stage import STAGE as GENERATE
from components.resize.stage import STAGE as RESIZE
from components.train.stage import STAGE as TRAIN
from pachyderm.client.commits import inspect
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.upload import put
from pachyderm.dag.repos import INPUT_IMAGES, TRAINING
from pachyderm.dag.revert import revert
from pachyderm.dag.setup import set_up
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import Stage
from pachyderm.output.worker import Worker
from pachyderm.record.stage_record import read_record
from pix2pix.facades import generator
from pix2pix.hyperparameters import GenerateParameters
from pix2pix.images.codec import encode_png
from pix2pix.progress import silent
from pix2pix.tensorflow import configure_tensorflow

configure_tensorflow()  # before TensorFlow is imported
from pix2pix.inference import generate as generation  # noqa: E402

SIZE = 64

TRAINING_PARAMETERS = """
[train]
size = {size}
scale_size = {size}
ngf = {filters}
ndf = 16
batch_size = 4
max_steps = 20
"""


class Bench:
    """A store, and the stages run over it."""

    def __init__(self, client: Connection, folder: Path) -> None:
        self.client, self.folder = client, folder

    def fill(self, stage: Stage) -> tuple[float, str]:
        """Seconds, and what the stage did."""
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        began = time.perf_counter()
        commit, _ = fill_set(self.client, stage, "", {}, Worker("benchmark", str(began), scratch, silent))
        seconds = time.perf_counter() - began
        record = read_record(self.client, commit.repo, commit.id)
        if record is None:
            raise SystemExit(f"{commit} has no record")
        counts = record.counts
        return seconds, f"{record.outcome}: {counts.computed} computed, {counts.carried} carried over"

    def put(self, files: dict[str, Path], delete: tuple[str, ...] = ()) -> None:
        """Commit pictures; with something to delete, exactly these."""
        put(self.client, INPUT_IMAGES, files, mirror_under="/" if delete else None)


class Timed(generation.Translator):
    """A model that records how long its engine took to load it.

    Attributes:
        ready: seconds of each model that was loaded.
    """

    ready: ClassVar[list[float]] = []

    def __init__(self, model: Path, engine: str = "auto", *, complete: bool = True) -> None:
        began = time.perf_counter()
        super().__init__(model, engine, complete=complete)
        size = self.multiple
        self(np.zeros((GenerateParameters().batch_size, max(size, SIZE), max(size, SIZE), 3), np.uint8))
        Timed.ready.append(time.perf_counter() - began)


def main(count: int, filters: int) -> None:
    """Measure and print."""
    generation.Translator = Timed
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with connect(Target(store=folder / "store")) as client:
            set_up(client)
            bench = Bench(client, folder)
            generator.make_pairs(folder / "pairs", 8, SIZE, seed=1)
            (folder / "pairs" / "pix2pix.toml").write_text(TRAINING_PARAMETERS.format(size=SIZE, filters=filters))
            pairs = {f"/{path.name}": path for path in (folder / "pairs").iterdir()}
            first = put(client, TRAINING, pairs).commit
            rows = [("train", *bench.fill(TRAIN)), ("export", *bench.fill(EXPORT))]
            pictures = folder / "pictures"
            for number in range(count + 2):
                encode_png(random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8), pictures / f"{number:05}.png")
            (pictures / "pix2pix.toml").write_text(f"[resize]\nsize = {SIZE}\n")
            files = {f"/{path.name}": path for path in sorted(pictures.iterdir())}
            added = files.pop(f"/{count + 1:05}.png")
            changed = files.pop(f"/{count:05}.png")
            bench.put(files)
            whole = [(f"resize, all {count}", *bench.fill(RESIZE)), (f"generate, all {count}", *bench.fill(GENERATE))]
            files["/00000.png"] = changed
            files["/added.png"] = added
            files.pop("/00001.png")
            files["/renamed.png"] = files.pop("/00002.png")
            bench.put(files, delete=("/00001.png",))
            part = [("resize, the change", *bench.fill(RESIZE)), ("generate, the change", *bench.fill(GENERATE))]
            rows += whole + part
            more = folder / "more"
            generator.make_pairs(more, 1, SIZE, seed=9)
            put(client, TRAINING, {f"/more-{path.name}": path for path in more.iterdir()})
            bench.fill(TRAIN)
            bench.fill(EXPORT)
            revert(client, inspect(client, TRAINING.repo, first or ""))
            rows += [("train, gone back", *bench.fill(TRAIN)), ("export, gone back", *bench.fill(EXPORT))]
    for name, seconds, did in rows:
        print(f"{name:28} {seconds:8.2f} s  {did}")
    everything, change = (sum(row[1] for row in those) for those in (whole, part))
    first, second = Timed.ready
    print(f"{'loading of the model':28} {first:8.2f} s, {second:.2f} s, of what generating took")
    print(f"with {filters} filters, the change costs 1/{everything / change:.0f} of all", end="; ")
    print(f"less the loading of the model 1/{(everything - first) / (change - second):.0f}")


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*given, *(1000, 16)[len(given) :])
