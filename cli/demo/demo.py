"""The subcommand `demo`: the main job, end to end, as the commands that a person would type.

It exists so that a stranger sees all of it work on a laptop in minutes; every figure that it shows was read back from
the store.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from cli.console import say, table
from cli.options import Session, with_session
from pachyderm.errors import RequestError

PAIRS, MORE_PAIRS, LABELS, SIZE = 64, 8, 12, 64
"""Pairs to train on, pairs that come later, pictures to translate, and their height and width in pixels."""

FIRST = """# Small enough for a laptop: half a minute of training.
[train]
size = 64
scale_size = 64     # no random crops: the facades' texture is tied to its place
flip = false
ngf = 16
ndf = 16
batch_size = 4
learning_rate = 1e-3
max_steps = 600
"""

SECOND = FIRST.replace("max_steps = 600", "max_steps = 400\nl1_weight = 50")

PICTURES = """[resize]
size = 64
labels = true       # label maps: nearest neighbour, so that no new label is made up
"""


@dataclass
class Demo:
    """The demo so far.

    Attributes:
        folder: everything is in it.
        steps: rows of the closing table.
    """

    session: Session
    folder: Path
    steps: list[dict[str, Any]] = field(default_factory=list)

    @property
    def store(self) -> Path:
        """The embedded store of the demo."""
        return self.folder / "store"

    def type(self, *words: str) -> Any:
        """Carry one command line out, as a person would, and return its JSON."""
        from cli.main import pix2pix

        shown = " ".join(f"'{word}'" if " " in word else word for word in words)
        say(self.session, f"$ pix2pix {shown}")
        said = io.StringIO()
        quiet = ["-q"] if self.session.verbosity < 0 else []
        with contextlib.redirect_stdout(said):
            pix2pix.main(["--store", str(self.store), "--json", *quiet, *words], standalone_mode=False)
        return json.loads(said.getvalue())

    def note(self, title: str, moved: str, ran: str, began: float) -> None:
        """Keep a row of the closing table."""
        seconds = time.monotonic() - began
        self.steps.append(
            {"step": len(self.steps) + 1, "what": title, "moved": moved, "ran": ran, "seconds": f"{seconds:.1f}"}
        )
        say(self.session, f"  -> {ran} ({seconds:.1f} s)\n")


@click.command()
@click.option("--output", default="demo", show_default=True, type=click.Path(path_type=Path), help="Folder to fill.")
@with_session
def demo(session: Session, output: Path) -> None:
    """Run the main job, end to end, on procedural facades, and write a report."""
    from cli.demo.report import write_report
    from pix2pix.facades import generator

    _clear(output)
    began = time.monotonic()
    show = Demo(session, output)
    source = output / "source"
    generator.make_pairs(source / "pairs", PAIRS, SIZE, seed=1)
    generator.make_pairs(source / "more_pairs", MORE_PAIRS, SIZE, seed=1, start=PAIRS)
    generator.make_labels(source / "labels", LABELS + 1, SIZE, seed=2)
    generator.make_facades(source / "targets", LABELS + 1, SIZE, seed=2)
    (source / "pairs" / "pix2pix.toml").write_text(FIRST)
    (source / "labels" / "pix2pix.toml").write_text(PICTURES)
    late = sorted((source / "labels").glob("*.png"))[-1]
    late = late.rename(source / late.name)

    at = time.monotonic()
    made = show.type("setup")
    show.note("set-up", ", ".join(name for name in made["created"] if "@" in name), "nothing yet", at)

    at = time.monotonic()
    first = show.type("put", "training", str(source / "pairs"), "-m", f"{PAIRS} facades")
    _work(show)
    trained = _record(show, "checkpoint", first["commit"])
    show.note(
        f"{PAIRS} pairs on training",
        f"training@{first['commit'][:8]} -> checkpoint, model, promoted",
        f"train ({trained.metrics['steps']:.0f} steps, held-out L1 {trained.metrics['held_out_l1']:.4f}, "
        f"SSIM {trained.metrics['held_out_ssim']:.3f}), export",
        at,
    )

    at = time.monotonic()
    pictures = show.type("put", "input_images", str(source / "labels"), "-m", f"{LABELS} label pictures")
    _work(show)
    show.note(
        f"{LABELS} pictures on input_images",
        f"input_images@{pictures['commit'][:8]} -> preprocess_images, generate_images",
        _counts(show, pictures["commit"]),
        at,
    )
    show.type("get", "generate_images", str(output / "generated-1"), "--glob", "/*.png")

    at = time.monotonic()
    one = show.type("put", "input_images", str(late), "-m", "one more")
    _work(show)
    show.note(
        "one more picture",
        f"input_images@{one['commit'][:8]} -> preprocess_images, generate_images",
        _counts(show, one["commit"]),
        at,
    )

    at = time.monotonic()
    (source / "more_pairs" / "pix2pix.toml").write_text(SECOND)
    second = show.type("put", "training", str(source / "more_pairs"), "-m", "more facades, other parameters")
    units = _work(show)
    retrained = _record(show, "checkpoint", second["commit"])
    show.note(
        f"{MORE_PAIRS} more pairs and other parameters",
        f"training@{second['commit'][:8]} -> checkpoint, model, promoted -> generate_images",
        f"train ({retrained.metrics['steps']:.0f} steps, held-out L1 {retrained.metrics['held_out_l1']:.4f}), export, "
        + _generated(show, units),
        at,
    )
    show.type("get", "generate_images", str(output / "generated-2"), "--glob", "/*.png")

    at = time.monotonic()
    moved = show.type("rollback")
    units = _work(show)
    show.type("get", "generate_images", str(output / "generated-3"), "--glob", "/*.png")
    show.note(
        "roll back",
        f"model@master {moved['from'][:8]} -> {moved['to'][:8]} -> generate_images",
        f"{_generated(show, units)}; {_same_as_first(output)}",
        at,
    )
    (source / "labels" / late.name).write_bytes(late.read_bytes())
    page = write_report(show.folder, session_target(show), show.steps)
    say(session, table(("step", "what", "moved", "ran", "seconds"), show.steps))
    store = f"pix2pix --store {show.store}"
    say(
        session,
        f"\ndone in {time.monotonic() - began:.0f} s; look at {page}\n\nwhat to type next\n"
        f"  {store} status\n  {store} models\n  {store} log generate_images\n"
        f"  {store} get generate_images pictures\n  {store} promote",
    )
    if session.json:
        click.echo(json.dumps({"steps": show.steps, "report": str(page)}, indent=2))


def session_target(show: Demo) -> Any:
    """Where the demo's data is."""
    from pachyderm.client.connection import Target

    return Target(store=show.store)


