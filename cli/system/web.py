"""The subcommand `web`: the web application."""

from __future__ import annotations

from pathlib import Path

import click

from cli.console import print_message
from cli.options import Session, with_session


@click.command()
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:8642",
    show_default=True,
    help="Address; port 0 is any free one.",
)
@click.option("--read-only", is_flag=True, help="Refuse every request that changes something.")
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File whose first line is the token that clients need; required unless HOST is a loopback address.",
)
@click.option(
    "--allow-host", metavar="NAME", multiple=True, help="Also answer requests for this host name; repeatable."
)
@with_session
def web(session: Session, listen: str, read_only: bool, token_file: Path | None, allow_host: tuple[str, ...]) -> None:
    """Serve pages to watch the loop, compare and promote models, look at pictures, draw and upload, and an API."""
    from pix2pix.tensorflow import configure_tensorflow
    from web.configuration import LOOPBACK_NAMES, WebConfiguration, check_exposure, parse_listen, read_token
    from web.server import serve

    host, port = parse_listen(listen)
    token = read_token(token_file) if token_file is not None else None
    check_exposure(host, token)
    names = LOOPBACK_NAMES | {host.lower(), *(name.lower() for name in allow_host)}
    configure_tensorflow()
    serve(
        WebConfiguration(session.target(), host, port, token, read_only, frozenset(names)),
        lambda address: print_message(session, f"listening on {address}"),
    )
