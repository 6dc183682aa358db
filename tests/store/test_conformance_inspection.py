"""Requests of administrators and other clients: commits by file, summaries, storage checks, defaults, reset."""

import grpc
import pytest
from pachyderm_sdk.api import pfs
from pachyderm_sdk.errors import AuthServiceNotActivated
from server_under_test import Pachd, happened, refused

pytestmark = pytest.mark.conformance


@pytest.fixture
def branch(pachd: Pachd) -> pfs.Branch:
    return pfs.Branch(repo=pachd.repo(), name="master")


@pytest.fixture
def commits(pachd: Pachd, branch: pfs.Branch) -> list[pfs.Commit]:
    """Four commits; the first adds /files/b, the third appends to it, the fourth deletes it."""
    found = [pachd.write(branch, {"/files/a": b"foo", "/files/b": b"bar"}), pachd.write(branch, {"/files/c": b"baz"})]
    for change in (pfs.AddFile(path="/files/b", raw=b"foo"), pfs.DeleteFile(path="/files/b")):
        commit = pachd.start(branch)
        pachd.modify(commit, change)
        pachd.finish(commit)
        found.append(commit)
    return found


def find(pachd: Pachd, start: pfs.Commit, path: str, limit: int = 0) -> tuple[list[str], str, int]:
    """Return the commits found, the last one searched, and the number searched."""
    answers = list(pachd.client.pfs.find_commits(start=start, file_path=path, limit=limit))
    found = [answer.found_commit.id for answer in answers[:-1]]
    return found, answers[-1].last_searched_commit.id, answers[-1].commits_searched


def test_the_commits_that_changed_a_file_are_found_newest_first(pachd: Pachd, commits: list[pfs.Commit]) -> None:
    first, _, third, fourth = (commit.id for commit in commits)
    assert find(pachd, commits[3], "/files/b") == ([fourth, third, first], first, 4)
    assert find(pachd, commits[1], "/files/b") == ([first], first, 2)


def test_a_file_that_never_existed_is_in_no_commit(pachd: Pachd, commits: list[pfs.Commit]) -> None:
    assert find(pachd, commits[3], "/files/z") == ([], commits[0].id, 4)
    assert find(pachd, commits[3], "/files") == ([], commits[0].id, 4)


def test_a_search_ends_with_its_limit(pachd: Pachd, commits: list[pfs.Commit]) -> None:
    assert find(pachd, commits[3], "/files/b", limit=1) == ([commits[3].id], commits[3].id, 1)
    assert find(pachd, commits[3], "/files/b", limit=2) == ([c.id for c in commits[3:1:-1]], commits[2].id, 2)


def test_a_search_needs_the_branch_no_more(pachd: Pachd, branch: pfs.Branch, commits: list[pfs.Commit]) -> None:
    pachd.client.pfs.delete_branch(branch=branch)
    assert find(pachd, pfs.Commit(repo=branch.repo, id=commits[3].id), "/files/b")[2] == 4


def test_a_file_that_came_with_a_file_set_is_found(pachd: Pachd, branch: pfs.Branch) -> None:
    whole = pachd.write(branch, {"/a": b"1"})
    copied = pachd.client.pfs.get_file_set(commit=whole, type=pfs.GetFileSetRequestFileSetType.TOTAL).file_set_id
    other = pfs.Branch(repo=pachd.repo("other"), name="master")
    commit = pachd.start(other)
    pachd.client.pfs.add_file_set(commit=commit, file_set_id=copied)
    pachd.finish(commit)
    assert find(pachd, commit, "/a")[0] == [commit.id]


