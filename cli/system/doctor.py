"""The subcommand `doctor`: what is installed, reachable and usable, each problem with its remedy."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from pathlib import Path

import click

from cli.console import emit
from cli.options import Session, settings_option, with_session
from pix2pix.escaping import escape


@click.command()
@settings_option
@click.option("--gpu", is_flag=True, help="Report a missing GPU as a problem.")
@with_session
def doctor(session: Session, file: Path | None, gpu: bool) -> None:
    """Check packages, folders, Pachyderm, Kubeflow, GPU and images; change nothing.

    Exit code 0 if there are no problems, 3 if a service cannot be reached, 2 for any other problem.
    """
    from cli.system import doctor_checks, doctor_kubeflow, doctor_notifications
    from workflows.settings.configuration import load

    configuration = load(file, os.environ)
    findings = [
        *doctor_checks.packages(),
        *doctor_checks.folders(os.environ),
        *doctor_checks.pachyderm(session.target()),
        *doctor_kubeflow.kubeflow(configuration, os.environ, time.sleep),
        *doctor_notifications.notifications(configuration),
        *doctor_checks.gpu(needed=gpu, environment=os.environ),
        *doctor_checks.images(os.environ),
    ]
    lines = []
    for finding in findings:
        lines.append(f"{'ok     ' if finding.ok else 'problem'}  {finding.check}: {finding.detail}")
        if finding.remedy:
            lines.append(f"         remedy: {finding.remedy}")
    code = max((finding.code for finding in findings), default=0)
    document = {"ok": code == 0, "findings": [dataclasses.asdict(finding) for finding in findings]}
    emit(session, document, "\n".join(map(escape, lines)))
    if code:
        sys.exit(code)
