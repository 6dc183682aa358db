"""`status`, `log`, `init` and `completion`: what people read, and what scripts get."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import pix2pix

from cli.console import age
from cli.data.init import template
from cli.data.log import NEWEST
from cli.main import COMMANDS
from cli.options import Session
from cli.runs.overview import FORECAST_COMMITS, overview
from cli.runs.status import status_text, watched
from components.parameters import resolver
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.upload import put
from pachyderm.dag.repos import CHECKPOINT, TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.queue.claims import claims_of

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PACHD_ADDRESS", raising=False)
    monkeypatch.delenv("PIX2PIX_STORE", raising=False)
    return tmp_path / "store"


@pytest.fixture
def client(store: Path) -> Iterator[Connection]:
    with connect(Target(store=store)) as client:
        set_up(client)
        yield client


def committed(client: Connection, folder: Path, names: tuple[str, ...]) -> str:
    for name in names:
        (folder / name).write_text(name)
    result = put(client, TRAINING, {f"/{name}": folder / name for name in names}, message=" and ".join(names))
    assert result.commit is not None
    return result.commit


def test_status_shows_what_runs_and_how_far_it_is_and_what_waits_for_it(client: Connection, tmp_path: Path) -> None:
    commit_set = committed(client, tmp_path, ("a.png",))
    claim = {"run.1": json.dumps({"run": "run-1", "attempt": "x"}), "done.1": "120", "total.1": "600"}
    client.edit_keys(CHECKPOINT.repo, commit_set, add=claim)
    shown = overview(client, 0.0)
    (running,) = shown.running
    assert (running["commit"], running["run"], running["done"], running["total"]) == (
        f"checkpoint@{commit_set}",
        "run-1",
        120,
        600,
    )
    text = status_text(Session(), shown, 0.0)
    assert "120 of 600 (20 %)" in text
    waiting = text[text.index("Waiting") : text.index("Repos")]
    assert f"model@{commit_set[:12]}" in waiting and f"checkpoint@{commit_set[:12]}, which is open" in waiting
    assert commit_set not in text and commit_set in status_text(Session(verbosity=1), shown, 0.0)
    assert "no model yet" in text


def test_status_of_many_open_commits_leaves_the_forecast_to_plan(client: Connection, tmp_path: Path) -> None:
    for number in range(FORECAST_COMMITS // 2):
        committed(client, tmp_path, (f"{number}.png",))
    assert overview(client, 0.0).planned is not None
    committed(client, tmp_path, ("one-more.png",))
    shown = overview(client, 0.0)
    assert shown.planned is None
    assert f"{len(shown.waiting)} commits are open; what they will cost: pix2pix plan" in status_text(
        Session(), shown, 0
    )


def test_status_names_what_failed_once_with_the_remedy(client: Connection, tmp_path: Path) -> None:
    commit_set = committed(client, tmp_path, ("a.png",))
    client.pfs.finish_commit(commit=client.commit(CHECKPOINT.repo, commit_set), error="failed: the disk is full")
    client.pfs.finish_commit(commit=client.commit("model", commit_set), error="failed: checkpoint: the disk is full")
    (failed,) = overview(client, 0.0).failed
    assert failed["commit"] == f"checkpoint@{commit_set}"
    assert f"pix2pix retry {commit_set}" in failed["remedy"]
    assert "the disk is full" in status_text(Session(), overview(client, 0.0), 0.0)


def test_watch_shows_every_change_until_it_is_interrupted() -> None:
    texts = iter(["a", "a", "b"])
    pauses: list[float] = []

    def read() -> str:
        try:
            return next(texts)
        except StopIteration:
            raise KeyboardInterrupt from None

    assert list(watched(read, pauses.append)) == ["a", "b"]
    assert len(pauses) == 3


def test_watch_refuses_json(client: Connection, store: Path, capsys: Capture) -> None:
    result = pix2pix(capsys, "--store", store, "status", "--watch", "--json")
    assert (result.code, result.out) == (2, "")
    assert "--watch" in result.err


def test_a_claims_total_is_read_and_anything_else_counts_as_unknown() -> None:
    owner = json.dumps({"run": "r", "attempt": "a"})
    assert claims_of({"run.1": owner, "done.1": "3", "total.1": "9"})[0].total == 9
    assert claims_of({"run.1": owner, "total.1": "-9"})[0].total == 0


def test_log_counts_the_files_of_each_commit(client: Connection, store: Path, tmp_path: Path, capsys: Capture) -> None:
    committed(client, tmp_path, ("a.png", "b.png"))
    committed(client, tmp_path, ("c.png", "pix2pix.toml"))
    commit = client.pfs.start_commit(branch=client.branch(TRAINING))
    client.pfs.delete_file(commit=commit, path="/a.png")
    client.pfs.finish_commit(commit=commit)
    rows = pix2pix(capsys, "--store", store, "log", "training", "--json", "-n", 4).document
    assert [row["files"] for row in rows] == [2, 3, 2, 0]
    assert pix2pix(capsys, "--store", store, "log", "training", "--json").document[0]["files"] is None


def test_people_see_the_newest_commits_and_scripts_all(
    client: Connection, store: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.data.log.NEWEST", 2)
    for _ in range(3):
        client.pfs.finish_commit(commit=client.pfs.start_commit(branch=client.branch(TRAINING)))
    shown = pix2pix(capsys, "--store", store, "log", "training")
    assert len(shown.out.splitlines()) == 3
    assert "pix2pix log training -n 0" in shown.err
    assert len(pix2pix(capsys, "--store", store, "log", "training", "-n", 0).out.splitlines()) == 5
    assert len(pix2pix(capsys, "--store", store, "log", "training", "--json").document) == 4
    assert NEWEST == 20


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s ago"), (119, "119 s ago"), (120, "2 min ago"), (7200, "2 h ago"), (172800, "2 d ago")],
)
def test_an_age_is_one_number(seconds: int, text: str) -> None:
    assert age(1000.0, 1000.0 + seconds) == text
    assert age("1970-01-01T00:16:40+00:00", 1000.0 + seconds) == text


def test_init_sets_up_and_writes_a_parameters_file_once(store: Path, tmp_path: Path, capsys: Capture) -> None:
    del store
    folder = tmp_path / "new" / "work"
    first = pix2pix(capsys, "init", folder, "--json").document
    assert "model@master" in first["created"] and first["existing"] == []
    assert (folder / ".pix2pix").is_dir()
    (folder / "pix2pix.toml").write_text("# mine\n")
    again = pix2pix(capsys, "init", folder, "--json").document
    assert again["created"] == [] and "training" in again["existing"]
    assert (folder / "pix2pix.toml").read_text() == "# mine\n"


def test_the_parameters_file_of_init_is_accepted_as_it_is_and_shows_the_defaults() -> None:
    text = template()
    untouched = resolver("training", "train")(text, {}, "pix2pix.toml").values
    assert untouched == resolver("training", "train")(None, {}, "pix2pix.toml").values
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    sections = tomllib.loads("\n".join(line for line in lines if re.match(r"\[|[a-z0-9_]+ = ", line)))
    for repo, names in (("training", ("train", "export")), ("input_images", ("resize", "generate"))):
        for name in names:
            resolved = resolver(repo, name)(None, {name: sections[name]}, "pix2pix.toml")
            assert resolved.values == resolver(repo, name)(None, {}, "pix2pix.toml").values


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_the_shell(shell: str, capsys: Capture) -> None:
    script = pix2pix(capsys, "completion", shell).out
    assert f"_PIX2PIX_COMPLETE={shell}_complete" in script


def test_completing_a_subcommand_imports_none() -> None:
    program = "import sys; from cli.main import main\ntry: main()\nfinally: print({'rich', 'grpc'} & {*sys.modules})"
    environment = {**os.environ, "COMP_WORDS": "pix2pix st", "COMP_CWORD": "1", "_PIX2PIX_COMPLETE": "bash_complete"}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    *completions, imported = ran.stdout.splitlines()
    assert completions == [f"plain,{name}" for name in COMMANDS if name.startswith("st")]
    assert imported == "set()"


def test_people_see_the_newest_models_and_scripts_all(
    client: Connection, store: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {
        "training_commit": "",
        "parent": None,
        "metrics": {},
        "budget": None,
        "problem": None,
        "started": None,
        "use": "",
        "decided": "",
    }
    rows = [{**row, "commit": f"{number:032x}"} for number in range(5)]
    asked: list[int] = []

    def some(client: Connection, most: int) -> list[dict[str, object]]:
        asked.append(most)
        return rows[: most or None]

    monkeypatch.setattr("cli.record.models._rows", some)
    monkeypatch.setattr("cli.record.models.NEWEST", 3)
    shown = pix2pix(capsys, "--store", store, "models")
    assert len(shown.out.splitlines()) == 4 and "pix2pix models -n 0" in shown.err
    assert len(pix2pix(capsys, "--store", store, "models", "--json").document) == 5
    assert len(pix2pix(capsys, "--store", store, "models", "-n", 5).out.splitlines()) == 6
    assert asked == [4, 0, 6]
