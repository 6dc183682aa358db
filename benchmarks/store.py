"""Measures the embedded store and prints one table: what, measured, bound.

Every figure about the store in the documentation comes from
`python benchmarks/store.py`, on any machine. `--quick` uses a tenth of the volume. `--against grpc://HOST:PORT` runs
the same reads and writes against the store and that server in turns, in a repo of its own that is deleted afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

Row = tuple[str, str, str]


class Clock:
    """Measures the wall time of a block."""

    def __enter__(self) -> Clock:
        self.begin = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.begin


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Any]:
    """A client of a store served by a process of its own, as `client, pid`."""
    from pachyderm_sdk import Client

    socket = folder / "store.sock"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "cli.main",
            "--store",
            str(folder / "store"),
            "store",
            "serve",
            "--listen",
            f"unix:{socket}",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        process.stdout.readline()
        yield Client(host="unix", port=str(socket)), process.pid
    finally:
        process.terminate()
        process.wait()


def stream(branch: Any, files: Iterator[tuple[str, bytes]], replace: bool = False) -> Iterator[Any]:
    """One ModifyFile stream."""
    from pachyderm_sdk.api import pfs

    yield pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=branch.repo, branch=branch))
    for path, data in files:
        if replace:
            yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=data))


def new_branch(client: Any, name: str) -> Any:
    """A repo's master branch."""
    from pachyderm_sdk.api import pfs

    repo = pfs.Repo(name=name)
    client.pfs.create_repo(repo=repo)
    return pfs.Branch(repo=repo, name="master")


def head(branch: Any, path: str = "/") -> Any:
    """A file of a branch's head."""
    from pachyderm_sdk.api import pfs

    return pfs.File(commit=pfs.Commit(repo=branch.repo, branch=branch), path=path)


def small_commits(client: Any, scale: int) -> Iterator[Row]:
    """One-file commits, each durable when it is acknowledged."""
    branch = new_branch(client, "small")
    count, times = 10_000 // scale, []
    for number in range(count):
        with Clock() as clock:
            client.pfs.modify_file(stream(branch, iter([(f"/{number % 100}/{number}.bin", os.urandom(10_000))])))
        times.append(clock.seconds)
    early, late = statistics.median(times[5:105]), statistics.median(times[-100:])
    yield f"one-file commits, {count} of 10 kB", f"{count / sum(times):.0f}/s", ">= 50/s"
    yield f"the {count}th against the 10th (medians of 100)", f"{late / early:.2f}x", "<= 1.3x"


