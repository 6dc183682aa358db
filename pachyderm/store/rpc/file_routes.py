"""Routes of the RPCs on files, file sets and storage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import betterproto.lib.google.protobuf as google
from pachyderm_sdk.api import pfs

from pachyderm.store.files import file_bytes, file_reads, file_writes, filesets
from pachyderm.store.maintenance import fsck, storage_check
from pachyderm.store.objects.engine import Engine
from pachyderm.store.rpc.grpc_handlers import Method


def file_routes(engine: Engine) -> dict[str, Method]:
    """Return the routes, keyed by the name of the SDK's stub method."""
    return _files(engine) | _filesets(engine) | _storage(engine)


def _files(engine: Engine) -> dict[str, Method]:
    def read(function: Callable[[Engine, Any, Any], Any]) -> Method:
        return lambda request, context: function(engine, request, context)

    def modify(requests: Any, context: Any) -> Any:
        file_writes.modify(engine, requests, context)
        return google.Empty()

    return {
        "modify_file": modify,
        "get_file": read(file_bytes.content),
        "get_file_tar": read(file_bytes.archive),
        "inspect_file": read(file_reads.inspect),
        "list_file": read(file_reads.listed),
        "walk_file": read(file_reads.walked),
        "glob_file": read(file_reads.globbed),
        "diff_file": read(file_reads.diffed),
    }


def _filesets(engine: Engine) -> dict[str, Method]:
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
        "create_file_set": create,
        "get_file_set": get,
        "add_file_set": add,
        "renew_file_set": renew,
        "compose_file_set": compose,
    }


def _storage(engine: Engine) -> dict[str, Method]:
    def check(request: Any, _: Any) -> Any:
        return pfs.CheckStorageResponse(chunk_object_count=storage_check.check(engine, request))

    def find_problems(_: Any, __: Any) -> Any:
        for problem in fsck.problems_of(engine):
            yield pfs.FsckResponse(error=f"{problem.code} {problem.where}: {problem.what}")

    return {"check_storage": check, "fsck": find_problems}
