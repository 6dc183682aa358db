"""The gate of the stage export: measures a candidate against the model in use and decides about its promotion."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.export.held_out_pairs import fetch_held_out
from components.importing import imported_meanwhile
from components.parameters import ExportPolicy
from pachyderm.client.commits import Commit, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.download import download
from pachyderm.client.file_contents import FileContent, StoredFile
from pachyderm.client.files import Listing, content, files
from pachyderm.dag.gate_decision import GateDecision, GateOutcome
from pachyderm.dag.promotion import was_in_use
from pachyderm.dag.repos import CHECKPOINT
from pachyderm.errors import PermanentError
from pachyderm.output.stage import Judgement, StageContext
from pachyderm.record.fingerprints import FINGERPRINT
from pix2pix.errors import InputError

if TYPE_CHECKING:
    from pix2pix.inference.comparison import Comparison

logger = logging.getLogger(__name__)

SHOWN = 6
"""Pairs of which the report shows pictures."""

PICTURES = "comparison"
"""Folder of these pictures below the report: ``<number of the pair>/<kind>.png``."""


def judge(job: StageContext, in_use: Commit, model: Mapping[str, FileContent]) -> Judgement:
    """Decide whether a candidate becomes the model in use.

    Args:
        job: the export's work; `StageContext.policy` is an `ExportPolicy`.
        in_use: head of `model@master`, which may hold no model yet.
        model: the candidate: output path -> content.

    Raises:
        PermanentError: the candidate cannot be loaded.
    """
    try:
        return _judged(job, in_use, model)
    except InputError as error:
        raise PermanentError(str(error)) from error


def _judged(job: StageContext, in_use: Commit, model: Mapping[str, FileContent]) -> Judgement:
    policy: ExportPolicy = job.policy
    if job.pinned:
        return _decided(policy, "held back", "its run has its own hyperparameters")
    if policy.promote == "never":
        return _decided(policy, "held back", 'promote = "never"')
    other = content(files(job.client, in_use.repo, in_use.id))
    if policy.promote == "if_better" and other and _is_same(model, other):
        return _decided(policy, "promoted", "its files are those of the model in use", in_use=in_use.id)
    earlier = _in_use_before(job, model) if policy.promote == "if_better" else None
    if earlier:
        return _decided(
            policy, "promoted", f"its files are those of {earlier}, which was in use before", in_use=in_use.id
        )
    with imported_meanwhile("pix2pix.inference.comparison"):
        folder = _local(job, model, job.scratch / "candidate")
    from pix2pix.inference.comparison import has_finite_weights

    if not has_finite_weights(folder):
        return _decided(policy, "held back", "its weights are not finite", in_use=in_use.id if other else None)
    if policy.promote == "always":
        return _decided(policy, "promoted", 'promote = "always"', in_use=in_use.id if other else None)
    if policy.promote == "if_better" and not other:
        return _decided(policy, "promoted", "no model was in use")
    return _compared(job, folder, in_use if other else None, other)


def _compared(job: StageContext, folder: Path, in_use: Commit | None, listing: Listing) -> Judgement:
    """Measure the candidate and the model in use, if there is one, and decide."""
    from pix2pix.inference.comparison import compare_models, difference
    from pix2pix.inference.translator import Translator

    policy: ExportPolicy = job.policy
    otherwise: GateOutcome = "waiting" if policy.promote == "review" else "held back"
    facts = {"in_use": in_use.id if in_use else None}
    candidate, other, obstacle = Translator(folder), None, ""
    if in_use is not None:
        try:
            other = Translator(_fetched(job.client, in_use, listing, job.scratch / "in-use"))
            obstacle = difference(candidate, other)
        except InputError as error:
            logger.warning("%s: %s", in_use, error)
            obstacle = "the model in use is damaged, or was not exported by pix2pix, and cannot be measured"
    other = None if obstacle else other
    pairs = job.scratch / "held-out"
    checkpoint, compared = job.inputs[CHECKPOINT.repo].commit, in_use if other is not None else None
    chosen, shared = fetch_held_out(job.client, checkpoint, compared, pairs, job.progress)
    found = compare_models(candidate, other, pairs, chosen, job.scratch / PICTURES, show=SHOWN, progress=job.progress)
    outcome, reason = (otherwise, obstacle) if obstacle else _outcome(policy, found, shared)
    return _decided(policy, outcome, reason, found, shared=shared, **facts)


def _outcome(policy: ExportPolicy, found: Comparison, shared: bool) -> tuple[GateOutcome, str]:
    """Decide by the figures, which may be missing; return the outcome and the reason."""
    otherwise: GateOutcome = "waiting" if policy.promote == "review" else "held back"
    metric = policy.promote_metric
    if not found.pairs:
        return otherwise, "no pair is held out ([train] held_out), so nothing can be measured"
    ours, theirs = found.candidate[metric], found.in_use.get(metric)
    figures = f"{metric} {ours:.4g}" + (f" against {theirs:.4g}" if theirs is not None else "")
    pairs = f"{len(found.pairs)} pair{'s' * (len(found.pairs) != 1)}"
    reason = f"{figures} on {pairs}" + ("" if shared or theirs is None else ", none held out by both models' data")
    if not math.isfinite(ours):
        return "held back", reason
    if policy.promote == "review":
        return "waiting", reason
    return ("promoted" if is_good_enough(policy, ours, theirs) else "held back"), reason


def is_good_enough(policy: ExportPolicy, ours: float, theirs: float | None) -> bool:
    """Whether a candidate's figure is at most the tolerated fraction worse than that of the model in use.

    Args:
        policy: names the metric and the tolerance.
        ours: the candidate's mean; NaN is never good enough.
        theirs: that of the model in use; None or NaN if it has none.
    """
    if not math.isfinite(ours) or theirs is None or not math.isfinite(theirs):
        return math.isfinite(ours)
    tolerated = policy.promote_tolerance * abs(theirs)
    return ours <= theirs + tolerated if policy.promote_metric == "l1" else ours >= theirs - tolerated


def _decided(
    policy: ExportPolicy,
    outcome: GateOutcome,
    reason: str,
    found: Comparison | None = None,
    *,
    in_use: str | None = None,
    shared: bool = False,
) -> Judgement:
    if found is None:
        return Judgement(GateDecision(outcome, reason, policy.promote, in_use=in_use))
    decision = GateDecision(
        outcome,
        reason,
        policy.promote,
        metric=policy.promote_metric if found.pairs else "",
        in_use=in_use,
        candidate_metrics=_finite(found.candidate),
        in_use_metrics=_finite(found.in_use),
        pairs=len(found.pairs),
        shared=shared,
        shown=tuple(found.shown),
    )
    pictures = {
        f"{PICTURES}/{number}/{kind}.png": file
        for number, shown in enumerate(found.shown.values())
        for kind, file in shown.items()
    }
    return Judgement(decision, pictures)


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _is_same(model: Mapping[str, FileContent], listing: Listing) -> bool:
    """Whether a reused model has exactly the files of the model in use."""
    stored = {path: file.entry for path, file in model.items() if isinstance(file, StoredFile)}
    return stored.keys() == model.keys() and stored == dict(listing)


def _in_use_before(job: StageContext, model: Mapping[str, FileContent]) -> str | None:
    """Return the id of the promoted commit that a reused model equals, unless a person rolled back from it.

    Whoever reverts training data, or puts earlier ones again, goes back to their model whatever it measures.
    """
    origins = {file.commit for file in model.values() if isinstance(file, StoredFile)}
    if len(origins) != 1 or not all(isinstance(file, StoredFile) for file in model.values()):
        return None
    fingerprint = inspect(job.client, job.commit.repo, origins.pop()).metadata.get(FINGERPRINT)
    return was_in_use(job.client, FINGERPRINT, fingerprint) if fingerprint else None


def _local(job: StageContext, model: Mapping[str, FileContent], folder: Path) -> Path:
    """Return a folder with the candidate: its files just made, or those of the commit that is reused."""
    stored: dict[tuple[str, str], dict[str, Any]] = {}
    for path, file in model.items():
        if isinstance(file, StoredFile):
            stored.setdefault((file.repo, file.commit), {})[path] = file.entry
        elif isinstance(file, Path):
            (folder / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            (folder / path.lstrip("/")).hardlink_to(file)
    for (repo, commit), listing in stored.items():
        download(job.client, repo, commit, listing, folder, whole=True)
    return folder


def _fetched(client: Connection, commit: Commit, listing: Listing, folder: Path) -> Path:
    download(client, commit.repo, commit.id, listing, folder, whole=True)
    return folder
