"""The models: figures and curves, two of them side by side on the same inputs, promotion and rollback."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pachyderm.client.commits import Commit, all_commits, head
from pachyderm.client.connection import Connection
from pachyderm.client.files import read
from pachyderm.dag.promotion import promote, rollback
from pachyderm.dag.references import resolve
from pachyderm.dag.repos import CHECKPOINT, GENERATE_IMAGES, MODEL, PREPROCESS_IMAGES
from pachyderm.dag.review import approve, complete, decided, reject, standing, waits
from pachyderm.queue.blockers import duration
from pachyderm.record.record_cache import RecordCache
from pachyderm.record.stage_record import REPORT_HTML, StageRecord
from web.context import WebContext
from web.pages.commits import file_link
from web.requests import MEBIBYTE, body_within

COMPARED = 24
"""Pictures of a comparison at most."""


@dataclass(frozen=True)
class ModelRow:
    """A model in the table.

    Attributes:
        commit: id of its commit.
        age: time since it was exported.
        metrics: name -> value on the held-out pairs.
        use: what became of it: see `pachyderm.dag.review.standing`.
        notes: what the export noted, and the decision about its promotion.
    """

    commit: str
    age: str
    metrics: dict[str, float]
    use: str
    notes: tuple[str, ...]


class ReviewRequest(msgspec.Struct):
    """A verdict about the candidate `commit`, by a person, with the reason, which an approval may leave empty."""

    commit: str
    verdict: Literal["approve", "reject"]
    by: str
    reason: str = ""


_decode_review = msgspec.json.Decoder(ReviewRequest).decode


@dataclass(frozen=True)
class Comparison:
    """One input translated by two models: addresses of the pictures."""

    path: str
    prepared: str
    left: str
    right: str


class Models:
    """The pages of the models.

    Args:
        context: of the application.
    """

    def __init__(self, context: WebContext) -> None:
        self._context = context

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/models", self.page),
            Route("/models/compare", self.compare),
            Route("/models/{commit}", self.model),
            Route("/api/promote", self.promote, methods=["POST"]),
            Route("/api/rollback", self.rollback, methods=["POST"]),
            Route("/api/review", self.review, methods=["POST"]),
        ]

    def page(self, request: Request) -> Response:
        """Render the table."""
        with self._context.backend.client() as client:
            rows = _rows(client, self._context.clock())
        return self._context.page(request, "models.html", rows=rows)

    def model(self, request: Request) -> Response:
        """Render one model: parameters, figures, curves and samples."""
        with self._context.backend.client() as client:
            commit = resolve(client, MODEL.repo, request.path_params["commit"])
            cache = RecordCache(client)
            record = cache.record(commit)
            trained = cache.input_record(record, CHECKPOINT.repo) if record is not None else None
            models = list(all_commits(client, MODEL.repo))
            values = {
                "commit": commit,
                "record": record,
                "trained": trained,
                "waiting": waits(commit, models),
                "decision": decided(commit),
                "report": file_link(MODEL.repo, commit.id, REPORT_HTML),
                **_training(client, record),
            }
        return self._context.page(request, "model.html", **values)

    def compare(self, request: Request) -> Response:
        """Render two models on the same inputs."""
        with self._context.backend.client() as client:
            left = resolve(client, MODEL.repo, request.query_params.get("a", ""))
            right = resolve(client, MODEL.repo, request.query_params.get("b", ""))
            cache = RecordCache(client)
            comparisons = _comparisons(client, cache, left, right)
            records = [cache.record(commit) for commit in (left, right)]
            samples = [(name, _training(client, record)["samples"]) for name, record in zip("AB", records, strict=True)]
        figures = [record.metrics if record else {} for record in records]
        values: dict[str, Any] = {
            "left": left,
            "right": right,
            "comparisons": comparisons,
            "figures": figures,
            "names": sorted({*figures[0], *figures[1]}),
            "samples": samples,
        }
        return self._context.page(request, "compare.html", **values)

    async def promote(self, request: Request) -> Response:
        """Put a model into use; the body is its commit's id, or empty for the newest candidate."""
        commit = (await body_within(request, MEBIBYTE)).decode("ascii", "replace").strip()
        return await run_in_threadpool(self._promote, commit)

    async def rollback(self, request: Request) -> Response:
        """Return to the model that was promoted before the one in use."""
        return await run_in_threadpool(self._rollback)

    async def review(self, request: Request) -> Response:
        """Approve or reject a candidate; the body is a `ReviewRequest` as JSON."""
        body = await body_within(request, MEBIBYTE)
        try:
            review = _decode_review(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise HTTPException(400, f"the body cannot be read: {error}") from error
        return await run_in_threadpool(self._review, review)

    def _review(self, review: ReviewRequest) -> Response:
        now = self._context.clock()
        with self._context.backend.client() as client:
            commit = resolve(client, MODEL.repo, review.commit)
            if review.verdict == "reject":
                verdict = reject(client, commit.id, review.by, review.reason, now)
            elif complete(client, commit, now) is None:
                verdict, _ = approve(client, commit.id, review.by, review.reason, now)
            else:
                return JSONResponse({"commit": commit.id, "verdict": "approved"})
        return JSONResponse({"commit": commit.id, "verdict": verdict.verdict})

    def _promote(self, commit: str) -> Response:
        with self._context.backend.client() as client:
            model = resolve(client, MODEL.repo, commit).id if commit else None
            move = promote(client, model, self._context.clock())
        return JSONResponse({"from": move.before, "to": move.after})

    def _rollback(self) -> Response:
        with self._context.backend.client() as client:
            move = rollback(client, None, self._context.clock())
        return JSONResponse({"from": move.before, "to": move.after})


def _rows(client: Connection, now: float) -> list[ModelRow]:
    in_use = head(client, MODEL).id
    cache = RecordCache(client)
    rows = []
    models = list(all_commits(client, MODEL.repo))
    for commit in models:
        record = cache.record(commit)
        if record is None or not record.files:
            continue
        notes = (*record.notes, *filter(None, (decided(commit),)))
        age = duration(now - commit.started)
        rows.append(ModelRow(commit.id, age, dict(record.metrics), standing(commit, in_use, models), notes))
    return rows


def _training(client: Connection, record: StageRecord | None) -> dict[str, Any]:
    """Return the curves and the address of the sample pictures of a model's training."""
    from pix2pix.pages.training_report import curves_of

    source = next((source for source in record.inputs if source.repo == CHECKPOINT.repo), None) if record else None
    log = read(client, CHECKPOINT.repo, source.commit, "/metrics.jsonl") if source is not None else None
    if source is None or not log:
        return {"curves": [], "samples": ""}
    curves = curves_of([json.loads(line) for line in log.splitlines()])
    return {"curves": curves, "samples": file_link(CHECKPOINT.repo, source.commit, "/samples/over_time.png")}


def _comparisons(client: Connection, cache: RecordCache, left: Commit, right: Commit) -> Sequence[Comparison]:
    """Return pictures that both models made of equal inputs; none if one of them generated nothing."""
    generated = [_newest_generation(client, cache, model) for model in (left, right)]
    if generated[0] is None or generated[1] is None:
        return []
    (a, of_left), (b, of_right) = generated[0], generated[1]
    prepared = {source.repo: source.commit for source in of_right.inputs}.get(PREPROCESS_IMAGES.repo, "")
    found = []
    for path, file in of_left.files.items():
        other = of_right.files.get(path)
        if other is None or file.source is None or file.source_hash != other.source_hash:
            continue
        links = [file_link(GENERATE_IMAGES.repo, commit.id, path) for commit in (a, b)]
        found.append(Comparison(path, file_link(PREPROCESS_IMAGES.repo, prepared, file.source), *links))
        if len(found) == COMPARED:
            break
    return found


def _newest_generation(client: Connection, cache: RecordCache, model: Commit) -> tuple[Commit, StageRecord] | None:
    """Return the newest good commit of `generate_images` that a model made, and its record."""
    for commit in all_commits(client, GENERATE_IMAGES.repo):
        made_by = {source.repo: source.id for source in commit.provenance}
        if commit.state != "good" or made_by.get(MODEL.repo) != model.id:
            continue
        record = cache.record(commit)
        if record is not None and record.files:
            return commit, record
    return None
