"""`pachyderm.connect`: commits, files, pictures, lineage and going back, from a script or a notebook."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from populated_store import populate
from stage_harness import StageHarness, set_up_harness

import pachyderm
from pachyderm.client.commits import head
from pachyderm.dag.repos import MODEL
from pix2pix.images.codec import png_bytes


@dataclass(frozen=True)
class Populated:
    data: pachyderm.VersionedData
    harness: StageHarness
    sets: dict[str, str]


@pytest.fixture(scope="module")
def populated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Populated]:
    """A store with a history; the tests of this module only read it."""
    with set_up_harness(tmp_path_factory.mktemp("history")) as harness:
        yield Populated(pachyderm.VersionedData(harness.target), harness, populate(harness))


@pytest.fixture
def data(tmp_path: Path) -> pachyderm.VersionedData:
    data = pachyderm.connect(tmp_path / "store")
    data.setup()
    return data


def png(value: int) -> bytes:
    return png_bytes(np.full((4, 4, 3), value, np.uint8))


def test_what_is_put_is_listed_read_and_got_back(data: pachyderm.VersionedData, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a (1).png").write_bytes(png(1))
    (folder / "notes.txt").write_text("notes", encoding="utf-8")
    (folder / "no picture.png").write_text("text", encoding="utf-8")
    commit = data.put("input_images", folder, message="three files")
    assert commit is not None
    assert (commit.description, commit.state) == ("three files", "good")
    assert data.put("input_images", folder) is None, "nothing differs"
    assert list(data.files("input_images")) == ["/a %281%29.png", "/no picture.png", "/notes.txt"]
    assert data.log("input_images")[0] == commit == data.commit(f"input_images@{commit.id[:8]}")
    assert data.log("input_images", 1)[0].id == commit.id
    with data.open("input_images:/notes.txt") as file:
        assert file.read() == b"notes"
        file.seek(1)
        assert file.read(2) == b"ot"
    assert dict(data.pictures(f"input_images@{commit.id}")) == {"/a %281%29.png": png(1)}
    target = data.get("input_images", tmp_path / "got")
    assert (target / "a (1).png").read_bytes() == png(1)
    assert [path.name for path in data.get("input_images", tmp_path / "some", pattern="/*.txt").iterdir()] == [
        "notes.txt"
    ]


def test_an_input_goes_back_to_an_earlier_commit(data: pachyderm.VersionedData, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one", encoding="utf-8")
    first = data.put("training", file)
    file.write_text("two", encoding="utf-8")
    data.put("training", file)
    assert first is not None
    assert data.revert("training", "master^").id == first.id
    with data.open("training:/a.txt") as content:
        assert content.read() == b"one"


def test_a_model_is_rolled_back_and_promoted(tmp_path: Path) -> None:
    with set_up_harness(tmp_path) as harness:
        populate(harness)
        data = pachyderm.VersionedData(harness.target)
        move = data.rollback()
        assert head(harness.client, MODEL).id == move.after != move.before
        assert data.promote().after == head(harness.client, MODEL).id


def test_lineage_leads_from_a_file_to_its_inputs_and_from_an_input_forward(populated: Populated) -> None:
    data, sets = populated.data, populated.sets
    source = f"input_images@{sets['pictures']}:/1.jpg"
    back = data.lineage(f"generate_images@{sets['pictures']}:/1.png")
    assert source in back.graph.nodes
    assert f"training@{sets['first']}" in back.commits
    assert source in str(back)
    ahead = data.lineage(source, forward=True)
    assert f"generate_images@{sets['pictures']}:/1.png" in ahead.graph.nodes
    assert data.lineage(sets["failed"][:12]).graph.nodes


def test_a_generated_picture_on_disk_is_found_by_its_bytes(populated: Populated, tmp_path: Path) -> None:
    with populated.data.open(f"generate_images@{populated.sets['pictures']}:/1.png") as stored:
        (tmp_path / "renamed.png").write_bytes(stored.read())
    lineage = populated.data.lineage(tmp_path / "renamed.png")
    assert lineage.graph.start.endswith(":/1.png")
    (tmp_path / "other.png").write_bytes(b"other")
    with pytest.raises(pachyderm.RequestError, match=r"other\.png was not found"):
        populated.data.lineage(tmp_path / "other.png")


def test_commits_logs_pictures_and_lineages_describe_themselves_in_a_notebook_escaped(
    data: pachyderm.VersionedData, tmp_path: Path
) -> None:
    evil = "<script>alert(1)</script>"
    (tmp_path / "a&b.png").write_bytes(png(9))
    commit = data.put("input_images", tmp_path / "a&b.png", message=evil)
    assert commit is not None
    pictures = data.pictures("input_images")
    lineage = data.lineage(f"input_images@{commit.id}:/a&b.png")
    shown = [thing._repr_html_() for thing in (commit, data.log("input_images"), pictures, lineage)]
    assert commit.id[:12] in shown[0]
    assert commit.id not in shown[0]
    assert "&lt;script&gt;" in shown[1]
    assert shown[2].count("data:image/png;base64,") == 1
    assert "held by" in shown[3]
    assert "data:image/png;base64," in shown[3]
    assert not any(evil in html or "a&b" in html for html in shown)


def test_every_node_of_a_lineage_is_described_once(populated: Populated) -> None:
    lineage = populated.data.lineage("generate_images@master")
    described = [row.name for row in lineage.rows() if not row.again]
    assert sorted(described) == sorted(lineage.graph.nodes)
    html = lineage._repr_html_()
    assert "generate: " in html
    assert "computed" in html


def test_a_failed_commit_shows_its_error(populated: Populated) -> None:
    failed = populated.data.commit(f"checkpoint@{populated.sets['failed']}")
    assert "no pair can be used" in failed._repr_html_()
    assert "no pair can be used" in populated.data.log("checkpoint")._repr_html_()


def test_what_does_not_exist_is_named(data: pachyderm.VersionedData, tmp_path: Path) -> None:
    for call, problem in (
        (lambda: data.files("nonsense"), "repo nonsense not found"),
        (lambda: data.files("training@master:/a"), "/a not found"),
        (lambda: data.open("training"), "not a file"),
        (lambda: data.open("training:/a.txt"), "not a file"),
        (lambda: data.put("training"), "nothing to put"),
        (lambda: data.put("training", tmp_path / "no"), "does not exist"),
        (lambda: data.put("model", tmp_path), "filled by a pipeline"),
        (lambda: data.lineage("abc.png"), "neither a file"),
        (lambda: data.commit("abcdef12"), "not found"),
        (lambda: data.revert("model", "master"), "cannot|filled by a pipeline"),
        (lambda: data.rollback(), "promoted"),
    ):
        with pytest.raises(pachyderm.RequestError, match=problem):
            call()


def test_an_address_is_tried_at_once_and_never_taken_for_a_folder(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    for name in (f"grpc://{address}", address):
        with pytest.raises(pachyderm.UnreachableError, match="no Pachyderm answers"):
            pachyderm.connect(name)
    with pytest.raises(pachyderm.RequestError, match="not of the form"):
        pachyderm.connect("ftp://host")


def test_a_folder_named_like_an_address_is_a_store_if_it_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("store:1").mkdir()
    assert pachyderm.connect("store:1").target.store == Path("store:1")


def test_connecting_to_a_folder_creates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PACHD_ADDRESS", raising=False)
    monkeypatch.setenv("PIX2PIX_STORE", str(tmp_path / "named"))
    assert pachyderm.connect().target.store == tmp_path / "named"
    assert repr(pachyderm.connect("mine")) == "<pachyderm.VersionedData mine>"
    assert list(tmp_path.iterdir()) == []


def test_a_stored_picture_is_read_by_pillow(data: pachyderm.VersionedData, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(9))
    data.put("input_images", tmp_path / "a.png")
    with data.open("input_images:/a.png") as file:
        assert Image.open(file).size == (4, 4)
