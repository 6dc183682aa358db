"""Routes of the RPCs on projects, repos, branches, commits and commit sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import betterproto.lib.google.protobuf as google
from pachyderm_sdk.api import pfs, transaction

from pachyderm.store.files import find_commits
from pachyderm.store.graph import (
    branches,
    commit_sets,
    commits,
    forget,
    project_defaults,
    repos,
    subscriptions,
    transactions,
)
from pachyderm.store.graph.graph_update import GraphUpdate, graph_update
from pachyderm.store.objects.engine import Engine
from pachyderm.store.rpc.grpc_handlers import Method

Respond = Callable[[Any], Any]
"""Makes the response of a function's result."""


def _empty(_: Any) -> Any:
    return google.Empty()


class _Router:
    """Makes gRPC methods of the store's functions."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def transactional(self, kind: str, respond: Respond = _empty) -> Method:
        """Route a request that can be part of a client's transaction; `kind` is a field of `TransactionRequest`."""

        def perform(request: Any, context: Any) -> Any:
            wrapped = transaction.TransactionRequest()
            setattr(wrapped, kind, request)
            return respond(transactions.perform(self.engine, wrapped, context))

        return perform

    def write(self, function: Callable[[GraphUpdate, Any], Any], respond: Respond = _empty) -> Method:
        """Route a request to a function that updates the graph, in an update of its own."""

        def perform(request: Any, _: Any) -> Any:
            with graph_update(self.engine) as update:
                result = function(update, request)
            return respond(result)

        return perform

    def read(self, function: Callable[[Engine, Any], Any]) -> Method:
        """Route a request to a function that only reads."""
        return lambda request, _: function(self.engine, request)

    def wait(self, function: Callable[[Engine, Any, Any], Any]) -> Method:
        """Route a request to a function that may wait, and ends when the client goes away."""
        return lambda request, context: function(self.engine, request, context)


def graph_routes(engine: Engine) -> dict[str, Method]:
    """Return the routes, keyed by the name of the SDK's stub method."""
    router = _Router(engine)
    return _projects(router) | _repos(router) | _branches(router) | _commits(router) | _commit_sets(router)


def _projects(router: _Router) -> dict[str, Method]:
    return {
        "create_project": router.write(repos.create_project),
        "inspect_project": router.read(lambda engine, r: repos.projects(engine, r.project.name)[0]),
        "inspect_project_v2": router.read(
            lambda engine, r: pfs.InspectProjectV2Response(
                info=repos.projects(engine, r.project.name)[0],
                defaults_json=project_defaults.inspect(engine, r.project.name).project_defaults_json,
            )
        ),
        "list_project": router.read(lambda engine, _: iter(repos.projects(engine))),
        "delete_project": router.write(repos.delete_project),
    }


def _repos(router: _Router) -> dict[str, Method]:
    return {
        "create_repo": router.transactional("create_repo"),
        "inspect_repo": router.read(repos.inspect),
        "list_repo": router.read(repos.listed),
        "delete_repo": router.transactional("delete_repo", lambda deleted: pfs.DeleteRepoResponse(deleted=deleted)),
        "delete_repos": router.write(repos.delete_many, lambda deleted: pfs.DeleteReposResponse(repos=deleted)),
        "delete_all": router.write(lambda update, _: repos.delete_all(update)),
        "repos_summary": router.read(lambda engine, r: pfs.ReposSummaryResponse(summaries=repos.summaries(engine, r))),
    }


def _branches(router: _Router) -> dict[str, Method]:
    return {
        "create_branch": router.transactional("create_branch"),
        "inspect_branch": router.read(branches.inspect),
        "list_branch": router.read(branches.listed),
        "delete_branch": router.transactional("delete_branch"),
        "walk_branch_provenance": router.read(lambda engine, r: branches.walk(engine, r, "downstream", "upstream")),
        "walk_branch_subvenance": router.read(lambda engine, r: branches.walk(engine, r, "upstream", "downstream")),
    }


def _commits(router: _Router) -> dict[str, Method]:
    return {
        "start_commit": router.transactional("start_commit", lambda commit: commit),
        "finish_commit": router.transactional("finish_commit"),
        "clear_commit": router.write(lambda update, r: commits.clear(update, r.commit)),
        "forget_commit": router.write(
            lambda update, r: forget.forget(update, r.commit), lambda _: pfs.ForgetCommitResponse()
        ),
        "find_commits": router.wait(find_commits.find),
        "inspect_commit": router.wait(subscriptions.inspect),
        "list_commit": router.read(commits.listed),
        "subscribe_commit": router.wait(subscriptions.subscribe),
        "squash_commit": router.write(
            lambda update, r: commit_sets.squash(update, r.commit, r.recursive), lambda _: pfs.SquashCommitResponse()
        ),
        "drop_commit": router.write(
            lambda update, r: commit_sets.drop(update, r.commit, r.recursive), lambda _: pfs.DropCommitResponse()
        ),
        "walk_commit_provenance": router.read(lambda engine, r: commits.walk(engine, r, "downstream", "upstream")),
        "walk_commit_subvenance": router.read(lambda engine, r: commits.walk(engine, r, "upstream", "downstream")),
    }


def _commit_sets(router: _Router) -> dict[str, Method]:
    return {
        "inspect_commit_set": router.wait(subscriptions.inspect_set),
        "list_commit_set": router.read(commit_sets.listed),
        "squash_commit_set": router.transactional("squash_commit_set"),
        "drop_commit_set": router.write(lambda update, r: commit_sets.drop_set(update, r.commit_set.id)),
    }
