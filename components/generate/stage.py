"""The stage generate: the model in use translates every prepared picture.

It exists as a stage of its own so that a new model makes all pictures anew and a new picture only itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from components.code_digest import code_digest
from components.importing import import_meanwhile
from components.page import page
from components.parameters import resolver
from components.pictures import as_rejected, assign, fetch
from components.versions import PICTURES, TENSORFLOW, versions_of
from pachyderm.dag.repos import GENERATE, INPUT_IMAGES, MODEL, PREPROCESS_IMAGES
from pachyderm.errors import HopelessError
from pachyderm.output.stage import Input, Job, Made, Stage
from pachyderm.record.fingerprints import digest
from pachyderm.record.picture_search import picture_fingerprint
from pix2pix.errors import InputError
from pix2pix.images.png.text import FINGERPRINT


def work(job: Job) -> Made:
    """Translate the pictures that are work, in batches, in this one process."""
    if job.plan is None or not job.plan.compute:
        return Made({})
    import_meanwhile("pix2pix.inference.generate")
    model, source = fetch(job, MODEL.repo), fetch(job, PREPROCESS_IMAGES.repo, job.plan.compute)
    from pix2pix.inference.generate import generate

    target = job.scratch / "generated"
    only = [path.lstrip("/") for path in job.plan.compute]
    try:
        done = generate(model, source, target, job.parameters, only=only, text=said(job), progress=job.progress)
    except InputError as error:
        raise HopelessError(str(error)) from error
    return Made(
        {job.plan.compute[f"/{path}"]: target / output for path, output in done.written.items()},
        rejected=as_rejected(done.rejected),
    )


def said(job: Job) -> dict[str, str]:
    """What each picture says of itself: what shaped it, and nothing of the pictures beside it."""
    parts = {
        "stage": STAGE.name,
        "code": STAGE.code(),
        "parameters": digest(asdict(job.parameters)),
        **{f"versions.{name}": version for name, version in STAGE.versions().items()},
        f"inputs.{MODEL.repo}": job.inputs[MODEL.repo].digest,
    }
    return {FINGERPRINT: picture_fingerprint(parts)}


def awaited(inputs: Mapping[str, Input]) -> str | None:
    """Nothing to do before there are pictures and a model in use."""
    if not inputs[PREPROCESS_IMAGES.repo].files:
        return f"pictures on {INPUT_IMAGES}"
    return None if inputs[MODEL.repo].files else f"a promoted model on {MODEL}"


STAGE = Stage(
    spec=GENERATE,
    code=lambda: code_digest(__name__, "pix2pix.inference.generate"),
    versions=versions_of(*dict.fromkeys((*TENSORFLOW, *PICTURES))),
    resolve=resolver(INPUT_IMAGES.repo, "generate"),
    work=work,
    awaited=awaited,
    page=page,
    assign=assign,
)
