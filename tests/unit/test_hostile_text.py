"""Control characters in names, messages and errors reach nobody's terminal, log or page: they are shown escaped."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import re
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import pix2pix
from pachyderm_sdk.api import pfs
from test_stage_record import VALID

from cli.console import progress
from cli.main import COMMANDS
from cli.options import Session
from cli.system import doctor_checks
from components import task
from pachyderm.client.commits import Commit, head, inspect
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.dag.gate_decision import GateDecision
from pachyderm.dag.repos import CANDIDATE, CHECKPOINT, INPUT_IMAGES, TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.dag.verdict import Verdict
from pachyderm.errors import RequestError
from pachyderm.queue.decisions import Decision, record
from pachyderm.record.stage_record import STAGE_JSON, Counts, InputRecord, OutputFile, RecordedParameter, Rejected
from pix2pix.escaping import EscapingFormatter, escape, escape_lines, escape_message
from pix2pix.pages.gallery import write_page
from pix2pix.pages.rendering import environment
from workflows.daemon.json_logs import log_json

Capture = pytest.CaptureFixture[str]

FORGED = "FORGED all is well"
HOSTILE = f"a\x1b[2J\x1b]0;title\x07\x9b31m\u202egpj.exe\u2066\u061c\x7f\r\n{FORGED}\u2028{FORGED}\x85\tb"
NAME = HOSTILE.replace("/", "")
"""The same as a file name: only a slash and NUL cannot be in one."""

BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
ROOT = Path(__file__).resolve().parents[2]
GATE = GateDecision(
    "waiting", HOSTILE, HOSTILE, metric=HOSTILE, candidate_metrics={HOSTILE: 0.5}, pairs=1, shown=(HOSTILE,)
)


def require_clean(text: str, where: object, lines: bool = True) -> None:
    """Fail if a text holds a control character besides line feeds, a bidi control, or a line that a value forged."""
    for character in set(text) - {"\n"}:
        kind = unicodedata.category(character)
        assert kind not in ("Cc", "Zl", "Zp"), (where, hex(ord(character)))
        assert unicodedata.bidirectional(character) not in BIDI, (where, hex(ord(character)))
        assert character not in "\u200e\u200f\u061c", (where, hex(ord(character)))
    assert not (lines and any(line.startswith(FORGED) for line in text.splitlines())), where


@dataclass(frozen=True)
class HostileStore:
    """A store whose folder, messages, metadata, errors and records are hostile.

    Attributes:
        good: id of a commit set of training whose output commits have hostile records.
        failed: id of one whose output commits ended with a hostile error.
    """

    folder: Path
    good: str
    failed: str


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> HostileStore:
    folder = tmp_path_factory.mktemp("store") / NAME
    with connect(Target(store=folder)) as client:
        set_up(client)
        store = HostileStore(folder, _train(client, ""), _train(client, HOSTILE))
        _open_pictures(client)
    return store


def _train(client: Connection, error: str) -> str:
    """Commit to training; checkpoint and model end with an error, or with a record in which every text is hostile."""
    commit = client.pfs.start_commit(branch=client.branch(TRAINING), description=HOSTILE)
    name = b"1" if error else b"2"
    changes = [pfs.ModifyFileRequest(set_commit=commit), _add("/a.png", name), _add("/b c.png", name)]
    client.pfs.modify_file(iter(changes))
    client.pfs.finish_commit(commit=commit)
    client.edit_keys("training", commit.id, put={"message": HOSTILE, f"hyperparameters.{commit.id}": HOSTILE})
    for branch in (CHECKPOINT, CANDIDATE):
        opened = client.commit(branch.repo, head(client, branch).id)
        claim = json.dumps({"run": HOSTILE, "attempt": HOSTILE})
        client.edit_keys(
            branch.repo,
            opened.id,
            put={"run.1": claim, "over.1": HOSTILE, "run.2": HOSTILE, "promoted.x": HOSTILE, HOSTILE: HOSTILE},
        )
        decided = {"gate": GATE.to_json()}
        if error:
            decided["verdict"] = Verdict("rejected", HOSTILE, HOSTILE, 1.0, opened.id, None, (HOSTILE,)).to_json()
        client.edit_keys(branch.repo, opened.id, put=decided)
        record(client, inspect(client, branch.repo, opened.id), "1.start", _decision())
        if not error:
            text = _record(client, inspect(client, branch.repo, opened.id)).to_json()
            client.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=opened), _add(STAGE_JSON, text)]))
        client.pfs.finish_commit(commit=opened, error=error)
    return commit.id


def _add(path: str, content: bytes) -> pfs.ModifyFileRequest:
    return pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=content))


def _decision() -> Decision:
    return Decision("2026-01-01T00:00:00.000Z", HOSTILE, HOSTILE, HOSTILE, 1, HOSTILE, HOSTILE, HOSTILE)


def _record(client: Connection, commit: Commit) -> object:
    source = commit.provenance[0]
    return dataclasses.replace(
        VALID,
        stage=HOSTILE,
        commit=str(commit),
        inputs=(InputRecord(source.repo, source.id, 1, HOSTILE),),
        fingerprint=HOSTILE,
        parts={HOSTILE: HOSTILE, "code": HOSTILE},
        parameters={HOSTILE: RecordedParameter(HOSTILE, HOSTILE)},
        parameters_from=HOSTILE,
        versions={HOSTILE: HOSTILE},
        run={"id": HOSTILE},
        counts=Counts(),
        files={f"/{HOSTILE}": OutputFile(3, HOSTILE, HOSTILE, HOSTILE, HOSTILE, 4, commit.id)},
        deleted=(HOSTILE,),
        rejected=(Rejected(HOSTILE, HOSTILE, HOSTILE),),
        metrics={HOSTILE: 0.5},
        notes=(HOSTILE,),
        awaited=HOSTILE,
        base=None,
        held_out=(HOSTILE,),
        gate=GATE if commit.repo == CANDIDATE.repo else None,
    )


def _open_pictures(client: Connection) -> None:
    """Open a commit of input_images, whose output commits stay open with a hostile claim and decision."""
    commit = client.pfs.start_commit(branch=client.branch(INPUT_IMAGES))
    client.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=commit), _add("/a.png", b"3")]))
    client.pfs.finish_commit(commit=commit)
    opened = inspect(client, "preprocess_images", commit.id)
    client.edit_keys(opened.repo, opened.id, put={"run.1": json.dumps({"run": HOSTILE, "attempt": HOSTILE})})
    record(client, opened, "1.start", _decision())


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A hostile folder that holds no usable picture, under hostile names."""
    folder = tmp_path / NAME
    folder.mkdir()
    for suffix in (".png", ".jpg", ".txt"):
        (folder / (NAME + suffix)).write_bytes(b"no picture")
    return folder


