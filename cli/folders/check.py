"""The subcommand `check`: faults of A|B pairs before a model learns them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import click

from cli.console import emit, print_message, progress, table
from cli.options import Session, with_session

FOLDER = click.Path(path_type=Path)

SHOWN = 40
"""Findings in the table for people; ``--json`` and ``--html`` have all."""


@click.command("check")
@click.argument("pairs", metavar="PAIRS", type=FOLDER)
@click.option("--strict", is_flag=True, help="Exit code 1 if there are findings.")
@click.option("--html", "page", metavar="FILE", type=FOLDER, help="Write a page with the pictures.")
@click.option(
    "--size",
    metavar="PIXELS",
    type=click.IntRange(8, 4096),
    default=256,
    show_default=True,
    help="Height of the model's pictures.",
)
@click.option(
    "--width",
    metavar="PIXELS",
    type=click.IntRange(8, 4096),
    help="Width of the model's pictures.  [default: as --size]",
)
@click.option("--workers", metavar="N", type=click.IntRange(1, 256), help="Number of threads.  [default: one per core]")
@with_session
def check(
    session: Session,
    pairs: Path,
    strict: bool,
    page: Path | None,
    size: int,
    width: int | None,
    workers: int | None,
) -> None:
    """Look for faults in the A|B pairs in PAIRS, the worst first.

    Near-duplicates, also across the split; blank, swapped, inverted, mirrored and shifted halves; wrong partners;
    colours outside the palette of label maps; enlarged pictures; mixed sizes; an aspect ratio far from the model's.
    """
    from pix2pix.datasets.checks.pair_check import check_pairs

    with progress(session, "check") as show:
        checked = check_pairs(pairs, model=(size, width or size), workers=workers, progress=show)
    if page is not None:
        from cli.folders.check_page import write_page

        write_page(page, pairs, checked)
        print_message(session, f"page written to {page}")
    findings = [dataclasses.asdict(finding) for finding in checked.findings]
    counts = Counter(finding.code for finding in checked.findings)
    rejected = [dataclasses.asdict(rejection) for rejection in checked.left_out]
    document = {
        "pairs": checked.pairs,
        "counts": dict(counts),
        "findings": findings,
        "rejected": rejected,
    }
    lines = [f"{checked.pairs} pairs checked, {len(findings)} finding{'s' * (len(findings) != 1)}"]
    if findings:
        lines.append(table(["score", "code", "path", "what"], findings[:SHOWN]))
        if len(findings) > SHOWN:
            lines.append(f"and {len(findings) - SHOWN} more; --json and --html list all")
        lines.append("")
        lines += [f"{code}: {remedy}" for code, remedy in _remedies(findings).items()]
    if checked.left_out:
        lines += ["", f"{len(checked.left_out)} left out:", table(["code", "path", "reason"], rejected)]
    emit(session, document, "\n".join(lines))
    if strict and findings:
        click.get_current_context().exit(1)


def _remedies(findings: list[dict[str, str]]) -> dict[str, str]:
    """What to do, once per code, in the order of the findings."""
    return {finding["code"]: finding["remedy"] for finding in findings}
