"""Projects and repos: creation, listing, sizes and deletion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.store.database import rows
from pachyderm.store.database.rows import RepoRow, SqlConnection
from pachyderm.store.graph import branches, triggers
from pachyderm.store.graph.commit_sets import remove
from pachyderm.store.graph.graph_update import GraphUpdate
from pachyderm.store.graph.infos import Infos, moment, reach, repo_message
from pachyderm.store.names import FILE_SETS, USER, RepoName, check_name, check_project_name, repo_name
from pachyderm.store.objects.engine import Engine
from pachyderm.store.status_errors import StatusError, already_exists, invalid_argument, not_found


def create(update: GraphUpdate, request: Any) -> None:
    """Create a repo, or change its description.

    Raises:
        StatusError: the repo exists and `request.update` is false; its project is missing; its name is invalid.
    """
    name = repo_name(request.repo)
    if name.name == FILE_SETS:
        raise StatusError(f"{FILE_SETS} is a reserved name")
    check_name(name.name)
    project = _project(update.connection, name.project)
    found = rows.find_repo(update.connection, name)
    if found is not None:
        if not request.update:
            raise already_exists(f"repo {name} already exists")
        update.connection.execute("UPDATE repos SET description=? WHERE id=?", (request.description, found.id))
        return
    if name.type != USER and rows.find_repo(update.connection, name._replace(type=USER)) is None:
        raise StatusError("cannot create a system repo without a corresponding 'user' repo")
    update.connection.execute(
        "INSERT INTO repos VALUES (NULL, ?, ?, ?, ?, ?, '{}')",
        (project, name.name, name.type, request.description, update.now),
    )


def _project(connection: SqlConnection, name: str) -> int:
    row = connection.execute("SELECT id FROM projects WHERE name=?", (name,)).fetchone()
    if row is None:
        raise not_found(f'cannot find project "{name}": project "{name}" not found')
    return int(row[0])


def inspect(engine: Engine, request: Any) -> Any:
    """Return the `RepoInfo` of a repo."""
    with engine.database.reading() as connection:
        return Infos(connection).repo_info(rows.repo(connection, repo_name(request.repo)), detailed=True)


def listed(engine: Engine, request: Any) -> Iterator[Any]:
    """Yield the `RepoInfo` of the requested projects' repos (empty: all projects), of one type or of all."""
    with engine.database.reading() as connection:
        found = _matching(connection, request.projects, request.type)
        if request.page.page_size:
            if request.page.page_size < 0 or request.page.page_index < 0:
                raise invalid_argument("page size and index must not be negative")
            begin = request.page.page_index * request.page.page_size
            found = found[begin : begin + request.page.page_size]
        infos = Infos(connection)
        messages = [infos.repo_info(row) for row in found]
    yield from messages


def _matching(connection: SqlConnection, projects: list[Any], kind: str) -> list[RepoRow]:
    names = {project.name for project in projects}
    return [
        row for row in rows.repos(connection) if (not kind or row.type == kind) and (not names or row.project in names)
    ]


def delete(update: GraphUpdate, name: RepoName, force: bool) -> bool:
    """Delete a repo with its history and its system repos; return whether it existed.

    Raises:
        StatusError: branches of other repos depend on it and `force` is false.
    """
    if rows.find_repo(update.connection, name) is None:
        return False
    related = [name]
    if name.type == USER:
        related = [row.full_name for row in rows.repos(update.connection) if row[1:3] == name[:2]]
    _delete_all(update, [rows.repo(update.connection, full_name) for full_name in related], force)
    return True


def delete_many(update: GraphUpdate, request: Any) -> list[Any]:
    """Delete the repos of some projects, or all; return the `Repo` messages of the deleted ones."""
    if not request.all and not request.projects:
        return []
    found = _matching(update.connection, [] if request.all else request.projects, "")
    _delete_all(update, found, request.force)
    return [repo_message(row.full_name) for row in found]


