"""`pix2pix store`: serve the embedded store to other programs, collect what nothing needs, check it.

It exists apart from the store because addresses, signals and what a person reads belong to the command line.
"""

from __future__ import annotations

import ipaddress
import signal
import threading
from dataclasses import asdict
from typing import Any

import click

from cli.console import emit, say, table
from cli.options import Session, with_session
from pachyderm.errors import RequestError

LONGEST_GRACE = 24 * 365 * 100
"""Hours; a grace period beyond a century is a slip of the keyboard, and one without end is no time to reckon with."""


@click.group()
@with_session
def store(session: Session) -> None:
    """Look after the embedded store."""


@store.command()
@click.option(
    "--listen", metavar="ADDRESS", default="127.0.0.1:30650", show_default=True, help="host:port or unix:PATH."
)
@click.option(
    "--url-sources", is_flag=True, help="Let clients put files from http and https URLs; this machine reads them."
)
@with_session
def serve(session: Session, listen: str, url_sources: bool) -> None:
    """Give the store an address, so that pachctl and any Pachyderm client can use it; ends with Ctrl-C.

    Prints the address as one line on standard output when it is ready.
    """
    from pachyderm.store.rpc.server import StoreServer

    _check_port(listen)
    if not _is_local(listen):
        say(session, f"warning: {listen} can be reached from other machines, and the store has no authentication")
    server = StoreServer(session.store, listen, url_sources=url_sources)
    ended = threading.Event()
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        address = server.start()
        emit(session, {"address": address, "store": str(session.store)}, address)
        ended.wait()
    finally:
        server.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
    say(session, "stopped; what was acknowledged is kept")


def _check_port(listen: str) -> None:
    """Refuse what is no port; gRPC would take a number modulo 65536."""
    if listen.startswith("unix"):
        return
    _, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise RequestError(
            f"--listen {listen} has no valid port; give host:port with a port from 0 (any free one) to 65535"
        )


def _is_local(listen: str) -> bool:
    host = listen.rpartition(":")[0].strip("[]")
    if listen.startswith("unix:") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@store.command()
@click.option("--grace", metavar="HOURS", type=float, default=24.0, show_default=True)
@with_session
def gc(session: Session, grace: float) -> None:
    """Remove data that no commit and no open write needs, and that is older than the grace period."""
    from pachyderm.store.maintenance.gc import collect

    # Not a number compares as false with everything.
    if not 0 <= grace <= LONGEST_GRACE:
        raise RequestError(f"--grace {grace}: the grace period is hours from 0 to {LONGEST_GRACE}; 24 are usual")
    done = collect(session.store, grace * 3600)
    emit(
        session,
        asdict(done),
        f"removed {done.blocks} blocks, {done.pages} pages and {done.packs} packs: {done.bytes} bytes",
    )


@store.command()
@click.option("--repair", is_flag=True, help="Do what is safe; damaged objects are moved aside, never deleted.")
@with_session
def fsck(session: Session, repair: bool) -> None:
    """Check every object's hash, every reference and every rule of the commit graph; exit 1 on a problem."""
    from pachyderm.store.maintenance.fsck import check

    problems: list[dict[str, Any]] = [asdict(problem) for problem in check(session.store, repair)]
    text = table(("code", "where", "what", "repair"), problems) if problems else "no problem found"
    emit(session, {"problems": problems}, text)
    if any(not problem["repaired"] for problem in problems):
        raise SystemExit(1)
