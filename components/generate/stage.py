"""The stage generate: translation of every preprocessed picture by the model in use."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict

from components.code_digest import PICTURES, TENSORFLOW, code_digest, versions_of
from components.importing import imported_meanwhile
from components.page import page
from components.parameters import resolver
from components.pictures import as_rejected, assign
from components.recorded_model import fetch_model
from components.transfer import fetch
from pachyderm.dag.repos import GENERATE, INPUT_IMAGES, MODEL, PREPROCESS_IMAGES
from pachyderm.errors import PermanentError
from pachyderm.output.stage import Input, Stage, StageContext, StageOutput
from pachyderm.record.fingerprints import digest
from pachyderm.record.picture_search import picture_fingerprint
from pachyderm.record.stage_record import readable_record
from pix2pix.errors import HyperparameterError, InputError
from pix2pix.images.png.text import FINGERPRINT
from pix2pix.inference.engines import ONNX_RUNTIME, TITLES, chosen, reads
from pix2pix.inference.saved_model import ONNX

logger = logging.getLogger(__name__)


def work(job: StageContext) -> StageOutput:
    """Translate the pictures of the plan, in batches, in one process."""
    if job.plan is None or not job.plan.compute:
        return StageOutput({})
    engine = _engine(job)
    with imported_meanwhile(engine, TITLES[engine]):
        model = fetch_model(job, lambda path: reads(engine, path.lstrip("/").partition("/")[2]))
        source = fetch(job, PREPROCESS_IMAGES.repo, job.plan.compute)
    from pix2pix.inference.generate import generate
    from pix2pix.inference.suitability import SCALED_LABELS, ModelInputs

    target = job.scratch / "generated"
    only = [path.lstrip("/") for path in job.plan.compute]
    try:
        generated = generate(
            model,
            source,
            target,
            job.parameters,
            only=only,
            text=picture_text(job),
            complete=False,
            progress=job.progress,
        )
    except (InputError, HyperparameterError) as error:
        raise PermanentError(str(error)) from error
    warnings = generated.warnings
    if ModelInputs.of_model(model).labels and not _scaled_as_labels(job):
        warnings += (SCALED_LABELS,)
    for warning in warnings:
        logger.warning("%s", warning)
    return StageOutput(
        {job.plan.compute[f"/{path}"]: target / output for path, output in generated.written.items()},
        rejected=as_rejected(generated.rejected),
        warnings=warnings,
    )


def _engine(job: StageContext) -> str:
    """Return the engine that the parameters and the model in use ask for."""
    has_onnx = any(path.endswith(f"/{ONNX.as_posix()}") for path in job.inputs[MODEL.repo].files)
    return chosen(job.parameters.engine, has_onnx)


def _scaled_as_labels(job: StageContext) -> bool:
    """Return whether the stage resize scaled the pictures by nearest neighbour; True if it recorded nothing."""
    prepared = job.inputs[PREPROCESS_IMAGES.repo].commit
    record = readable_record(job.client, prepared.repo, prepared.id)
    return record is None or "labels" not in record.parameters or bool(record.parameters["labels"].value)


def picture_text(job: StageContext) -> dict[str, str]:
    """Return the text that each picture carries: the fingerprint of what shaped it, without the pictures beside it."""
    parts = {
        "stage": STAGE.name,
        "code": STAGE.code(),
        "parameters": digest(asdict(job.parameters)),
        **{f"versions.{name}": version for name, version in STAGE.versions().items()},
        f"inputs.{MODEL.repo}": job.inputs[MODEL.repo].digest,
    }
    return {FINGERPRINT: picture_fingerprint(parts)}


def awaited(inputs: Mapping[str, Input]) -> str | None:
    """Return what is missing: pictures, or a model in use."""
    if not inputs[PREPROCESS_IMAGES.repo].files:
        return f"pictures on {INPUT_IMAGES}"
    return None if inputs[MODEL.repo].files else f"a promoted model on {MODEL}"


STAGE = Stage(
    spec=GENERATE,
    # The settings of TensorFlow decide how sums are rounded; the task applies them, and nothing here imports them.
    code=lambda: code_digest(__name__, "pix2pix.inference.generate", "pix2pix.tensorflow"),
    versions=versions_of(ONNX_RUNTIME, *dict.fromkeys((*TENSORFLOW, *PICTURES))),
    resolve=resolver(INPUT_IMAGES.repo, "generate"),
    work=work,
    awaited=awaited,
    page=page,
    assign=assign,
    batch=lambda parameters: parameters.batch_size,
)
