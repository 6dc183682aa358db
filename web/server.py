"""Runs the application with uvicorn."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing

import uvicorn

from web.application import create_application
from web.configuration import WebConfiguration
from web.errors import StartError

SHUTDOWN_SECONDS = 5


def serve(configuration: WebConfiguration, announce: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Args:
        configuration: the settings.
        announce: called with the address of the overview once the port is bound.

    Raises:
        StartError: the port is taken, or the address is not one of this machine.
    """
    with closing(_bind(configuration.host, configuration.port)) as listener:
        port = listener.getsockname()[1]
        name = f"[{configuration.host}]" if ":" in configuration.host else configuration.host
        announce(f"http://{name}:{port}/")
        settings = uvicorn.Config(
            create_application(configuration),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            h11_max_incomplete_event_size=64 * 1024,
        )
        uvicorn.Server(settings).run(sockets=[listener])


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Whoever reads the announced address may connect at once.
        listener.listen()
    except OSError as error:
        listener.close()
        raise StartError(
            f"--listen {host}:{port}: {error.strerror}; choose another port, or 0 for any that is free"
        ) from error
    return listener