def test_an_open_commit_is_not_searched_and_the_error_names_it(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.start(branch)
    with pytest.raises(grpc.RpcError) as caught:
        find(pachd, commit, "/files/b")
    assert "not finished" in caught.value.details()
    status = dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
    for part in (b"google.rpc.ResourceInfo", b"pfs:commit", commit.id.encode(), b"commit not finished"):
        assert part in status


def test_an_open_commit_has_details_without_a_size(pachd: Pachd, branch: pfs.Branch) -> None:
    commit = pachd.start(branch)
    pachd.put(commit, {"/a": b"12345"})
    request = pfs.InspectCommitRequest(commit=commit)
    raw = pachd.client._channel.unary_unary("/pfs_v2.API/InspectCommit")(bytes(request))
    assert b"\x62\x00" in raw, "field 12, details, is an empty message"
    assert pachd.info(commit).details.size_bytes == 0
    assert pachd.finish(commit).details.size_bytes == 5


def test_a_summary_counts_repos_and_bytes_in_the_order_of_the_request(pachd: Pachd) -> None:
    names = [pachd.name(stem) for stem in "AB"]
    for name in names:
        pachd.client.pfs.create_project(project=pfs.Project(name=name))
    repos = [pachd.repo(stem, project) for project, stem in ((names[0], "a"), (names[1], "b"), (names[1], "c"))]
    for repo in repos[1:]:
        pachd.write(pfs.Branch(repo=repo, name="master"), {"/f": b"x" * 50})
    pickers = [pfs.ProjectPicker(name=name) for name in reversed(names)]
    found = pachd.client.pfs.repos_summary(projects=pickers).summaries
    assert [(summary.project.name, summary.user_repo_count, summary.size_bytes) for summary in found] == [
        (names[1], 2, 100),
        (names[0], 1, 0),
    ]
    pachd.client.pfs.delete_repos(projects=[pfs.Project(name=name) for name in names], force=True)


def test_the_storage_is_checked(pachd: Pachd, branch: pfs.Branch) -> None:
    pachd.write(branch, {"/a": b"some bytes of " + pachd.suffix.encode()})
    for read in (False, True):
        assert pachd.client.pfs.check_storage(read_chunk_data=read).chunk_object_count > 0
    nothing = pachd.client.pfs.check_storage(chunk_begin=b"\xff" * 33).chunk_object_count
    assert nothing == 0


def test_defaults_of_a_project_are_kept_as_they_are_given(pachd: Pachd) -> None:
    project = pfs.Project(name=pachd.name("project"))
    pachd.client.pfs.create_project(project=project)

    def shown() -> list[str]:
        return [
            pachd.client.pfs.inspect_project_v2(project=project).defaults_json,
            pachd.client.pps.get_project_defaults(project=project).project_defaults_json,
        ]

    assert shown() == ["{}", "{}"]
    text = '{"createPipelineRequest": {"datumTries": 2}}'
    pachd.client.pps.set_project_defaults(project=project, project_defaults_json=text, dry_run=True)
    assert shown() == ["{}", "{}"]
    pachd.client.pps.set_project_defaults(project=project, project_defaults_json=text)
    assert shown() == [text, text]
    pachd.client.pfs.delete_project(project=project)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"datumTries": 2}', '{"createPipelineRequest": 3}'])
def test_defaults_that_are_no_defaults_are_refused(pachd: Pachd, text: str) -> None:
    project = pfs.Project(name=pachd.name("project"))
    pachd.client.pfs.create_project(project=project)
    with refused(code=grpc.StatusCode.INVALID_ARGUMENT):
        pachd.client.pps.set_project_defaults(project=project, project_defaults_json=text)
    assert pachd.client.pfs.inspect_project_v2(project=project).defaults_json == "{}"


def test_the_defaults_of_an_unknown_project_are_not_found(pachd: Pachd) -> None:
    with refused("not found", grpc.StatusCode.NOT_FOUND):
        pachd.client.pps.get_project_defaults(project=pfs.Project(name=pachd.name("nothing")))


def test_a_branch_in_a_repo_that_does_not_exist_is_refused_with_the_repos_full_name(pachd: Pachd) -> None:
    name = pachd.name("nothing")
    with refused(f"repo (id=0, project=default, name={name}, type=user) not found", grpc.StatusCode.NOT_FOUND):
        pachd.branch(pfs.Repo(name=name, type="user", project=pfs.Project(name="default")))


def test_a_description_comes_with_the_start_or_the_end_of_a_commit(pachd: Pachd, branch: pfs.Branch) -> None:
    started = pachd.start(branch, description="from the start")
    pachd.finish(started)
    ended = pachd.start(branch)
    pachd.client.pfs.finish_commit(commit=ended, description="to the end")
    assert [pachd.info(commit).description for commit in (started, ended)] == ["from the start", "to the end"]
    assert happened(pachd.wait(ended).finished)


@pytest.mark.embedded
def test_delete_all_of_services_without_state_succeeds(pachd: Pachd) -> None:
    """The requests of python-pachyderm's `Client.delete_all`; not for a shared server, where they delete other work."""
    for service in ("identity_v2", "license_v2", "pps_v2"):
        assert pachd.client._channel.unary_unary(f"/{service}.API/DeleteAll")(b"") == b""
    with pytest.raises(AuthServiceNotActivated):
        pachd.client.auth.deactivate()
