"""Projects and repos."""

from collections.abc import Callable

import grpc
import pytest
from pachyderm_sdk.api import pfs
from server_under_test import Pachd, happened, refused

pytestmark = pytest.mark.conformance

NOT_FOUND = grpc.StatusCode.NOT_FOUND
ALREADY_EXISTS = grpc.StatusCode.ALREADY_EXISTS


@pytest.fixture
def project(pachd: Pachd) -> pfs.Project:
    project = pfs.Project(name=pachd.name("project"))
    pachd.client.pfs.create_project(project=project, description="of one test")
    return project


def test_a_repo_can_be_created_inspected_listed_and_deleted(pachd: Pachd, project: pfs.Project) -> None:
    repo = pfs.Repo(name="pictures", type="user", project=project)
    pachd.client.pfs.create_repo(repo=repo, description="what it is")
    info = pachd.client.pfs.inspect_repo(repo=repo)
    assert (info.repo.name, info.repo.project.name, info.description) == ("pictures", project.name, "what it is")
    assert happened(info.created)
    assert [r.repo.name for r in pachd.client.pfs.list_repo(projects=[project])] == ["pictures"]
    pachd.client.pfs.delete_repo(repo=repo)
    with refused("not found", NOT_FOUND):
        pachd.client.pfs.inspect_repo(repo=repo)


def test_a_second_repo_of_the_same_name_is_refused(pachd: Pachd) -> None:
    repo = pachd.repo()
    with refused("already exists", ALREADY_EXISTS):
        pachd.client.pfs.create_repo(repo=repo)


def test_an_update_of_a_repo_changes_its_description_and_keeps_its_birth(pachd: Pachd) -> None:
    repo = pachd.repo()
    born = pachd.client.pfs.inspect_repo(repo=repo).created
    pachd.client.pfs.create_repo(repo=repo, update=True, description="new words")
    info = pachd.client.pfs.inspect_repo(repo=repo)
    assert (info.created, info.description) == (born, "new words")


def test_an_update_of_a_missing_repo_creates_it(pachd: Pachd) -> None:
    repo = pfs.Repo(name=pachd.name("fresh"), type="user")
    pachd.client.pfs.create_repo(repo=repo, update=True)
    assert pachd.client.pfs.inspect_repo(repo=repo).repo.name == repo.name


def test_a_repo_in_a_missing_project_is_refused(pachd: Pachd) -> None:
    repo = pfs.Repo(name="pictures", type="user", project=pfs.Project(name=pachd.name("nowhere")))
    with refused("not found", NOT_FOUND):
        pachd.client.pfs.create_repo(repo=repo)


@pytest.mark.parametrize("name", ["", "two words", "a.b", "a/b", "a@b", "pâté", "a\n"])
def test_a_repo_name_of_other_than_letters_digits_dashes_is_refused(pachd: Pachd, name: str) -> None:
    with refused():
        pachd.client.pfs.create_repo(repo=pfs.Repo(name=name, type="user"))


def test_the_same_repo_name_lives_in_two_projects(pachd: Pachd, project: pfs.Project) -> None:
    ours = pachd.repo("pictures")
    theirs = pfs.Repo(name=ours.name, type="user", project=project)
    pachd.client.pfs.create_repo(repo=theirs)
    pachd.write(pfs.Branch(repo=ours, name="master"), {"/a": b"ours"})
    pachd.write(pfs.Branch(repo=theirs, name="master"), {"/a": b"theirs"})
    assert pachd.read(pfs.Branch(repo=ours, name="master"), "/a") == b"ours"
    assert pachd.read(pfs.Branch(repo=theirs, name="master"), "/a") == b"theirs"


def test_an_unknown_repo_is_named_without_its_type(pachd: Pachd) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        pachd.client.pfs.inspect_repo(repo=pfs.Repo(name=pachd.name("nothing"), type="user"))
    assert caught.value.code() is NOT_FOUND
    assert pachd.name("nothing") in caught.value.details()


def test_a_repo_shows_its_branches_and_its_size(pachd: Pachd) -> None:
    repo = pachd.repo()
    pachd.write(pachd.branch(repo, "left"), {"/a": b"12345"})
    pachd.write(pachd.branch(repo, "master"), {"/a": b"123"})
    info = pachd.client.pfs.inspect_repo(repo=repo)
    assert sorted(branch.name for branch in info.branches) == ["left", "master"]
    assert info.details.size_bytes == 3


