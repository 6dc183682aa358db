"""The stage resize: pictures of any kind to PNGs of the size that the model takes."""

from __future__ import annotations

from collections.abc import Mapping

from components.code_digest import DRAWINGS, PICTURES, code_digest, versions_of
from components.page import page
from components.parameters import resolver
from components.pictures import as_rejected, assign
from components.transfer import fetch
from pachyderm.dag.repos import INPUT_IMAGES, RESIZE
from pachyderm.output.stage import Input, Stage, StageContext, StageOutput


def work(job: StageContext) -> StageOutput:
    """Resize the pictures of the plan; a file that is not a picture is rejected and does not stop the others."""
    from pix2pix.datasets.resize import resize_folder

    if job.plan is None or not job.plan.compute:
        return StageOutput({})
    source, target = fetch(job, INPUT_IMAGES.repo, job.plan.compute), job.scratch / "resized"
    only = [path.lstrip("/") for path in job.plan.compute]
    resized = resize_folder(source, target, job.parameters, only=only, progress=job.progress)
    return StageOutput(
        {job.plan.compute[f"/{path}"]: target / output for path, output in resized.written.items()},
        rejected=as_rejected(resized.rejected),
    )


def awaited(inputs: Mapping[str, Input]) -> str | None:
    """Return what is missing as long as there are no pictures."""
    return None if inputs[INPUT_IMAGES.repo].files else f"pictures on {INPUT_IMAGES}"


STAGE = Stage(
    spec=RESIZE,
    code=lambda: code_digest(__name__, "pix2pix.datasets.resize"),
    versions=versions_of(*PICTURES, *DRAWINGS),
    resolve=resolver(INPUT_IMAGES.repo, "resize"),
    work=work,
    awaited=awaited,
    page=page,
    assign=assign,
)
