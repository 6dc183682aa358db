"""The main job in python-pachyderm, as in a notebook; run with that client's interpreter, prints JSON.

Usage: main_job.py HOST:PORT, the address of a `pix2pix store serve` on which `pix2pix setup` was run.
"""

import io
import json
import sys

import grpc
import python_pachyderm
from python_pachyderm.proto.v2.pfs import pfs_pb2

PICTURE = bytes(range(256)) * 1000


def create(client):
    """Create a repo whose branch has training@master as provenance."""
    client.create_repo("notes", description="created by a notebook")
    upstream = pfs_pb2.Branch(repo=pfs_pb2.Repo(name="training", type="user"), name="master")
    client.create_branch("notes", "master", provenance=[upstream])
    branch = client.inspect_branch("notes", "master")
    return {
        "repos": sorted(info.repo.name for info in client.list_repo()),
        "upstream": [f"{b.repo.name}@{b.name}" for b in branch.direct_provenance],
        "open": finish_open(client, "notes", "checkpoint", "model", "preprocess_images", "generate_images"),
    }


def finish_open(client, *repos):
    """Finish the open commits of some repos, upstream first, so that the next commits have a parent with files."""
    finished = 0
    for repo in repos:
        for info in reversed(list(client.list_commit(repo))):
            if not info.finished.seconds:
                client.finish_commit(info.commit)
                client.wait_commit(info.commit)
                finished += 1
    return finished


def put(client):
    """Make one commit of pictures: a large file, and several files in one request."""
    with client.commit("training", "master") as commit:
        client.put_file_bytes(commit, "/facades/1.jpg", PICTURE)
        with client.modify_file_client(commit) as files:
            files.put_file_from_bytes("/facades/2.jpg", b"two")
            files.put_file_from_fileobj("/facades/3.jpg", io.BytesIO(b"three"))
            files.put_file_from_bytes("/gone.jpg", b"x")
            files.delete_file("/gone.jpg")
    [info] = client.wait_commit(commit)
    return commit, {"id": commit.id, "bytes": info.details.size_bytes, "error": info.error}


def subscribe(client, commit):
    """Wait for the output commit that the server opens for the new pictures."""
    appearing = client.subscribe_commit("checkpoint", "master", origin_kind="AUTO")
    info = next(info for info in appearing if info.commit.id == commit.id)
    return {"repo": info.commit.repo.name, "open": not info.finished.seconds}


def read(client, commit):
    """List, walk, match and inspect files; get one of them, and all."""
    with client.get_file_tar(commit, "/facades") as archive:
        names = sorted(member.name for member in archive if member.isfile())
    return {
        "listed": [info.file.path for info in client.list_file(commit, "/facades")],
        "walked": [info.file.path for info in client.walk_file(commit, "/")],
        "matched": [info.file.path for info in client.glob_file(commit, "/*/[12].jpg")],
        "sizes": [client.inspect_file(commit, f"/facades/{n}.jpg").size_bytes for n in (1, 2, 3)],
        "whole": client.get_file(commit, "/facades/1.jpg").read() == PICTURE,
        "archived": names,
        "exists": [client.path_exists(commit, path) for path in ("/facades/1.jpg", "/gone.jpg")],
    }


def provenance(client, commit):
    """Fill the output commit, and follow its provenance to the pictures."""
    output = pfs_pb2.Commit(branch=pfs_pb2.Branch(repo=commit.branch.repo, name="master"), id=commit.id)
    output.branch.repo.name = "checkpoint"
    client.put_file_bytes(output, "/checkpoint", b"weights")
    client.finish_commit(output)
    [info] = client.wait_commit(output)
    commit_set = list(client.inspect_commit(commit.id))
    branch = client.inspect_branch("checkpoint", "master")
    return {
        "finished": bool(info.finished.seconds) and not info.error,
        "branch": [f"{b.repo.name}@{b.name}" for b in branch.direct_provenance],
        "set": sorted(member.commit.branch.repo.name or member.commit.repo.name for member in commit_set),
    }


def transactions(client):
    """Commit to both inputs in one commit set, after a transaction that fails."""
    before = len(list(client.list_commit("training")))
    try:
        with client.transaction():
            client.start_commit("training", "master")
            client.start_commit("no-such-repo", "master")
    except grpc.RpcError as error:
        refusal = error.details()
    abandoned = len(list(client.list_commit("training"))) - before
    with client.transaction():
        pictures = client.start_commit("training", "master")
        inputs = client.start_commit("input_images", "master")
    client.put_file_bytes(pictures, "/facades/4.jpg", b"four")
    client.put_file_bytes(inputs, "/photo.jpg", b"photo")
    for commit in (pictures, inputs):
        client.finish_commit(commit)
        client.wait_commit(commit)
    return {"refusal": refusal, "abandoned": abandoned, "one_set": pictures.id == inputs.id, "id": pictures.id}


def main():
    """Run every step against the address on the command line."""
    host, _, port = sys.argv[1].partition(":")
    client = python_pachyderm.Client(host=host, port=int(port))
    report = {"version": python_pachyderm.__version__, "create": create(client)}
    commit, report["put"] = put(client)
    report["subscribe"] = subscribe(client, commit)
    report["read"] = read(client, commit)
    report["provenance"] = provenance(client, commit)
    report["transactions"] = transactions(client)
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