def _calls(good: str, failed: str, pictures: Path) -> dict[str, list[list[object]]]:
    """Return for each subcommand how it meets hostile text; {page} becomes the path of a page to write."""
    missing = pictures / "missing"
    out = pictures.parent / f"out{NAME}"
    both = [f"model@{good}", f"model@{failed}"]
    return {
        "init": [["init", pictures / f"{NAME}.png"], ["init", pictures]],
        "setup": [["setup"]],
        "put": [["put", "training", pictures, "-m", HOSTILE], ["put", HOSTILE, pictures], ["put", "training", missing]],
        "get": [["get", "model", pictures], ["get", f"model@{HOSTILE}", out], ["get", f"training:/{HOSTILE}", out]],
        "ls": [["ls", "checkpoint"], ["ls", "checkpoint@master^"], ["ls", f"training:{HOSTILE}"], ["ls", HOSTILE]],
        "log": [["log", "training"], ["log", "checkpoint"], ["log", HOSTILE]],
        "diff": [["diff", *both], ["diff", *both, "--html", "{page}"], ["diff", HOSTILE, HOSTILE]],
        "trigger": [["trigger", "--once", "--runner", HOSTILE], ["trigger", "--config", missing]],
        "run": [["run", HOSTILE], ["run", "training_and_export", "-p", f"{HOSTILE}=1"]],
        "status": [["status"]],
        "plan": [["plan"], ["plan", "training", pictures], ["plan", HOSTILE, pictures], ["plan", "training", missing]],
        "why": [["why", good], ["why", failed], ["why", HOSTILE]],
        "retry": [["retry", good], ["retry", HOSTILE]],
        "models": [["models"]],
        "compare": [["compare", *both], ["compare", HOSTILE], ["compare", good, "--html", "{page}"]],
        "promote": [["promote", failed], ["promote", HOSTILE]],
        "review": [
            ["review", good],
            ["review", failed],
            ["review", good, "--html", "{page}"],
            ["review", good, "--reject", "-m", HOSTILE, "--by", HOSTILE],
            ["review", HOSTILE, "--approve"],
        ],
        "rollback": [["rollback"], ["rollback", HOSTILE]],
        "revert": [["revert", HOSTILE, HOSTILE], ["revert", "training", HOSTILE]],
        "lineage": [
            ["lineage", f"model@{good}", "--html", "{page}"],
            ["lineage", f"model@{failed}"],
            ["lineage", f"training@{good}", "--forward"],
            ["lineage", f"model@{good}", "--openlineage"],
            ["lineage", pictures / f"{NAME}.png"],
            ["lineage", f"model@{good}:/{HOSTILE}"],
        ],
        "fsck": [["fsck"], ["fsck", "--no-contents"]],
        "pairs": [["pairs", pictures, out, "--operation", "edges"], ["pairs", missing, out, "--operation", HOSTILE]],
        "resize": [["resize", pictures, out], ["resize", missing, out]],
        "check": [["check", pictures, "--html", "{page}"], ["check", missing]],
        "split": [["split", pictures, out], ["split", missing, out]],
        "train": [["train", missing, out], ["train", pictures, out, "-p", f"{HOSTILE}=1"]],
        "evaluate": [["evaluate", pictures, missing, out]],
        "export": [["export", missing, out]],
        "generate": [["generate", pictures, missing, out], ["generate", pictures, missing, out, "-p", HOSTILE]],
        "demo": [["demo", "--output", pictures]],
        "compile": [["compile", HOSTILE]],
        "completion": [["completion", HOSTILE]],
        "web": [["web", "--listen", HOSTILE], ["web", "--listen", "127.0.0.1:0", "--token-file", missing]],
        "doctor": [["doctor"], ["doctor", "--config", missing]],
        "store": [["store", "fsck"], ["store", "gc"], ["store", "serve", "--listen", HOSTILE], ["store", HOSTILE]],
    }


