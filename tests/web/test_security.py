"""Who may do what: hosts, origins, tokens, CSRF tokens, read-only mode, limits."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from web_site import HOSTILE, TOKEN, Site, csrf, png

from cli.main import main
from pachyderm.client.commits import head
from pachyderm.dag.repos import INPUT_IMAGES, INPUTS, MODEL
from web.configuration import check_exposure, parse_listen, read_token
from web.errors import StartError
from web.server import serve
from web.sessions import Sessions

HTML = {"accept": "text/html"}
CHANGES = [
    ("POST", "/api/promote", b""),
    ("POST", "/api/rollback", b""),
    ("POST", "/api/retry", b"master"),
    ("POST", "/api/review", b"{}"),
    ("POST", "/api/pictures", png()),
    ("POST", "/api/uploads", b""),
    ("PUT", "/api/uploads/x/files/a.png", png()),
    ("POST", "/api/uploads/x/commit?repo=training", b""),
]
"""Every request that changes something."""


def heads(history: Site) -> list[str]:
    return [head(history.client, branch).id for branch in (*INPUTS, MODEL)]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8642", "127.0.0.1.evil.example", "", "[::1", "a b"])
def test_a_name_that_another_site_resolved_to_this_address_is_refused(served: TestClient, host: str) -> None:
    assert served.get("/", headers={"host": host}).status_code == 421
    assert served.post("/api/translate", content=png(), headers={"host": host}).status_code == 421


def test_a_probe_and_a_program_with_the_token_may_use_the_pods_address(guarded: TestClient) -> None:
    pod = {"host": "10.1.2.3:8642"}
    assert guarded.get("/healthz", headers=pod).status_code == guarded.get("/readyz", headers=pod).status_code == 200
    assert guarded.get("/metrics", headers=pod).status_code == 421
    assert guarded.get("/metrics", headers=pod | {"authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://testserver.evil.example", "http://testserver:1"]
)
def test_requests_of_other_sites_are_refused(served: TestClient, origin: str) -> None:
    header = csrf(served) | {"origin": origin}
    for method, address, body in [*CHANGES, ("POST", "/api/translate", png())]:
        assert served.request(method, address, content=body, headers=header).status_code == 403, address


@pytest.mark.parametrize(("method", "address", "body"), CHANGES)
def test_a_change_without_the_pages_token_is_refused(
    history: Site, served: TestClient, method: str, address: str, body: bytes
) -> None:
    before = heads(history)
    served.get("/")
    for header in ({}, {"x-csrf-token": ""}, {"x-csrf-token": "0" * 64}):
        assert served.request(method, address, content=body, headers=header).status_code == 403
    assert heads(history) == before


@pytest.mark.parametrize(("method", "address", "body"), CHANGES)
def test_a_read_only_server_changes_nothing(
    history: Site, watching: TestClient, method: str, address: str, body: bytes
) -> None:
    before = heads(history)
    response = watching.request(method, address, content=body)
    assert response.status_code == 403 and "read-only" in response.json()["error"]
    assert watching.post("/api/translate", content=png()).status_code == 200
    page = watching.get("/models").text
    assert "data-post" not in page and heads(history) == before


def test_without_the_token_nothing_is_served_but_the_sign_in(guarded: TestClient) -> None:
    for address in ("/", "/models", "/pictures", "/events", "/metrics", "/api/model", "/openapi.json", "/v2"):
        assert guarded.get(address).status_code == 401, address
    for header in ("Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", "Bearer é", TOKEN):
        given = {"authorization": header.encode()}
        assert guarded.post("/api/translate", content=png(), headers=given).status_code == 401, header
    redirected = guarded.get("/", headers=HTML, follow_redirects=False)
    assert (redirected.status_code, redirected.headers["location"]) == (303, "/login")
    assert guarded.get("/healthz").status_code == 200


def test_the_token_opens_a_session_that_no_script_and_no_other_site_can_use(history: Site) -> None:
    with history.serve(token=TOKEN) as client:
        assert client.post("/login", data={"token": "wrong"}).status_code == 401
        signed_in = client.post("/login", data={"token": TOKEN}, follow_redirects=False)
        cookie = signed_in.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie and TOKEN not in signed_in.headers["set-cookie"]
        assert client.get("/models", headers=HTML).status_code == 200
        assert client.post("/api/rollback").status_code == 403, "a session alone is not enough for a change"


def test_sessions_of_another_process_or_token_are_not_valid() -> None:
    cookie = Sessions(TOKEN).issue()
    assert not Sessions(TOKEN).valid(cookie) and not Sessions(None).valid(cookie)
    sessions = Sessions(TOKEN)
    cookie = sessions.issue()
    assert sessions.valid(cookie)
    assert not any(sessions.valid(forged) for forged in ("", ".", cookie[:-1], cookie + "0", "\ud800." + cookie))
    assert TOKEN not in repr(sessions)


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def watched(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return left == right

    monkeypatch.setattr("hmac.compare_digest", watched)
    assert Sessions(TOKEN).knows_token(TOKEN) and not Sessions(TOKEN).knows_token("x")
    assert len(compared) == 2


@pytest.mark.parametrize("address", ["/", "/models", "/draw", "/nowhere", "/login"])
def test_every_page_forbids_inline_scripts_and_framing(served: TestClient, address: str) -> None:
    headers = served.get(address, headers=HTML).headers
    policy = headers["content-security-policy"]
    assert "script-src 'self';" in policy and "frame-ancestors 'none'" in policy and "default-src 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "example.org", "::"])
def test_an_address_that_others_reach_needs_a_token(host: str) -> None:
    with pytest.raises(StartError, match="--token-file"):
        check_exposure(host, None)
    check_exposure(host, TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_a_loopback_address_needs_none(host: str) -> None:
    check_exposure(host, None)


@pytest.mark.parametrize("listen", ["127.0.0.1", ":8642", "127.0.0.1:x", "127.0.0.1:65536", ""])
def test_an_address_without_a_port_is_refused(listen: str) -> None:
    with pytest.raises(StartError, match="HOST:PORT"):
        parse_listen(listen)


def test_an_ipv6_address_is_written_in_brackets() -> None:
    assert parse_listen("[::1]:80") == ("::1", 80)


def test_a_token_file_that_is_missing_or_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be read"):
        read_token(tmp_path / "missing")
    (tmp_path / "token").write_text("short\n")
    with pytest.raises(StartError, match="at least 16"):
        read_token(tmp_path / "token")
    (tmp_path / "token").write_text(f"{TOKEN}\nsecond line\n")
    assert read_token(tmp_path / "token") == TOKEN


def test_the_command_refuses_an_open_address_with_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--store", str(tmp_path), "web", "--listen", "0.0.0.0:0"])
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "token" in line and "--token-file" in line


@pytest.mark.parametrize(
    "name", ["../x.png", "/etc/x.png", "a/../../x.png", "..", "a\0b.png", "."], ids=lambda name: repr(name)
)
def test_no_upload_leads_out_of_the_repo(served: TestClient, name: str) -> None:
    header = csrf(served)
    upload = served.post("/api/uploads", headers=header).json()["upload"]
    quoted = name.replace("/", "%2F").replace("..", "%2E%2E").replace("\0", "%00")
    response = served.put(f"/api/uploads/{upload}/files/{quoted}", content=png(), headers=header)
    assert response.status_code in (404, 405, 422)


def test_a_body_over_the_limit_is_refused(served: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.pages.drawing.MAX_PICTURE", 100)
    assert served.post("/api/translate", content=b"x" * 101).status_code == 413
    assert served.post("/api/translate", content=iter([b"x" * 60, b"x" * 60])).status_code == 413


def test_an_upload_becomes_one_commit(changing: Site) -> None:
    with changing.serve() as client:
        header = csrf(client)
        upload = client.post("/api/uploads", headers=header).json()["upload"]
        for name in ("one.png", "folder/two%20(2).png"):
            added = client.put(f"/api/uploads/{upload}/files/{name}", content=png(), headers=header)
            assert added.status_code == 201, added.text
        refused = client.put(f"/api/uploads/{upload}/files/text.png", content=b"text", headers=header)
        assert refused.status_code == 422 and "FORMAT_NOT_ALLOWED" in refused.json()["error"]
        address = f"/api/uploads/{upload}/commit?repo=input_images&message=from%20the%20page"
        committed = client.post(address, headers=header).json()
        assert committed["files_put"] == 2 and committed["commit"] == head(changing.client, INPUT_IMAGES).id
        assert client.post(address, headers=header).status_code == 404, "an upload is committed once"
    assert head(changing.client, INPUT_IMAGES).description == "from the page"


def test_a_model_is_promoted_and_rolled_back_from_the_page(changing: Site) -> None:
    first, second = changing.sets["first"], changing.sets["second"]
    with changing.serve() as client:
        header = csrf(client)
        assert client.post("/api/rollback", headers=header).json() == {"from": second, "to": first}
        assert head(changing.client, MODEL).id == first
        promoted = client.post("/api/promote", content=second[:12], headers=header).json()
        assert promoted == {"from": first, "to": second} and head(changing.client, MODEL).id == second
        unknown = client.post("/api/promote", content="nonsense", headers=header)
    assert unknown.status_code == 422 and "nonsense" in unknown.json()["error"]


def test_a_candidate_is_approved_once_with_a_name_and_promoted(changing: Site) -> None:
    candidate = changing.train("third", "review")
    assert head(changing.client, MODEL).id == changing.sets["second"]
    with changing.serve() as client:
        page = client.get(f"/models/{candidate}").text
        assert "waits for a verdict" in page and f"/files/model/{candidate}/_report/report.html" in page
        header = csrf(client)
        nameless = {"commit": candidate, "verdict": "approve", "by": " "}
        assert client.post("/api/review", json=nameless, headers=header).status_code == 422
        verdict = {"commit": candidate, "verdict": "approve", "by": HOSTILE, "reason": HOSTILE}
        approved = client.post("/api/review", json=verdict, headers=header)
        assert approved.json() == {"commit": candidate, "verdict": "approved"}, approved.text
        assert head(changing.client, MODEL).id == candidate
        second = client.post("/api/review", json={**verdict, "verdict": "reject"}, headers=header)
        assert second.status_code == 422 and "a candidate gets one" in second.json()["error"]
        page = client.get(f"/models/{candidate}").text
    assert "waits for a verdict" not in page and "approved by &lt;img" in page and "<img src=x" not in page


def test_a_verdict_on_the_model_in_use_is_refused(changing: Site) -> None:
    with changing.serve() as client:
        verdict = {"commit": changing.sets["second"], "verdict": "approve", "by": "ann"}
        refused = client.post("/api/review", json=verdict, headers=csrf(client))
    assert refused.status_code == 422 and "is in use, so there is nothing to decide" in refused.json()["error"]


def test_a_port_that_is_taken_is_named_with_the_remedy(empty: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        configuration = empty.configuration(host="127.0.0.1", port=taken.getsockname()[1])
        with pytest.raises(StartError, match=f"127.0.0.1:{configuration.port}: .* choose another port"):
            serve(configuration, lambda address: None)


def test_a_rejected_candidate_leaves_the_model_in_use_and_needs_a_reason(changing: Site) -> None:
    candidate = changing.train("third", "review")
    with changing.serve() as client:
        header = csrf(client)
        verdict = {"commit": candidate, "verdict": "reject", "by": "ann"}
        assert client.post("/api/review", json=verdict, headers=header).status_code == 422
        rejected = client.post("/api/review", json={**verdict, "reason": "blurred"}, headers=header).json()
        assert rejected["verdict"] == "rejected"
        assert "rejected by ann: blurred" in client.get("/models").text
    assert head(changing.client, MODEL).id == changing.sets["second"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"commit": "x"}', b'{"commit": 1, "verdict": "approve", "by": "a"}'])
def test_a_malformed_verdict_is_refused(served: TestClient, body: bytes) -> None:
    assert served.post("/api/review", content=body, headers=csrf(served)).status_code == 400
