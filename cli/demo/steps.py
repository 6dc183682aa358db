"""The steps of the demo; every figure they report is read back from the store."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.console import print_message
from cli.demo.timeline import Timeline
from cli.options import Session
from pachyderm.client.connection import Target, connect
from pachyderm.dag.short_ids import SHORT_ID
from pachyderm.errors import RequestError
from pachyderm.record.stage_record import StageRecord, read_record
from pix2pix.facades import generator

PAIRS, MORE_PAIRS, LABELS, SIZE = 64, 8, 12, 64
"""Pairs to train on first, pairs added later, label maps to translate, and the side of each picture, pixels."""

FIRST = """# Small enough for a laptop: half a minute of training.
[train]
size = 64
scale_size = 64     # no random crops: the texture of these facades depends on the position
flip = false
ngf = 16
ndf = 16
batch_size = 4
max_steps = 600
"""

SECOND = FIRST.replace("max_steps = 600", "max_steps = 400\nl1_weight = 50")

PICTURES = """[resize]
size = 64
labels = true       # label maps: nearest neighbour, which invents no labels
"""


@dataclass(frozen=True)
class Step:
    """What a step of the demo did: title, branches moved, work done."""

    title: str
    moved: str
    ran: str


@dataclass
class Demo:
    """A demo in progress.

    Attributes:
        folder: holds everything that the demo writes.
        rows: rows of the closing table.
        timeline: what each step after the set-up changed in the store.
    """

    session: Session
    folder: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    timeline: Timeline = field(init=False)

    def __post_init__(self) -> None:
        self.timeline = Timeline(self.target())

    @property
    def store(self) -> Path:
        """Folder of the embedded store."""
        return self.folder / "store"

    @property
    def source(self) -> Path:
        """Folder of the procedural data."""
        return self.folder / "source"

    @property
    def late(self) -> Path:
        """The label map that is added later."""
        return self.source / generator.name(LABELS)

    def target(self) -> Target:
        """Return where the demo's data is."""
        return Target(store=self.store)

    def perform(self, step: Callable[[Demo], Step]) -> None:
        """Perform a step and record its row of the closing table."""
        start = time.monotonic()
        done = step(self)
        elapsed = time.monotonic() - start
        if self.rows:
            self.timeline.add(done.title, elapsed)
        else:
            self.timeline.begin()
        seconds = f"{elapsed:.1f}"
        number = len(self.rows) + 1
        self.rows.append({"step": number, "what": done.title, "moved": done.moved, "ran": done.ran, "seconds": seconds})
        print_message(self.session, f"  -> {done.ran} ({seconds} s)")
        print_message(self.session, "")

    def command(self, *words: str) -> Any:
        """Print a command line, run it in this process and return its JSON document."""
        print_message(self.session, f"$ pix2pix {shlex.join(words)}")
        return self._run(*words)

    def _run(self, *words: str) -> Any:
        from cli.main import pix2pix

        output = io.StringIO()
        quiet = ["-q"] if self.session.verbosity < 0 else []
        with contextlib.redirect_stdout(output):
            pix2pix.main(["--store", str(self.store), "--json", *quiet, *words], standalone_mode=False)
        return json.loads(output.getvalue())

    def write_lineage(self, folder: Path) -> None:
        """Write the lineage page of each commit of the timeline."""
        folder.mkdir()
        for entry in self.timeline.entries:
            for commit in entry.commits:
                self._run("lineage", f"{commit.repo}@{commit.id}", "--html", str(folder / commit.page))

    def run_open(self) -> Sequence[dict[str, Any]]:
        """Run the trigger until no commit is open; return the work items."""
        units: list[dict[str, Any]] = self.command("trigger", "--once")["units"]
        return units

    def download(self, name: str) -> None:
        """Download the generated pictures into a folder beside the store."""
        self.command("get", "generate_images", str(self.folder / name), "--glob", "/*.png")

    def record(self, repo: str, commit_id: str) -> StageRecord:
        """Read the record of an output commit."""
        with connect(self.target()) as client:
            record = read_record(client, repo, commit_id)
        if record is None:
            raise RequestError(f"{repo}@{commit_id} has no record; run: pix2pix --store {self.store} status")
        return record


def set_up(demo: Demo) -> Step:
    """Make the data, the repos and their provenance."""
    source = demo.source
    generator.make_pairs(source / "pairs", PAIRS, SIZE, seed=1)
    generator.make_pairs(source / "more_pairs", MORE_PAIRS, SIZE, seed=1, start=PAIRS)
    generator.make_labels(source / "labels", LABELS + 1, SIZE, seed=2)
    generator.make_facades(source / "targets", LABELS + 1, SIZE, seed=2)
    (source / "pairs" / "pix2pix.toml").write_text(FIRST)
    (source / "labels" / "pix2pix.toml").write_text(PICTURES)
    (source / "labels" / demo.late.name).rename(demo.late)
    created = demo.command("setup")["created"]
    return Step("set-up", ", ".join(name for name in created if "@" in name), "nothing yet")