def _hostile_findings(**_: object) -> Iterator[doctor_checks.Finding]:
    yield doctor_checks.failed("GPU", HOSTILE, HOSTILE)


@pytest.mark.parametrize("name", [*COMMANDS, HOSTILE])
def test_every_subcommand_escapes_hostile_text(
    name: str,
    hostile: HostileStore,
    pictures: Path,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("PACHD_ADDRESS", "PIX2PIX_STORE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(doctor_checks, "gpu", _hostile_findings)
    page = tmp_path / "page.html"
    for words in _calls(hostile.good, hostile.failed, pictures).get(name, [[name], ["status", f"--{name}"]]):
        given = [page if word == "{page}" else word for word in words]
        for options in ((), ("--json", "-vv")):
            result = pix2pix(capsys, "--store", hostile.folder, *options, *given)
            require_clean(result.out, (options, words))
            require_clean(result.err, (options, words))
            assert "bug in pix2pix" not in result.err, (options, words, result.err)
            assert result.out or result.err, words
            if "--json" in options and result.out:
                json.loads(result.out)
        if page in given and page.exists():
            require_clean(page.read_text(), words, lines=False)


def test_every_subcommand_is_called_with_hostile_text(pictures: Path) -> None:
    assert set(_calls("", "", pictures)) == set(COMMANDS)


def test_what_was_escaped_is_still_shown(hostile: HostileStore, capsys: Capture) -> None:
    shown = pix2pix(capsys, "--store", hostile.folder, "log", "training").out
    assert rf"a\x1b[2J\x1b]0;title\x07\x9b31m\u202egpj.exe\u2066\u061c\x7f\r\n{FORGED}\u2028" in shown


def test_log_messages_tracebacks_and_json_lines_are_escaped() -> None:
    text, lines = io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(EscapingFormatter("%(levelname)s %(message)s"))
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    try:
        log_json(lines, lambda: 0.0)
        root.addHandler(handler)
        logging.getLogger("x").error("%s", HOSTILE, exc_info=RequestError(HOSTILE))
    finally:
        root.level, root.handlers[:] = before
    for output in (text.getvalue(), lines.getvalue()):
        require_clean(output, output)
        assert "RequestError" in output


def test_the_progress_of_work_escapes_names(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    with progress(Session(), "put") as show:
        show(1, 1, HOSTILE)
    require_clean(capsys.readouterr().err, "lines")
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress(Session(), "put") as show:
        show(1, 2, f"[/red]{HOSTILE}")
    assert r"[/red]a\x1b[2J" in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue()


def test_the_error_that_ends_a_task_is_escaped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*arguments: object) -> None:
        raise RequestError(HOSTILE)

    monkeypatch.setattr(task, "_connected", fail)
    stage = SimpleNamespace(name="resize", versions=dict)
    with pytest.raises(SystemExit) as ended:
        task.perform(stage, "", "", "", str(tmp_path / "report.html"), None)  # type: ignore[arg-type]
    require_clean(str(ended.value), "task")


def test_pages_escape_what_templates_print(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    write_page(page, HOSTILE, HOSTILE, [HOSTILE], [[HOSTILE, Path(NAME)]])
    require_clean(page.read_text(), "gallery", lines=False)
    for package in ("cli.data", "cli.demo", "cli.folders", "cli.record", "components", "pix2pix.pages", "web"):
        template = environment(package).from_string("{{ text }}<a title='{{ text }}'></a>")
        require_clean(template.render(text=HOSTILE), package, lines=False)


def test_escaping_keeps_what_people_write() -> None:
    for text in ("", "plain", "Grüße, 日本, עברית, العربية", "👩‍👩‍👧", r"C:\temp\x1b", "non\u00a0breaking"):
        assert escape(text) == escape_lines(text) == escape_message(text) == text
    assert escape("a\nb\tc") == r"a\nb\tc"
    assert escape_lines("a\nb\tc") == "a\nb\\tc"
    assert escape_message("first\nsecond\n") == "first\n    second"


def test_only_the_console_and_the_log_handlers_write_for_people() -> None:
    allowed = {"cli/console.py", "pix2pix/escaping.py", "workflows/daemon/json_logs.py"}
    writers = re.compile(r"click\.(echo|secho|style)|StreamHandler|logging\.Formatter|FileHandler|\bprint\(")
    found = {
        str(file.relative_to(ROOT))
        for package in ("cli", "components", "pachyderm", "pix2pix", "web", "workflows")
        for file in (ROOT / package).rglob("*.py")
        if writers.search(file.read_text())
    }
    passed_on = {"cli/system/doctor_checks.py", "workflows/runners/prepared/task_forks.py"}
    assert found - passed_on == allowed, "doctor prints in a process of its own; forks print what tasks escaped"
