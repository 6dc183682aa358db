"""The stage export: trained weights to a SavedModel for TensorFlow Serving and the stage generate."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from components.code_digest import ONNX, TENSORFLOW, code_digest, versions_of
from components.export.gate import judge
from components.export.page import page
from components.importing import imported_meanwhile
from components.parameters import resolver
from components.transfer import fetch, files_below
from pachyderm.dag.repos import CHECKPOINT, EXPORT, TRAINING
from pachyderm.errors import PermanentError
from pachyderm.output.stage import Input, Stage, StageContext, StageOutput
from pachyderm.record.stage_record import read_record
from pix2pix.errors import HyperparameterError, InputError

logger = logging.getLogger(__name__)


def work(job: StageContext) -> StageOutput:
    """Export the checkpoint."""
    with imported_meanwhile("pix2pix.inference.export"):
        checkpoint, target = fetch(job, CHECKPOINT.repo), job.scratch / "model"
    from pix2pix.inference.export import export

    try:
        exported = export(checkpoint, target, job.parameters, progress=job.progress)
    except (InputError, HyperparameterError) as error:
        raise PermanentError(str(error)) from error
    for warning in exported.warnings:
        logger.warning("%s", warning)
    commit = job.inputs[CHECKPOINT.repo].commit
    trained = read_record(job.client, commit.repo, commit.id)
    metrics = trained.metrics if trained else {}
    return StageOutput(files_below(target), metrics=metrics, warnings=exported.warnings)


def awaited(inputs: Mapping[str, Input]) -> str | None:
    """Return what is missing as long as nothing was trained."""
    return None if inputs[CHECKPOINT.repo].files else f"A|B pairs on {TRAINING}"


STAGE = Stage(
    spec=EXPORT,
    code=lambda: code_digest(__name__, "pix2pix.inference.export"),
    versions=versions_of(*TENSORFLOW, *ONNX),
    resolve=resolver(TRAINING.repo, "export"),
    work=work,
    awaited=awaited,
    page=page,
    judge=judge,
)
