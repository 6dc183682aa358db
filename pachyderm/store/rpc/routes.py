"""Every RPC that the store serves, with the function that serves it; any other one is UNIMPLEMENTED."""

from __future__ import annotations

from typing import Any

import betterproto.lib.google.protobuf as google
import grpc
from pachyderm_sdk.api import admin, enterprise, metadata, transaction, version

from pachyderm.store.files import file_writes
from pachyderm.store.graph import metadata as metadata_edits
from pachyderm.store.graph import project_defaults, transactions
from pachyderm.store.objects.engine import Engine
from pachyderm.store.rpc import grpc_handlers
from pachyderm.store.rpc.file_routes import file_routes
from pachyderm.store.rpc.graph_routes import graph_routes
from pachyderm.store.rpc.grpc_handlers import Method
from pachyderm.store.status_errors import StatusError

VERSION = (2, 12, 2)
"""The version of Pachyderm whose behaviour is reproduced."""


def handlers(engine: Engine) -> list[grpc.GenericRpcHandler]:
    """Return the gRPC handlers of all services."""
    readers = dict.fromkeys(("modify_file", "create_file_set"), file_writes.parse_request)
    return [
        grpc_handlers.handler("pachyderm_sdk.api.pfs", graph_routes(engine) | file_routes(engine), readers),
        grpc_handlers.handler("pachyderm_sdk.api.transaction", _transactions(engine), {}),
        grpc_handlers.handler("pachyderm_sdk.api.metadata", _metadata(engine), {}),
        grpc_handlers.handler("pachyderm_sdk.api.version", {"get_version": _version}, {}),
        grpc_handlers.handler("pachyderm_sdk.api.admin", {"inspect_cluster": _cluster(engine)}, {}),
        grpc_handlers.handler(
            "pachyderm_sdk.api.auth", dict.fromkeys(("who_am_i", "deactivate"), _auth_not_activated), {}
        ),
        grpc_handlers.handler("pachyderm_sdk.api.identity", {"delete_all": _nothing_to_delete}, {}),
        grpc_handlers.handler("pachyderm_sdk.api.license", {"delete_all": _nothing_to_delete}, {}),
        grpc_handlers.handler("pachyderm_sdk.api.enterprise", {"get_state": _enterprise}, {}),
        grpc_handlers.handler("pachyderm_sdk.api.pps", _pipelines(engine), {}),
        _health(engine),
        grpc_handlers.UnknownMethods(),
    ]


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


def _auth_not_activated(_: Any, __: Any) -> Any:
    raise StatusError("the auth service is not activated", grpc.StatusCode.UNIMPLEMENTED)


def _pipelines(engine: Engine) -> dict[str, Method]:
    """Return the routes of PPS: the lists of pipelines and jobs are empty; project defaults are stored and returned."""
    return {
        **dict.fromkeys(("list_pipeline", "list_job", "list_job_set"), _empty_list),
        "delete_all": _nothing_to_delete,
        "get_project_defaults": lambda request, _: project_defaults.inspect(engine, request.project.name),
        "set_project_defaults": lambda request, _: project_defaults.change(engine, request),
    }


def _empty_list(_: Any, __: Any) -> Any:
    return iter(())


def _nothing_to_delete(_: Any, __: Any) -> Any:
    """Serve DeleteAll of a service without state: clients that reset a server call it on every service."""
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
