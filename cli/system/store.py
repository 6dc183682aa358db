"""The subcommand `store`: serve, collect garbage in, back up, restore and check the embedded store."""

from __future__ import annotations

import ipaddress
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cli.console import emit, print_message, progress, table
from cli.options import Session, with_session
from pachyderm.errors import RequestError

LONGEST_GRACE = 24 * 365 * 100
"""Longest grace period, hours: a century; more is a typing error, and infinity cannot be subtracted from a time."""


@click.group()
@with_session
def store(session: Session) -> None:
    """Serve and maintain the embedded store."""


@store.command(short_help="Serve the store to pachctl and other clients.")
@click.option(
    "--listen", metavar="ADDRESS", default="127.0.0.1:30650", show_default=True, help="HOST:PORT or unix:PATH."
)
@click.option(
    "--url-sources", is_flag=True, help="Let clients put files from http and https URLs, which this machine downloads."
)
@with_session
def serve(session: Session, listen: str, url_sources: bool) -> None:
    """Serve the store at an address, for pachctl and any other Pachyderm client, until Ctrl-C or SIGTERM.

    Prints the address to standard output as soon as it accepts requests.
    """
    from pachyderm.store.rpc.server import StoreServer
    from workflows.daemon.signals import Interruption

    _check_port(listen)
    if not _is_local(listen):
        print_message(
            session, f"warning: {listen} is reachable from other machines, and the store has no authentication"
        )
    server = StoreServer(session.store, listen, url_sources=url_sources)
    ended = threading.Event()
    interruption = Interruption()
    # The event is set in the thread that watches for signals: in a handler, which interrupts the main thread anywhere,
    # it could wait for a lock that the main thread holds.
    with interruption.watched(), interruption.on_signal(ended.set):
        try:
            address = server.start()
            emit(session, {"address": address, "store": str(session.store)}, address)
            ended.wait()
        finally:
            server.stop()
    print_message(session, "stopped; everything acknowledged is kept")


def _check_port(listen: str) -> None:
    """Refuse an invalid port; gRPC would take the number modulo 65536."""
    if listen.startswith("unix"):
        return
    _, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise RequestError(
            f"--listen {listen} has no valid port; give HOST:PORT with a port from 0 (any free port) to 65535"
        )


def _is_local(listen: str) -> bool:
    host = listen.rpartition(":")[0].strip("[]")
    if listen.startswith("unix:") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@store.command(short_help="Delete data that nothing refers to.")
@click.option(
    "--grace", metavar="HOURS", type=float, default=24.0, show_default=True, help="Keep data that is newer than this."
)
@with_session
def gc(session: Session, grace: float) -> None:
    """Delete data that no commit and no open write refers to and that is older than the grace period."""
    from pachyderm.client.connection import require_store
    from pachyderm.store.maintenance.gc import collect

    # NaN compares false with everything, so the test states what is accepted.
    if not 0 <= grace <= LONGEST_GRACE:
        raise RequestError(f"--grace {grace} is invalid; give hours from 0 to {LONGEST_GRACE}, usually 24")
    require_store(session.store)
    removed = collect(session.store, grace * 3600)
    emit(
        session,
        asdict(removed),
        f"deleted {removed.blocks} blocks, {removed.pages} pages and {removed.packs} packs: {removed.bytes} bytes",
    )


@store.command(short_help="Write the store to one file.")
@click.argument("file", type=click.Path(path_type=Path))
@with_session
def backup(session: Session, file: Path) -> None:
    """Write the store to the new FILE, as one consistent state, although others use it meanwhile."""
    from pachyderm.store.maintenance import backup as maintenance

    with progress(session, "backup") as show:
        made = maintenance.backup(session.store, file, show)
    text = f"{file}: {made.commits} commits, {made.packs} packs, {made.bytes} bytes"
    emit(session, {"file": str(file), **asdict(made)}, text)


@store.command(short_help="Make a store of a backup.")
@click.argument("file", type=click.Path(path_type=Path))
@with_session
def restore(session: Session, file: Path) -> None:
    """Make a store of FILE, which `backup` wrote, in the new or empty folder that --store names, and check it.

    Exit code 1 if the store had problems when it was backed up.
    """
    from pachyderm.store.maintenance import backup as maintenance

    with progress(session, "restore") as show:
        restored, found = maintenance.restore(file, session.store, show)
    problems: list[dict[str, Any]] = [asdict(problem) for problem in found]
    text = f"{session.store}: {restored.commits} commits, {restored.packs} packs, {restored.bytes} bytes"
    if problems:
        text += "\n" + table(("code", "where", "what", "repair"), problems)
    emit(session, {"store": str(session.store), **asdict(restored), "problems": problems}, text)
    if problems:
        raise SystemExit(1)


@store.command(short_help="Check hashes, references and the commit graph.")
@click.option("--repair", is_flag=True, help="Repair what is safe; damaged objects are moved aside, never deleted.")
@with_session
def fsck(session: Session, repair: bool) -> None:
    """Check the hash of every object, every reference, and the rules of the commit graph.

    Exit code 1 if problems remain.
    """
    from pachyderm.client.connection import require_store
    from pachyderm.store.maintenance.fsck import check

    require_store(session.store)
    problems: list[dict[str, Any]] = [asdict(problem) for problem in check(session.store, repair)]
    text = table(("code", "where", "what", "repair"), problems) if problems else "no problems found"
    emit(session, {"problems": problems}, text)
    if any(not problem["repaired"] for problem in problems):
        raise SystemExit(1)
