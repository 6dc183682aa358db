"""Requests on the server itself: health, version, cluster, identity."""

import grpc
import pytest
from pachyderm_sdk.api import pfs
from pachyderm_sdk.errors import AuthServiceNotActivated
from server_under_test import Pachd, refused

pytestmark = pytest.mark.conformance

SERVING = b"\x08\x01"
"""A serialized `grpc.health.v1.HealthCheckResponse` with status SERVING."""


def call(pachd: Pachd, method: str) -> bytes:
    return pachd.client._channel.unary_unary(method)(b"")


def test_the_server_reports_that_it_is_serving(pachd: Pachd) -> None:
    assert call(pachd, "/grpc.health.v1.Health/Check") == SERVING


def test_the_server_names_its_cluster_and_its_version(pachd: Pachd) -> None:
    assert call(pachd, "/admin_v2.API/InspectCluster")
    assert pachd.client.get_version()


def test_without_authentication_nobody_is_anybody(pachd: Pachd) -> None:
    with pytest.raises(AuthServiceNotActivated):
        pachd.client.auth.who_am_i()


def test_a_method_that_is_not_served_is_unimplemented(pachd: Pachd) -> None:
    with refused("", grpc.StatusCode.UNIMPLEMENTED):
        call(pachd, "/pfs_v2.API/Nonsense")


@pytest.mark.parametrize("method", ["CreateRepo", "InspectCommit", "StartCommit", "CreateBranch", "FinishCommit"])
def test_a_request_without_its_fields_is_refused(pachd: Pachd, method: str) -> None:
    with refused():
        call(pachd, f"/pfs_v2.API/{method}")


@pytest.mark.embedded
def test_the_store_is_of_pachyderms_version(pachd: Pachd) -> None:
    version = pachd.client.get_version()
    assert (version.major, version.minor) == (2, 12)


@pytest.mark.embedded
def test_a_message_of_the_sdks_full_size_passes_both_ways(pachd: Pachd) -> None:
    """Pachd's own test server keeps gRPC's limit of 4 MiB; a deployed pachd takes the SDK's 19 MiB."""
    content = b"0123456789abcdef" * (19 * 1024 * 1024 // 16)
    commit = pachd.start(pfs.Branch(repo=pachd.repo(), name="master"))
    pachd.modify(commit, pfs.AddFile(path="/big", raw=content))
    assert pachd.read(commit, "/big") == content