def add_to_many(client: Any, scale: int) -> Iterator[Row]:
    """The cost of one more file, and listing and comparing many."""
    medians = {}
    for count in (100, 100_000 // scale):
        branch = new_branch(client, f"many{count}")
        client.pfs.modify_file(stream(branch, ((f"/img_{i:06d}.png", i.to_bytes(8, "big")) for i in range(count))))
        times = []
        for number in range(60):
            with Clock() as clock:
                client.pfs.modify_file(
                    stream(branch, iter([(f"/img_{number * 97 % count:06d}.jpg", os.urandom(10_000))]))
                )
            times.append(clock.seconds)
        medians[count] = statistics.median(times)
    few, many = medians.values()
    yield (
        f"one more file beside 100: {few * 1e3:.1f} ms; beside {count}: {many * 1e3:.1f} ms",
        f"{many / few:.2f}x",
        "<= 1.5x",
    )
    yield from listing(client, branch, count)


def listing(client: Any, branch: Any, count: int) -> Iterator[Row]:
    """List and diff, with the SDK's messages and without."""
    from pachyderm_sdk.api import pfs

    raw = client._channel.unary_stream("/pfs_v2.API/ListFile", request_serializer=bytes, response_deserializer=None)
    with Clock() as clock:
        found = sum(1 for _ in raw(pfs.ListFileRequest(file=head(branch))))
    yield f"list of {found} files, over gRPC, messages not parsed", f"{clock.seconds:.2f} s", "(gRPC)"
    with Clock() as clock:
        found = sum(1 for _ in client.pfs.list_file(file=head(branch)))
    yield f"list of {found} files, parsed by the SDK", f"{clock.seconds:.2f} s", "(the SDK)"
    with Clock() as clock:
        changed = sum(1 for _ in client.pfs.diff_file(new_file=head(branch)))
    yield f"diff with one change in {count} ({changed} entries)", f"{clock.seconds:.3f} s", "<= 1 s"


def listing_at_home(folder: Path, scale: int) -> Iterator[Row]:
    """The same list as commands and stages on a laptop ask for it, parsed."""
    from pachyderm_sdk.api import pfs

    from pachyderm.client.branches import BranchName
    from pachyderm.client.commits import head as newest
    from pachyderm.client.connection import Target, connect
    from pachyderm.client.files import files

    repo = f"many{100_000 // scale}"
    with connect(Target(store=folder / "store")) as client:
        commit = newest(client, BranchName(repo, "master")).id
        with Clock() as clock:
            found = len(files(client, repo, commit))
        yield f"list of {found} files, by a command without an address", f"{clock.seconds:.2f} s", "<= 2 s"
        with Clock() as clock:
            found = sum(1 for _ in client.pfs.list_file(file=pfs.File(commit=client.commit(repo, commit), path="/")))
        yield f"list of {found} files, the same, parsed by the SDK", f"{clock.seconds:.2f} s", "(the SDK)"


def many_files(client: Any, scale: int) -> Iterator[Row]:
    """Commits of many files, again unchanged, and all of it as one TAR archive."""
    rng = random.Random(1)
    branch = new_branch(client, "thousand")
    files = [(f"/{i:05d}.bin", rng.randbytes(20_000)) for i in range(1000)]
    with Clock() as clock:
        client.pfs.modify_file(stream(branch, iter(files)))
    yield "1,000 files x 20 kB in one commit", f"{clock.seconds:.2f} s", "(pachd: 2.4 s)"
    branch = new_branch(client, "ten-thousand")
    count = 10_000 // scale
    files = [(f"/{i % 100}/{i:05d}.bin", rng.randbytes(100_000)) for i in range(count)]
    with Clock() as clock:
        client.pfs.modify_file(stream(branch, iter(files)))
    yield f"{count} files x 100 kB in one commit", f"{clock.seconds:.2f} s", "<= 60 s"
    with Clock() as clock:
        client.pfs.modify_file(stream(branch, iter(files), replace=True))
    yield "the same again, unchanged", f"{clock.seconds:.2f} s", "(the SDK)"
    messages = [bytes(message) for message in stream(branch, iter(files), replace=True)]
    raw = client._channel.stream_unary("/pfs_v2.API/ModifyFile", request_serializer=None, response_deserializer=None)
    with Clock() as clock:
        raw(iter(messages))
    yield "the same again, unchanged, messages made before", f"{clock.seconds:.2f} s", "<= 5 s"
    rates = []
    for _ in range(3):
        with Clock() as clock:
            size = sum(len(piece.value) for piece in client.pfs.get_file_tar(file=head(branch)))
        rates.append(size / clock.seconds / 1e6)
    yield f"all as one TAR ({size / 1e6:.0f} MB), warm", f"{max(rates):.0f} MB/s", ">= 200 MB/s"


def first_answer(scale: int) -> Iterator[Row]:  # noqa: ARG001
    """From nothing to the first answer, with no server running, beyond the import of the SDK."""
    code = (
        "import sys, tempfile, time; from pathlib import Path; from pachyderm_sdk import Client\n"
        "folder = Path(tempfile.mkdtemp()); begin = time.perf_counter()\n"
        "from pachyderm.client.connection import Target, connect\n"
        "with connect(Target(store=folder)) as client:\n"
        "    list(client.pfs.list_repo()); print(time.perf_counter() - begin)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    runs = [
        float(
            subprocess.run(
                [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True
            ).stdout
        )
        for _ in range(7)
    ]
    yield "open and first answer, no server running (median of 6)", f"{statistics.median(runs[1:]):.3f} s", "<= 0.25 s"


def large_file(client: Any, pid: int, scale: int) -> Iterator[Row]:
    """The memory of the serving process while a large file goes in and out."""
    branch = new_branch(client, "large")
    size = 2_000_000_000 // scale
    chunk = random.Random(2).randbytes(1 << 20)
    pieces = size // len(chunk)

    def data() -> Iterator[tuple[str, bytes]]:
        for number in range(pieces):
            yield "/large.bin", number.to_bytes(8, "big") + chunk[8:]

    with Clock() as into:
        client.pfs.modify_file(stream(branch, data()))
    with Clock() as out:
        got = sum(len(piece.value) for piece in client.pfs.get_file(file=head(branch, "/large.bin")))
    peak = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    yield (
        f"{got / 1e9:.1f} GB in one file: in {got / into.seconds / 1e6:.0f}, out {got / out.seconds / 1e6:.0f} MB/s",
        (f"{int(peak.split()[1]) / 1024:.0f} MiB"),
        "<= 200 MB at its highest",
    )


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--volume", action="store_true", help="commands on a large commit, a long history and a long queue"
    )
    parser.add_argument("--folder", type=Path, help="of --volume: keeps what is measured; called again, it goes on")
    parser.add_argument("--seconds", type=float, default=math.inf, help="of --volume: begin no step after so many")
    parser.add_argument("--quick", action="store_true", help="a tenth of the volume")
    only = "part of a benchmark's name; with --against several, separated by commas"
    parser.add_argument("--only", default="", help=only)
    parser.add_argument(
        "--against", default="", metavar="ADDRESS", help="compare with the Pachyderm at grpc://host:port"
    )
    arguments = parser.parse_args()
    scale = 10 if arguments.quick else 1
    if arguments.volume:
        from benchmarks.store_volume import table

        with contextlib.ExitStack() as stack:
            folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.mkdir(exist_ok=True)
            for line in table(arguments.only, scale, folder, arguments.seconds):
                print(line, flush=True)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if arguments.against:
            from benchmarks.store_against import compare

            for line in compare(arguments.against, folder, scale, arguments.only):
                print(line, flush=True)
            return
        with serving(folder) as (client, _):
            parts: list[tuple[str, Callable[[], Iterator[Row]]]] = [
                ("small_commits", lambda: small_commits(client, scale)),
                ("add_to_many", lambda: add_to_many(client, scale)),
                ("listing_at_home", lambda: listing_at_home(folder, scale)),
                ("many_files", lambda: many_files(client, scale)),
                ("first_answer", lambda: first_answer(scale)),
            ]
            run(parts, arguments.only)
        (folder / "second").mkdir()
        with serving(folder / "second") as (client, pid):
            run([("large_file", lambda: large_file(client, pid, scale))], arguments.only)


def run(parts: list[tuple[str, Callable[[], Iterator[Row]]]], only: str) -> None:
    """Print the rows of the parts whose name holds `only`."""
    for name, part in parts:
        if only in name:
            for what, measured, bound in part():
                print(f"{what:<75} {measured:>12}   {bound}", flush=True)


if __name__ == "__main__":
    main()