def _clear(output: Path) -> None:
    """Begin anew, but only in a folder that an earlier demo made."""
    if output.is_dir() and any(output.iterdir()):
        if not (output / "store").is_dir() or not (output / "source").is_dir():
            raise RequestError(f"{output} exists and was not made by the demo; name another folder: --output")
        shutil.rmtree(output)
    elif output.exists() and not output.is_dir():
        raise RequestError(f"{output} is a file; name a folder: --output")
    output.mkdir(parents=True, exist_ok=True)


def _work(show: Demo) -> Sequence[dict[str, Any]]:
    """Let the trigger work until nothing is open."""
    units: list[dict[str, Any]] = show.type("trigger", "--once")["units"]
    return units


def _record(show: Demo, repo: str, commit_id: str) -> Any:
    from pachyderm.client.connection import connect
    from pachyderm.record.stage_record import read_record

    with connect(session_target(show)) as client:
        record = read_record(client, repo, commit_id)
    if record is None:
        raise RequestError(f"{repo}@{commit_id} has no record; run: pix2pix --store {show.store} status")
    return record


def _counts(show: Demo, commit_set: str) -> str:
    resized = _record(show, "preprocess_images", commit_set).counts
    generated = _record(show, "generate_images", commit_set).counts
    return (
        f"resize {resized.computed} of {resized.inputs}, generate {generated.computed} of {generated.inputs}, "
        f"{generated.carried} carried over"
    )


def _generated(show: Demo, units: Sequence[dict[str, Any]]) -> str:
    """What generation did in the last set that the trigger ran."""
    last = [unit["commit_set"] for unit in units if unit["pipeline"] == "preprocessing_and_generation"][-1]
    record = _record(show, "generate_images", last)
    if record.outcome == "reused":
        return f"generate: {record.counts.carried} copied from {record.reused_from[:8]}, none computed"
    return f"generate {record.counts.computed} of {record.counts.inputs}"


def _same_as_first(output: Path) -> str:
    first = {path.name: path.read_bytes() for path in (output / "generated-1").glob("*.png")}
    now = {path.name: path.read_bytes() for path in (output / "generated-3").glob("*.png")}
    same = sum(now.get(name) == content for name, content in first.items())
    return f"{same} of {len(first)} pictures are those of the first model"