def train(demo: Demo) -> Step:
    """Commit pairs; a model is trained, exported and promoted."""
    commit = demo.command("put", "training", str(demo.source / "pairs"), "-m", f"{PAIRS} facades")["commit"]
    demo.run_open()
    metrics = demo.record("checkpoint", commit).metrics
    return Step(
        f"{PAIRS} pairs on training",
        f"training@{commit[:SHORT_ID]} -> checkpoint, model, promoted",
        f"train ({metrics['steps']:.0f} steps, held-out L1 {metrics['held_out_l1']:.4f}, "
        f"SSIM {metrics['held_out_ssim']:.3f}), export",
    )


def generate(demo: Demo) -> Step:
    """Commit label maps; pictures are generated."""
    words = ("put", "input_images", str(demo.source / "labels"), "-m", f"{LABELS} label maps")
    commit = demo.command(*words)["commit"]
    demo.run_open()
    done = _pictures_step(demo, f"{LABELS} pictures on input_images", commit)
    demo.download("generated-1")
    return done


def add_picture(demo: Demo) -> Step:
    """Commit one more label map; only its picture is generated, and the others are carried over."""
    commit = demo.command("put", "input_images", str(demo.late), "-m", "one more")["commit"]
    demo.run_open()
    # The report reads every label map from one folder.
    shutil.copyfile(demo.late, demo.source / "labels" / demo.late.name)
    return _pictures_step(demo, "one more picture", commit)


def retrain(demo: Demo) -> Step:
    """Commit more pairs and other parameters; the gate decides whether the new model replaces the one in use."""
    (demo.source / "more_pairs" / "pix2pix.toml").write_text(SECOND)
    words = ("put", "training", str(demo.source / "more_pairs"), "-m", "more facades, other parameters")
    commit = demo.command(*words)["commit"]
    units = demo.run_open()
    metrics, gate = demo.record("checkpoint", commit).metrics, demo.record("model", commit).gate
    promoted = gate is not None and gate.outcome == "promoted"
    return Step(
        f"{MORE_PAIRS} more pairs and other parameters",
        f"training@{commit[:SHORT_ID]} -> checkpoint, model" + (", promoted -> generate_images" if promoted else ""),
        f"train ({metrics['steps']:.0f} steps), export; the gate: {gate}"
        + (f"; {_generated(demo, units)}" if promoted else ""),
    )


def promote_by_hand(demo: Demo) -> Step:
    """Put the second model into use, whatever the gate decided; all pictures are generated again."""
    moved = demo.command("promote")
    units = demo.run_open()
    demo.download("generated-2")
    if moved["from"] == moved["to"]:
        return Step("promote by hand", "nothing: the gate promoted the second model", "nothing to do")
    return Step(
        "promote by hand",
        f"model@master {moved['from'][:SHORT_ID]} -> {moved['to'][:SHORT_ID]} -> generate_images",
        f"the second model is used although the gate held it back: {_generated(demo, units)}",
    )


def roll_back(demo: Demo) -> Step:
    """Return to the first model; its pictures are reused."""
    moved = demo.command("rollback")
    units = demo.run_open()
    demo.download("generated-3")
    return Step(
        "roll back",
        f"model@master {moved['from'][:SHORT_ID]} -> {moved['to'][:SHORT_ID]} -> generate_images",
        f"{_generated(demo, units)}; {_same_as_first(demo.folder)}",
    )


STEPS = (set_up, train, generate, add_picture, retrain, promote_by_hand, roll_back)
"""The steps, in order."""


def _pictures_step(demo: Demo, title: str, commit: str) -> Step:
    resized = demo.record("preprocess_images", commit).counts
    generated = demo.record("generate_images", commit).counts
    return Step(
        title,
        f"input_images@{commit[:SHORT_ID]} -> preprocess_images, generate_images",
        f"resize {resized.computed} of {resized.inputs}, generate {generated.computed} of {generated.inputs}, "
        f"{generated.carried} carried over",
    )


def _generated(demo: Demo, units: Sequence[dict[str, Any]]) -> str:
    """Describe the last generation among the work items."""
    commit_sets = [unit["commit_set"] for unit in units if unit["pipeline"] == "preprocessing_and_generation"]
    record = demo.record("generate_images", commit_sets[-1])
    if record.reused_from is not None:
        return f"generate: {record.counts.carried} reused from {record.reused_from[:SHORT_ID]}, none computed"
    return f"generate {record.counts.computed} of {record.counts.inputs}"


def _same_as_first(folder: Path) -> str:
    """Count the pictures that are identical to those of the first model."""
    first = {path.name: path.read_bytes() for path in (folder / "generated-1").glob("*.png")}
    now = {path.name: path.read_bytes() for path in (folder / "generated-3").glob("*.png")}
    same = sum(now.get(name) == content for name, content in first.items())
    return f"{same} of {len(first)} pictures are identical to those of the first model"
