"""Whatever a stage.json or a metadata key contains, every reader ends with a result or a RequestError."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cli.data.diff import describe
from cli.options import Session
from cli.record.lineage_text import tree
from pachyderm.client.commits import Commit, CommitId
from pachyderm.client.files import FileEntry
from pachyderm.dag.promotion import promotions_of
from pachyderm.errors import RequestError
from pachyderm.fsck.claim_checks import check_claims, check_metadata
from pachyderm.fsck.content_checks import check_contents
from pachyderm.fsck.evidence import Reading
from pachyderm.fsck.origin_checks import check_origins, check_reuse
from pachyderm.fsck.record_checks import check_counts, check_fingerprint, check_identity, check_inputs, check_parameters
from pachyderm.queue.claims import claims_of, live_claim
from pachyderm.queue.decisions import Decision, decisions_of, moment_of
from pachyderm.record.commit_diff import compare
from pachyderm.record.lineage_facts import record_facts
from pachyderm.record.lineage_graph import GraphBuilder, LineageNode
from pachyderm.record.openlineage import events
from pachyderm.record.stage_record import (
    Counts,
    InputCheck,
    InputFinding,
    InputRecord,
    OutputFile,
    RecordedParameter,
    Rejected,
    StageRecord,
    parse,
)

OUTPUT, INPUT = "a" * 32, "b" * 32
VALID = StageRecord(
    stage="resize",
    commit=f"preprocess_images@{OUTPUT}",
    outcome="computed",
    inputs=(InputRecord("input_images", INPUT, 2, "0" * 64),),
    fingerprint="f" * 64,
    parts={"stage": "resize", "code": "c" * 64},
    parameters={"size": RecordedParameter(64, "default"), "flip": RecordedParameter(True, "run")},
    parameters_from=f"input_images@{INPUT}",
    versions={"pillow": "13"},
    run={"id": "run", "attempt": "1", "claim": "1"},
    started=1.7e9,
    seconds=2.5,
    counts=Counts(2, 1, 1, 1, 0, 0),
    files={"/1.png": OutputFile(3, "1" * 64, "", "/1.jpg", "h", 4, OUTPUT)},
    rejected=(Rejected("/2.jpg", "TRUNCATED", "it ends early", "h2", 5),),
    metrics={"held_out_l1": 0.5},
    notes=("a note",),
    check=InputCheck(2, 3, {"BLANK": 2}, (InputFinding("/1.jpg", "BLANK", "it is empty", "remove it", 0.9, "/3.jpg"),)),
    base=INPUT,
)
DOCUMENT = json.loads(VALID.to_json())
COMMIT = Commit(
    "preprocess_images", OUTPUT, None, 1.7e9, 1.7e9, 1.7e9, "", True, {}, (CommitId("input_images", INPUT),)
)
DEEP = "[" * 50_000 + "]" * 50_000
NESTED = "[" * 900 + "]" * 900
HUGE = "9" * 4_500

many = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = st.one_of(
    st.sampled_from(["", "run", "default", "²", "٣", OUTPUT, "master", "/1.png", "\ud800", HUGE[:40], "\x1b[2J"]),
    st.text(max_size=20),
)
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.sampled_from([2**63, -(10**400), 10**4000]), st.floats(), texts
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
json_texts = st.one_of(
    values.map(json.dumps), st.sampled_from([DEEP, NESTED, HUGE, "1e999", "-0", "{", "", '"\\ud800"', "Infinity"])
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterable[tuple[Any, ...]]:
    """Yield the path of every value in a JSON document."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from paths(entry, (*path, key))


def replaced(path: tuple[Any, ...], text: str) -> bytes:
    """Return the valid record with the value at a path replaced by JSON text."""
    if not path:
        return text.encode()
    document = json.loads(VALID.to_json())
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = "REPLACED"
    return json.dumps(document).replace('"REPLACED"', text).encode()


def use(record: StageRecord) -> None:
    """Do with a record what lineage, diff, why, fsck and their texts do."""
    assert parse(record.to_json(), "again") == record
    builder = GraphBuilder()
    facts = {"repo": COMMIT.repo, "commit": COMMIT.id, "state": "good", "started": "x", "finished": None}
    builder.add(LineageNode(str(COMMIT), "commit", {**facts, **record_facts(record)}))
    graph = builder.graph(str(COMMIT))
    assert tree(graph) and json.dumps(graph.document()) and events(graph, "store")
    describe(Session(), compare(VALID, record))
    evidence: Any = SimpleNamespace(known={}, commits={"model": [], "training": [], "input_images": []})
    reading = Reading(COMMIT, {"/1.png": FileEntry(3, "h")}, record, "", {})
    for check in (check_inputs, check_counts, check_parameters, check_origins, check_reuse):
        list(check(evidence, reading, record))
    for check_alone in (check_identity, check_contents, check_fingerprint):
        list(check_alone(reading, record))


def parse_and_use(text: bytes) -> None:
    try:
        record = parse(text, "resize@x:/_report/stage.json")
    except RequestError as error:
        assert str(error).startswith("resize@x:/_report/stage.json ")
    else:
        use(record)