def _delete_all(update: GraphUpdate, found: list[RepoRow], force: bool) -> None:
    connection = update.connection
    to_delete = [row for repo in found for row in rows.branches(connection, "WHERE repo=?", (repo.id,))]
    # Downstream branches first: a branch in another one's provenance cannot be deleted.
    to_delete.sort(key=lambda row: -len(reach(connection, row.id, "downstream", "upstream")))
    for branch in to_delete:
        triggers.remove(connection, branch, branch.name, force=True)
    for branch in to_delete:
        branches.delete(update, branch, force)
    for repo in found:
        for commit in rows.commits(connection, "WHERE repo=? ORDER BY id DESC", (repo.id,)):
            remove(connection, commit)
        connection.execute("DELETE FROM repos WHERE id=?", (repo.id,))


def create_project(update: GraphUpdate, request: Any) -> None:
    """Create a project, or change its description."""
    name = request.project.name
    check_project_name(name)
    found = update.connection.execute("SELECT id FROM projects WHERE name=?", (name,)).fetchone()
    if request.update:
        if found is None:
            raise not_found(f'project "{name}" not found')
        update.connection.execute("UPDATE projects SET description=? WHERE name=?", (request.description, name))
    elif found is not None:
        raise already_exists(f'project "{name}" already exists')
    else:
        update.connection.execute(
            "INSERT INTO projects VALUES (NULL, ?, ?, ?, '{}')", (name, request.description, update.now)
        )


def projects(engine: Engine, name: str | None = None) -> list[Any]:
    """Return the `ProjectInfo` of one project, or of all."""
    with engine.database.reading() as connection:
        found = connection.execute(
            "SELECT name, description, created, metadata FROM projects WHERE ?1 IS NULL OR name=?1 ORDER BY id", (name,)
        ).fetchall()
    if name is not None and not found:
        raise not_found(f'project "{name}" not found')
    return [
        pfs.ProjectInfo(
            project=pfs.Project(name=row[0]),
            description=row[1],
            created_at=moment(row[2]),
            metadata=json.loads(row[3]),
        )
        for row in found
    ]


def summaries(engine: Engine, request: Any) -> list[Any]:
    """Return the `ReposSummary` of projects in the order of the request; none for a project without user repos.

    Raises:
        StatusError: a picker names no project.
    """
    for picker in request.projects:
        if not picker.name:
            raise StatusError("project picker cannot be nil")
    found = []
    with engine.database.reading() as connection:
        infos = Infos(connection)
        for name in dict.fromkeys(picker.name for picker in request.projects):
            repos = rows.repos(connection, "projects.name=? AND type=?", (name, USER))
            size = sum(infos.repo_info(row).size_bytes_upper_bound for row in repos)
            if repos:
                project = pfs.Project(name=name)
                found.append(pfs.ReposSummary(project=project, user_repo_count=len(repos), size_bytes=size))
    return found


def delete_project(update: GraphUpdate, request: Any) -> None:
    """Delete an empty project.

    Raises:
        StatusError: the project has repos.
    """
    name = request.project.name
    check_project_name(name)
    number = _project(update.connection, name)
    left = rows.repos(update.connection, "projects.name=?", (name,))
    if left:
        names = "\n".join(f"repo {row.full_name} still exists" for row in left)
        raise StatusError(f"cannot delete project {name}: {names}", grpc.StatusCode.FAILED_PRECONDITION)
    update.connection.execute("DELETE FROM project_defaults WHERE project=?", (number,))
    update.connection.execute("DELETE FROM projects WHERE id=?", (number,))


def delete_all(update: GraphUpdate) -> None:
    """Delete every repo, and every project except the default one."""
    _delete_all(update, rows.repos(update.connection), force=True)
    update.connection.execute("DELETE FROM project_defaults")
    update.connection.execute("DELETE FROM projects WHERE name<>'default'")
