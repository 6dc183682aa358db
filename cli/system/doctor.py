"""The subcommand `doctor`: what is installed, reachable and usable here, line by line, each problem with its remedy.

It exists so that the first question about any trouble has one answer, which a person can read and a script can parse.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from pathlib import Path

import click

from cli.console import emit
from cli.options import Session, with_session


@click.command()
@click.option("--config", "file", type=click.Path(path_type=Path, dir_okay=False), help="The trigger's settings, TOML.")
@click.option("--gpu", is_flag=True, help="A GPU is needed here: its absence is a problem.")
@with_session
def doctor(session: Session, file: Path | None, gpu: bool) -> None:
    """Check this installation: packages, folders, Pachyderm, Kubeflow, GPU and image.

    Changes nothing. Ends with 0 if all is well, 3 if a service cannot be reached, 2 for any other problem.
    """
    from cli.system import doctor_checks, doctor_kubeflow
    from workflows.settings.configuration import load

    configuration = load(file, os.environ)
    findings = [
        *doctor_checks.packages(),
        *doctor_checks.folders(os.environ),
        *doctor_checks.pachyderm(session.target()),
        *doctor_kubeflow.kubeflow(configuration, os.environ, time.sleep),
        *doctor_checks.gpu(needed=gpu, environment=os.environ),
        *doctor_checks.images(os.environ),
    ]
    lines = []
    for one in findings:
        lines.append(f"{'ok     ' if one.ok else 'problem'}  {one.check}: {one.detail}")
        if one.remedy:
            lines.append(f"         remedy: {one.remedy}")
    code = max((one.code for one in findings), default=0)
    document = {"ok": code == 0, "findings": [dataclasses.asdict(one) for one in findings]}
    emit(session, document, "\n".join(lines))
    if code:
        sys.exit(code)