def test_a_repo_that_another_depends_on_is_only_deleted_by_force(pachd: Pachd) -> None:
    source, output = pachd.chain("source", "output")
    with refused():
        pachd.client.pfs.delete_repo(repo=source.repo)
    assert pachd.client.pfs.inspect_repo(repo=source.repo).repo.name == source.repo.name
    pachd.client.pfs.delete_repo(repo=source.repo, force=True)
    with refused("not found", NOT_FOUND):
        pachd.client.pfs.inspect_repo(repo=source.repo)
    assert pachd.client.pfs.inspect_branch(branch=output).direct_provenance == []


def test_deleting_an_unknown_repo_is_not_an_error(pachd: Pachd) -> None:
    assert not pachd.client.pfs.delete_repo(repo=pfs.Repo(name=pachd.name("nothing"), type="user"), force=True).deleted


def test_a_deleted_repo_comes_back_empty(pachd: Pachd) -> None:
    repo = pachd.repo()
    pachd.write(pfs.Branch(repo=repo, name="master"), {"/a": b"1"})
    pachd.client.pfs.delete_repo(repo=repo)
    pachd.client.pfs.create_repo(repo=repo)
    assert pachd.history(repo) == []
    assert list(pachd.client.pfs.list_branch(repo=repo)) == []


def test_all_repos_of_a_project_are_deleted_at_once(pachd: Pachd, project: pfs.Project) -> None:
    for name in ("one", "two"):
        pachd.client.pfs.create_repo(repo=pfs.Repo(name=name, type="user", project=project))
    gone = pachd.client.pfs.delete_repos(projects=[project]).repos
    assert sorted(repo.name for repo in gone) == ["one", "two"]
    assert list(pachd.client.pfs.list_repo(projects=[project])) == []


def test_a_project_can_be_created_inspected_listed_and_deleted(pachd: Pachd, project: pfs.Project) -> None:
    info = pachd.client.pfs.inspect_project(project=project)
    assert (info.project.name, info.description) == (project.name, "of one test")
    listed = [p.project.name for p in pachd.client.pfs.list_project()]
    assert {"default", project.name} <= set(listed)
    pachd.client.pfs.delete_project(project=project)
    with refused("not found", NOT_FOUND):
        pachd.client.pfs.inspect_project(project=project)


def test_a_project_with_repos_is_not_deleted(pachd: Pachd, project: pfs.Project) -> None:
    pachd.client.pfs.create_repo(repo=pfs.Repo(name="pictures", type="user", project=project))
    with refused():
        pachd.client.pfs.delete_project(project=project)
    assert pachd.client.pfs.inspect_project(project=project).project.name == project.name


@pytest.mark.parametrize("name", ["", "-leading", "two words", "a.b", "a" * 52])
def test_an_invalid_project_name_is_refused(pachd: Pachd, name: str) -> None:
    with refused():
        pachd.client.pfs.create_project(project=pfs.Project(name=name))


def test_a_second_project_of_the_same_name_is_refused(pachd: Pachd, project: pfs.Project) -> None:
    with refused("already exists", ALREADY_EXISTS):
        pachd.client.pfs.create_project(project=project)


@pytest.mark.parametrize(
    "ask",
    [
        lambda pfs_, repo: pfs_.inspect_repo(repo=repo),
        lambda pfs_, repo: list(pfs_.list_commit(repo=repo)),
        lambda pfs_, repo: list(pfs_.list_branch(repo=repo)),
        lambda pfs_, repo: pfs_.start_commit(branch=pfs.Branch(repo=repo, name="master")),
        lambda pfs_, repo: pfs_.create_branch(branch=pfs.Branch(repo=repo, name="master")),
        lambda pfs_, repo: pfs_.inspect_branch(branch=pfs.Branch(repo=repo, name="master")),
    ],
    ids=["inspect_repo", "list_commit", "list_branch", "start_commit", "create_branch", "inspect_branch"],
)
def test_requests_on_an_unknown_repo_are_not_found(pachd: Pachd, ask: Callable[..., object]) -> None:
    with refused("not found", NOT_FOUND):
        ask(pachd.client.pfs, pfs.Repo(name=pachd.name("nothing"), type="user"))
