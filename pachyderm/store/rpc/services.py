"""The RPCs that the store serves, each with the function that answers it.

It exists so that the whole of the protocol is seen on one page; what is not on it answers UNIMPLEMENTED.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import betterproto.lib.google.protobuf as google
import grpc
from pachyderm_sdk.api import admin, enterprise, metadata, pfs, transaction, version

from pachyderm.store.files import file_bytes, file_reads, file_writes, filesets, find_commits
from pachyderm.store.graph import branches, commit_sets, commits, forget, project_defaults, repos, transactions, waits
from pachyderm.store.graph import metadata as metadata_edits
from pachyderm.store.graph.update import GraphUpdate, unit
from pachyderm.store.maintenance import fsck, storage_check
from pachyderm.store.objects.engine import Engine
from pachyderm.store.refusals import Refusal
from pachyderm.store.rpc import wire
from pachyderm.store.rpc.wire import Method

VERSION = (2, 12, 2)
"""The version of Pachyderm whose behaviour is reproduced."""


def handlers(engine: Engine) -> list[grpc.GenericRpcHandler]:
    """Every handler of the store."""
    readers = dict.fromkeys(("modify_file", "create_file_set"), file_writes.parse_request)
    return [
        wire.handler("pachyderm_sdk.api.pfs", _graph(engine) | _files(engine), readers),
        wire.handler("pachyderm_sdk.api.transaction", _transactions(engine), {}),
        wire.handler("pachyderm_sdk.api.metadata", _metadata(engine), {}),
        wire.handler("pachyderm_sdk.api.version", {"get_version": _version}, {}),
        wire.handler("pachyderm_sdk.api.admin", {"inspect_cluster": _cluster(engine)}, {}),
        wire.handler("pachyderm_sdk.api.auth", dict.fromkeys(("who_am_i", "deactivate"), _no_auth), {}),
        wire.handler("pachyderm_sdk.api.identity", {"delete_all": _nothing_to_delete}, {}),
        wire.handler("pachyderm_sdk.api.license", {"delete_all": _nothing_to_delete}, {}),
        wire.handler("pachyderm_sdk.api.enterprise", {"get_state": _enterprise}, {}),
        wire.handler("pachyderm_sdk.api.pps", _pipelines(engine), {}),
        _health(engine),
        wire.Rest(),
    ]


def _graph(engine: Engine) -> dict[str, Method]:
    def step(kind: str, answer: Callable[[Any], Any] = lambda _: google.Empty()) -> Method:
        def perform(request: Any, context: Any) -> Any:
            wrapped = transaction.TransactionRequest()
            setattr(wrapped, kind, request)
            return answer(transactions.perform(engine, wrapped, context))

        return perform

    def write(
        function: Callable[[GraphUpdate, Any], Any], answer: Callable[[Any], Any] = lambda _: google.Empty()
    ) -> Method:
        def perform(request: Any, _: Any) -> Any:
            with unit(engine) as work:
                result = function(work, request)
            return answer(result)

        return perform

    def read(function: Callable[[Engine, Any], Any]) -> Method:
        return lambda request, _: function(engine, request)

    def wait(function: Callable[[Engine, Any, Any], Any]) -> Method:
        return lambda request, context: function(engine, request, context)

    return {
        "create_project": write(repos.create_project),
        "inspect_project": read(lambda e, r: repos.projects(e, r.project.name)[0]),
        "inspect_project_v2": read(
            lambda e, r: pfs.InspectProjectV2Response(
                info=repos.projects(e, r.project.name)[0],
                defaults_json=project_defaults.inspect(e, r.project.name).project_defaults_json,
            )
        ),
        "list_project": read(lambda e, _: iter(repos.projects(e))),
        "delete_project": write(repos.delete_project),
        "create_repo": step("create_repo"),
        "inspect_repo": read(repos.inspect),
        "list_repo": read(repos.listed),
        "delete_repo": step("delete_repo", lambda deleted: pfs.DeleteRepoResponse(deleted=deleted)),
        "delete_repos": write(repos.delete_many, lambda found: pfs.DeleteReposResponse(repos=found)),
        "delete_all": write(lambda work, _: repos.delete_all(work)),
        "repos_summary": read(lambda e, r: pfs.ReposSummaryResponse(summaries=repos.summaries(e, r))),
        "create_branch": step("create_branch"),
        "inspect_branch": read(branches.inspect),
        "list_branch": read(branches.listed),
        "delete_branch": step("delete_branch"),
        "walk_branch_provenance": read(lambda e, r: branches.walk(e, r, "downstream", "upstream")),
        "walk_branch_subvenance": read(lambda e, r: branches.walk(e, r, "upstream", "downstream")),
        "start_commit": step("start_commit", lambda commit: commit),
        "finish_commit": step("finish_commit"),
        "clear_commit": write(lambda work, r: commits.clear(work, r.commit)),
        "forget_commit": write(lambda work, r: forget.forget(work, r.commit), lambda _: pfs.ForgetCommitResponse()),
        "find_commits": wait(find_commits.find),
        "inspect_commit": wait(waits.inspect),
        "list_commit": read(commits.listed),
        "subscribe_commit": wait(waits.subscribe),
        "squash_commit": write(
            lambda work, r: commit_sets.squash(work, r.commit, r.recursive), lambda _: pfs.SquashCommitResponse()
        ),
        "drop_commit": write(
            lambda work, r: commit_sets.drop(work, r.commit, r.recursive), lambda _: pfs.DropCommitResponse()
        ),
        "inspect_commit_set": wait(waits.inspect_set),
        "list_commit_set": read(commit_sets.listed),
        "squash_commit_set": step("squash_commit_set"),
        "drop_commit_set": write(lambda work, r: commit_sets.drop_set(work, r.commit_set.id)),
        "walk_commit_provenance": read(lambda e, r: commits.walk(e, r, "downstream", "upstream")),
        "walk_commit_subvenance": read(lambda e, r: commits.walk(e, r, "upstream", "downstream")),
    }


def _files(engine: Engine) -> dict[str, Method]:
    def read(function: Callable[[Engine, Any, Any], Any]) -> Method:
        return lambda request, context: function(engine, request, context)

    def modify(requests: Any, context: Any) -> Any:
        file_writes.modify(engine, requests, context)
        return google.Empty()

    def create(requests: Any, context: Any) -> Any:
        return pfs.CreateFileSetResponse(file_set_id=file_writes.create_fileset(engine, requests, context))

    def get(request: Any, _: Any) -> Any:
        only_diff = request.type == pfs.GetFileSetRequestFileSetType.DIFF
        return pfs.CreateFileSetResponse(file_set_id=filesets.of_commit(engine, request.commit, only_diff))

    def add(request: Any, _: Any) -> Any:
        filesets.add(engine, request.commit, request.file_set_id)
        return google.Empty()

    def renew(request: Any, _: Any) -> Any:
        filesets.renew(engine, request.file_set_id, request.ttl_seconds)
        return google.Empty()

    def compose(request: Any, _: Any) -> Any:
        name = filesets.compose(engine, list(request.file_set_ids), request.ttl_seconds)
        return pfs.CreateFileSetResponse(file_set_id=name)

    return {
        "modify_file": modify,
        "get_file": read(file_bytes.content),
        "get_file_tar": read(file_bytes.archive),
        "inspect_file": read(file_reads.inspect),
        "list_file": read(file_reads.listed),
        "walk_file": read(file_reads.walked),
        "glob_file": read(file_reads.globbed),
        "diff_file": read(file_reads.diffed),
        "create_file_set": create,
        "get_file_set": get,
        "add_file_set": add,
        "renew_file_set": renew,
        "compose_file_set": compose,
        "check_storage": lambda request, _: pfs.CheckStorageResponse(
            chunk_object_count=storage_check.check(engine, request)
        ),
        "fsck": lambda _, __: (
            pfs.FsckResponse(error=f"{found.code} {found.where}: {found.what}") for found in fsck.problems_of(engine)
        ),
    }


def _transactions(engine: Engine) -> dict[str, Method]:
    def delete(request: Any, _: Any) -> Any:
        transactions.delete(engine, request.transaction.id)
        return google.Empty()

    def delete_all(_: Any, __: Any) -> Any:
        transactions.delete(engine, None)
        return google.Empty()

    return {
        "batch_transaction": lambda request, _: transactions.batch(engine, request.requests),
        "start_transaction": lambda _, __: transactions.start(engine),
        "inspect_transaction": lambda request, _: transactions.inspect(engine, request.transaction.id),
        "delete_transaction": delete,
        "list_transaction": lambda _, __: transaction.TransactionInfos(transaction_info=transactions.listed(engine)),
        "finish_transaction": lambda request, _: transactions.finish(engine, request.transaction.id),
        "delete_all": delete_all,
    }


def _metadata(engine: Engine) -> dict[str, Method]:
    def edit(request: Any, _: Any) -> Any:
        metadata_edits.edit(engine, request)
        return metadata.EditMetadataResponse()

    return {"edit_metadata": edit}


def _version(_: Any, __: Any) -> Any:
    major, minor, micro = VERSION
    return version.Version(major=major, minor=minor, micro=micro, additional="", platform="pix2pix embedded store")


def _cluster(engine: Engine) -> Method:
    def inspect(_: Any, __: Any) -> Any:
        with engine.database.reading() as connection:
            values = dict(connection.execute("SELECT key, value FROM cluster"))
        return admin.ClusterInfo(id=values["id"], deployment_id=values["id"], warnings_ok=True)

    return inspect


def _no_auth(_: Any, __: Any) -> Any:
    raise Refusal("the auth service is not activated", grpc.StatusCode.UNIMPLEMENTED)


def _pipelines(engine: Engine) -> dict[str, Method]:
    """What there is to say about pipelines without any: empty lists, and the defaults of projects."""
    return {
        **dict.fromkeys(("list_pipeline", "list_job", "list_job_set"), _none),
        "delete_all": _nothing_to_delete,
        "get_project_defaults": lambda request, _: project_defaults.inspect(engine, request.project.name),
        "set_project_defaults": lambda request, _: project_defaults.change(engine, request),
    }


def _none(_: Any, __: Any) -> Any:
    return iter(())


def _nothing_to_delete(_: Any, __: Any) -> Any:
    """Answer DeleteAll of what the store does not have; clients that reset a server ask for it."""
    return google.Empty()


def _enterprise(_: Any, __: Any) -> Any:
    return enterprise.GetStateResponse(state=enterprise.State.NONE)


def _health(engine: Engine) -> grpc.GenericRpcHandler:
    serving = b"\x08\x01"

    def check(_: bytes, __: Any) -> bytes:
        return serving

    def watch(_: bytes, context: Any) -> Any:
        yield serving
        while context.is_active() and not engine.database.stopping.wait(0.05):
            pass

    return grpc.method_handlers_generic_handler(
        "grpc.health.v1.Health",
        {
            "Check": grpc.unary_unary_rpc_method_handler(check),
            "Watch": grpc.unary_stream_rpc_method_handler(watch),
        },
    )