@many
@given(st.sampled_from(sorted(paths(DOCUMENT), key=str)), json_texts)
@example(("started",), "1e300")
@example(("started",), "-1")
@example(("seconds",), "Infinity")
@example(("metrics", "held_out_l1"), "NaN")
@example(("parameters", "size", "value"), NESTED)
@example(("files", "/1.png", "bytes"), HUGE)
@example(("files", "/1.png", "computed_in"), '"../master"')
@example(("parts", "code"), "7")
@example((), '{"schema": ' + HUGE + "}")
def test_a_record_with_any_value_replaced_is_read_or_refused(path: tuple[Any, ...], text: str) -> None:
    parse_and_use(replaced(path, text))


@many
@given(st.one_of(st.binary(max_size=200), json_texts.map(lambda text: text.encode(errors="surrogatepass"))))
def test_any_bytes_are_refused_as_a_record(text: bytes) -> None:
    with pytest.raises(RequestError, match=r"is not a valid stage record|use a newer pix2pix"):
        parse(text, "stage.json")


def test_every_valid_record_is_read_back_as_it_was_written() -> None:
    assert parse(VALID.to_json(), "x") == VALID


def test_fields_of_a_later_writer_are_ignored_and_its_newer_version_is_refused() -> None:
    assert parse(json.dumps({**DOCUMENT, "later": [1]}).encode(), "x") == VALID
    with pytest.raises(RequestError, match="x has version 99 of the record, and this pix2pix reads up to 1"):
        parse(b'{"schema": 99, "files": []}', "x")


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(StageRecord) if field.name != "schema"])
def test_a_wrongly_typed_field_is_refused_with_its_name(name: str) -> None:
    with pytest.raises(RequestError, match=rf"x is not a valid stage record: .*\$\.{name}"):
        parse(json.dumps({**DOCUMENT, name: [[0]]}).encode(), "x")


def test_a_parameter_with_several_values_is_read_back() -> None:
    record = dataclasses.replace(VALID, parameters={"range": RecordedParameter([0, 255.5], "file")})
    assert parse(record.to_json(), "x").parameters["range"].value == [0, 255.5]


def test_a_metric_that_is_not_finite_is_left_out_of_the_file() -> None:
    record = dataclasses.replace(VALID, metrics={"l1": 0.5, "loss": float("nan"), "psnr": float("inf")})
    assert parse(record.to_json(), "x").metrics == {"l1": 0.5}


keys = st.one_of(
    st.builds(
        lambda word, number: f"{word}.{number}",
        st.sampled_from(["run", "alive", "done", "over", "decision", "promoted", "rolledback", "hyperparameters"]),
        st.one_of(st.sampled_from(["1", "2", "²", "٣", HUGE, "-1", "01", "1.start", ""]), texts),
    ),
    texts,
)
fields = st.sampled_from([field.name for field in dataclasses.fields(Decision)])
structured = st.dictionaries(st.one_of(fields, st.sampled_from(["run", "attempt", "to", "from"])), values, max_size=8)


@many
@given(st.dictionaries(keys, st.one_of(json_texts, structured.map(json.dumps), texts), max_size=6))
@example({"run.²": "x", f"run.{HUGE}": "x", "run.1": DEEP, "done.1": HUGE})
@example({"decision.1.start": DEEP, "decision.2.start": '{"time": 1, "decision": "start", "reason": "x"}'})
@example({"decision.1.a": '{"time": "0001-01-01", "decision": "a", "reason": "b", "attempt": 1}'})
@example({"promoted.1": DEEP, "promoted.2": '{"time": 1' + "0" * 400 + "}"})
def test_metadata_of_any_kind_is_read_or_skipped(metadata: dict[str, str]) -> None:
    commit = dataclasses.replace(COMMIT, metadata=metadata, finishing=None, finished=None)
    assert all(0 <= claim.number < 10**18 for claim in claims_of(metadata))
    live_claim(metadata)
    decisions = decisions_of(metadata)
    assert all(moment_of(decision) < 1e12 for decision in decisions)
    promotions_of(commit)
    evidence: Any = SimpleNamespace(
        outputs=[commit], commits={"model": [commit], "training": [commit], "input_images": [commit]}
    )
    problems = [*check_claims(evidence, None), *check_metadata(evidence)]
    assert all(problem.what and problem.repair for problem in problems)


def test_foreign_keys_do_not_hide_a_claim_or_a_decision() -> None:
    decision = {"time": "2026-01-01T00:00:00.000Z", "decision": "start", "reason": "new data"}
    metadata = {
        "run.²": "x",
        f"run.{HUGE}": "x",
        "run.1": '{"run": "a", "attempt": "b"}',
        "decision.0.x": DEEP,
        "decision.1.x": json.dumps({**decision, "time": 5}),
        "decision.2.x": json.dumps(decision),
    }
    assert [(claim.number, claim.holder, claim.attempt) for claim in claims_of(metadata)] == [(1, "a", "b")]
    assert [found.reason for found in decisions_of(metadata)] == ["new data"]
