"""The stage resize: pictures of any kind become pictures that the model takes.

It exists as a stage of its own so that a changed picture is prepared once, whatever model is used later.
"""

from __future__ import annotations

from collections.abc import Mapping

from components.code_digest import code_digest
from components.page import page
from components.parameters import resolver
from components.pictures import as_rejected, assign
from components.transfer import fetch
from components.versions import PICTURES, versions_of
from pachyderm.dag.repos import INPUT_IMAGES, RESIZE
from pachyderm.output.stage import Input, Job, Made, Stage


def work(job: Job) -> Made:
    """Resize the pictures that are work; a file that is no picture is rejected and stops nothing."""
    from pix2pix.datasets.resize import resize_folder

    if job.plan is None or not job.plan.compute:
        return Made({})
    source, target = fetch(job, INPUT_IMAGES.repo, job.plan.compute), job.scratch / "resized"
    only = [path.lstrip("/") for path in job.plan.compute]
    done = resize_folder(source, target, job.parameters, only=only, progress=job.progress)
    return Made(
        {job.plan.compute[f"/{path}"]: target / output for path, output in done.written.items()},
        rejected=as_rejected(done.rejected),
    )


def awaited(inputs: Mapping[str, Input]) -> str | None:
    """Nothing to do before there are pictures."""
    return None if inputs[INPUT_IMAGES.repo].files else f"pictures on {INPUT_IMAGES}"


STAGE = Stage(
    spec=RESIZE,
    code=lambda: code_digest(__name__, "pix2pix.datasets.resize"),
    versions=versions_of(*PICTURES),
    resolve=resolver(INPUT_IMAGES.repo, "resize"),
    work=work,
    awaited=awaited,
    page=page,
    assign=assign,
)
