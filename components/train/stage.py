"""The stage train: A|B pairs to trained weights."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from components.code_digest import DRAWINGS, PICTURES, TENSORFLOW, code_digest, versions_of
from components.importing import imported_meanwhile
from components.page import page
from components.parameters import resolver
from components.pictures import as_rejected
from components.train.warm_start import CONTINUATION, earlier_model
from components.transfer import fetch, files_below
from pachyderm.dag.repos import TRAIN, TRAINING
from pachyderm.errors import PermanentError
from pachyderm.output.stage import Input, Stage, StageContext, StageOutput
from pachyderm.record.stage_record import InputCheck, InputFinding
from pix2pix.errors import InputError
from pix2pix.hyperparameters.train import TrainParameters

if TYPE_CHECKING:
    from pix2pix.budget.choice import Speed
    from pix2pix.datasets.checks.training_check import TrainingCheck  # imports the image libraries

NOT_PUBLISHED = ("state", "report.html")
"""Names that are not output files: the state for the next attempt, and the report, which goes under `/_report/`."""

HELD_OUT = {"l1": "held_out_l1", "psnr": "held_out_psnr", "ssim": "held_out_ssim"}
"""Metric of the training -> its name in the record, which states what it was measured on."""


def work(job: StageContext) -> StageOutput:
    """Train on all pairs, resuming where an earlier attempt at the same work stopped."""
    with imported_meanwhile("pix2pix.training.train"):
        pairs = fetch(job, TRAINING.repo)
        earlier = earlier_model(job)
    from pix2pix.training.train import train

    try:
        trained = train(pairs, job.keep, job.parameters, earlier=earlier, progress=job.progress, on_saved=job.save)
    except InputError as error:
        raise PermanentError(str(error)) from error
    report = job.keep / "report.html"
    return StageOutput(
        files_below(job.keep, leave_out=NOT_PUBLISHED),
        rejected=as_rejected(trained.rejected),
        metrics={"steps": trained.step, **{HELD_OUT.get(name, name): value for name, value in trained.metrics.items()}},
        report=report.read_text() if report.exists() else "",
        notes=(
            *((f"Training was resumed at step {trained.resumed_from}.",) if trained.resumed_from else ()),
            *trained.notes,
        ),
        check=_as_input_check(trained.check) if trained.check else None,
        held_out=tuple(f"/{name}" for name in trained.held_out),
        began_anew=earlier is not None and not trained.began_with,
    )


def _as_input_check(check: TrainingCheck) -> InputCheck:
    worst = tuple(
        InputFinding(
            f"/{fault.path}", fault.code, fault.what, fault.remedy, fault.score, fault.other and f"/{fault.other}"
        )
        for fault in check.worst
    )
    return InputCheck(check.pairs, check.of, check.counts, worst)


def choose(job: StageContext) -> Mapping[str, Any]:
    """Choose what the parameters leave to their time budget, by some of the pairs and the speed of this machine."""
    began = time.monotonic()
    from pix2pix.budget.outline import sample

    paths = sorted(job.inputs[TRAINING.repo].files, key=str.encode)
    read = sample(paths)
    with imported_meanwhile("pix2pix.budget.settling"):
        pairs = fetch(job, TRAINING.repo, read)
    from pix2pix.budget.calibration import THIS_MACHINE
    from pix2pix.budget.settling import choices_for

    def measured(parameters: TrainParameters) -> Speed:
        job.progress(0, 0, f"measuring the speed at {parameters.size} pixels with {parameters.ngf} filters")
        return THIS_MACHINE.measure(parameters)

    machine = replace(THIS_MACHINE, measure=measured)
    names = [path.removeprefix("/") for path in read]
    try:
        return choices_for(pairs, names, len(paths), job.parameters, machine, lambda: time.monotonic() - began)
    except InputError as error:
        raise PermanentError(str(error)) from error


def awaited(inputs: Mapping[str, Input]) -> str | None:
    """Return what is missing as long as there are no pairs."""
    return None if inputs[TRAINING.repo].files else f"A|B pairs on {TRAINING}"


def effort(parameters: Mapping[str, Any], pairs: int) -> float:
    """Return a figure that grows as the duration of a training does: steps, pictures, pixels and filters; 0: unknown.

    Args:
        parameters: name -> value, of this release or an earlier one.
        pairs: pairs in the folder, the held-out ones included.
    """
    known = TrainParameters.recorded(
        {name: value for name, value in parameters.items() if name in TrainParameters.TYPES and value is not None}
    )
    height, width = known.shape
    steps = known.total_steps(max(1, round(pairs * (1 - known.held_out))))
    return float(steps * known.batch_size * height * width * known.ngf)


STAGE = Stage(
    spec=TRAIN,
    code=lambda: code_digest(__name__, "pix2pix.training.train"),
    versions=versions_of(*dict.fromkeys((*TENSORFLOW, *PICTURES, *DRAWINGS))),
    resolve=resolver(TRAINING.repo, "train"),
    work=work,
    awaited=awaited,
    page=page,
    effort=effort,
    choose=choose,
    continuation=CONTINUATION,
)
