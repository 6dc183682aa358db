"""Every page shows what is recorded, escaped."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient
from web_site import HOSTILE_NAME, Site, addresses

from pachyderm.client.commits import CommitId, head, inspect
from pachyderm.client.files import content, files
from pachyderm.dag.repos import CHECKPOINT, GENERATE_IMAGES, REPOS, TRAINING
from pachyderm.queue.claims import take
from pachyderm.queue.ends import finish_with


def test_no_page_lets_names_messages_parameters_or_reasons_act(history: Site, served: TestClient) -> None:
    for address in (*addresses(history), "/login", "/nowhere", "/commits/training/nonsense"):
        page = served.get(address, headers={"accept": "text/html"}).text
        assert "<img src=x" not in page and "<script>" not in page, address
        assert not re.search(r"\son\w+=", re.sub(r"&#34;.*?&#34;|&lt;.*?&gt;", "", page)), address
        assert "javascript:" not in page, address


def test_the_overview_shows_heads_and_messages(history: Site, served: TestClient) -> None:
    page = served.get("/").text
    assert "generate with model@master" in page and history.sets["second"][:12] in page
    assert "pictures &lt;img" in page


def test_a_store_without_commits_says_what_to_commit(empty: Site) -> None:
    with empty.serve() as client:
        assert "Nothing has been committed yet" in client.get("/").text
        assert "No model yet" in client.get("/models").text
        assert "No picture has been generated yet" in client.get("/pictures").text
        assert client.get("/readyz").status_code == 503
        answer = client.post("/api/translate", content=b"x")
    assert answer.status_code == 503 and "commit pairs to training" in answer.json()["error"]


def test_a_picture_is_shown_with_its_input_and_its_whole_lineage(history: Site, served: TestClient) -> None:
    generated = head(history.client, GENERATE_IMAGES).id
    page = served.get(f"/pictures/{generated}/a.png").text
    sources = re.findall(r'<figure><img src="([^"]+)"', page)
    assert [source.split("/")[2] for source in sources] == ["input_images", "preprocess_images", "generate_images"]
    assert all(served.get(source).headers["content-type"] == "image/png" for source in sources)
    for repo in REPOS:
        assert f'href="/commits/{repo}/' in page


def test_the_grid_lists_every_picture_once_and_finds_them_by_name(changing: Site) -> None:
    generated = head(changing.client, GENERATE_IMAGES).id
    paths = sorted(content(files(changing.client, GENERATE_IMAGES.repo, generated)))
    with changing.serve() as client:
        page = client.get("/pictures").text
        assert len(re.findall('class="tile"', page)) == len(paths) == 2
        assert len(re.findall('class="tile"', client.get("/pictures?q=A.PN").text)) == 1
        assert "TRUNCATED" in page, "what was left out is listed with its code"


def test_two_models_are_compared_on_pictures_of_equal_inputs(history: Site, served: TestClient) -> None:
    page = served.get(f"/models/compare?a={history.sets['first']}&b={history.sets['second']}").text
    assert page.count('<figure class="comparison">') == 2


@pytest.mark.parametrize(
    "path",
    ["/files/training/{training}/../../../etc/passwd", "/files/training/{training}/%2e%2e/x", "/files/secrets/x/y"],
)
def test_no_address_leads_out_of_the_repos(history: Site, served: TestClient, path: str) -> None:
    response = served.get(path.format(training=history.sets["first"]))
    assert response.status_code in (404, 422)


def test_reports_are_served_in_a_sandbox_and_other_files_as_downloads(history: Site, served: TestClient) -> None:
    commit = history.sets["second"]
    report = served.get(f"/files/model/{commit}/_report/report.html")
    graph = served.get(f"/files/model/{commit}/1/saved_model.pb")
    assert report.headers["content-security-policy"].startswith("sandbox;")
    assert "script" not in report.headers["content-security-policy"]
    assert graph.headers["content-disposition"].startswith("attachment")
    assert graph.headers["content-type"] == "application/octet-stream"


def test_hostile_names_stay_reachable(served: TestClient) -> None:
    page = served.get("/pictures").text
    for link in re.findall(r'class="tile" href="([^"]+)"', page):
        assert served.get(link.replace("&amp;", "&")).status_code == 200, link
    assert HOSTILE_NAME not in page


def test_the_overview_shows_how_far_a_run_has_come(changing: Site) -> None:
    commit_set = changing.put(TRAINING, {"/late.png": b"pair"})
    opened = inspect(changing.client, CHECKPOINT.repo, commit_set)
    assert take(changing.client, opened, "run-7", "1") is not None
    changing.client.edit_keys(CHECKPOINT.repo, commit_set, add={"done.1": "300", "total.1": "12000"})
    with changing.serve() as client:
        page = client.get("/").text
    assert '<progress max="12000" value="300"' in page and "300 of 12,000" in page and "run-7" in page


def test_commit_ids_in_reasons_and_errors_are_short(changing: Site) -> None:
    waiting = changing.put(TRAINING, {"/late.png": b"pair"})
    failing = changing.put(TRAINING, {"/later.png": b"pair"})
    finish_with(
        changing.client, CommitId(CHECKPOINT.repo, failing), f"failed: commit again, or: pix2pix retry {failing}"
    )
    with changing.serve() as client:
        pages = client.get("/").text, client.get(f"/commits/{CHECKPOINT.repo}/{failing}").text
    overview, page = (re.sub(r"<[^>]*>", " ", text) for text in pages)
    assert f"pix2pix retry {failing[:12]}" in overview and f"its input checkpoint@{waiting[:12]}," in overview
    assert failing not in overview and waiting not in overview
    assert f"commit again, or: pix2pix retry {failing[:12]} " in " ".join(page.split())
