"""Project defaults: the JSON document of a project's pipeline defaults, stored and returned verbatim."""

from __future__ import annotations

import json
from typing import Any

from pachyderm_sdk.api import pps

from pachyderm.store.database.rows import SqlConnection
from pachyderm.store.graph.infos import moment
from pachyderm.store.names import DEFAULT
from pachyderm.store.objects.engine import Engine
from pachyderm.store.status_errors import invalid_argument, not_found

NONE = "{}"
"""The defaults of a project without any."""
KEYS = frozenset({"createPipelineRequest", "create_pipeline_request"})


def change(engine: Engine, request: Any) -> Any:
    """Serve SetProjectDefaults.

    Raises:
        StatusError: NOT_FOUND; INVALID_ARGUMENT if the document is not a `ProjectDefaults` message in JSON.
    """
    _check(request.project_defaults_json)
    with engine.database.writing() as connection:
        project = _project(connection, request.project.name)
        if not request.dry_run:
            connection.execute(
                "INSERT OR REPLACE INTO project_defaults VALUES (?, ?, ?)",
                (project, request.project_defaults_json, engine.database.now()),
            )
    return pps.SetProjectDefaultsResponse()


def inspect(engine: Engine, name: str) -> Any:
    """Return the `GetProjectDefaultsResponse` of a project."""
    with engine.database.reading() as connection:
        project = _project(connection, name)
        row = connection.execute(
            "SELECT defaults, created FROM project_defaults WHERE project=?", (project,)
        ).fetchone()
    if row is None:
        return pps.GetProjectDefaultsResponse(project_defaults_json=NONE)
    return pps.GetProjectDefaultsResponse(project_defaults_json=row[0], created_at=moment(row[1]))


def _project(connection: SqlConnection, name: str) -> int:
    row = connection.execute("SELECT id FROM projects WHERE name=?", (name or DEFAULT,)).fetchone()
    if row is None:
        raise not_found(f'project "{name}" not found')
    return int(row[0])


def _check(text: str) -> None:
    try:
        defaults = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid_argument(f"the project defaults are not JSON: {error}") from error
    if not isinstance(defaults, dict):
        raise invalid_argument('the project defaults are not a JSON object; write {"createPipelineRequest": {...}}')
    for key, value in defaults.items():
        if key not in KEYS:
            raise invalid_argument(
                f"unknown field {key[:100]!r} in the project defaults; the only field is createPipelineRequest"
            )
        if not isinstance(value, dict):
            raise invalid_argument(f"the field {key} of the project defaults is not a JSON object")
