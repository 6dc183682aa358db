"""The options that every subcommand takes, before or after its name."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.log_format import ShorteningFormatter
from pix2pix.escaping import escaping_handler

if TYPE_CHECKING:
    from pachyderm.client.connection import Target

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Session:
    """The values of the common options.

    Attributes:
        pachd: address of a Pachyderm cluster (``grpc://host:port``), or None for the embedded store.
        store: folder of the embedded store.
        json: whether standard output is exactly one JSON document.
        verbosity: 0 by default, positive with ``-v``, negative with ``-q``.
    """

    pachd: str | None = None
    store: Path = Path(".pix2pix")
    json: bool = False
    verbosity: int = 0

    def target(self, *, create: bool = False) -> Target:
        """Return where the data is; the project and the token come from the environment.

        Args:
            create: whether a missing embedded store is created; only set-up does so.
        """
        from pachyderm.client.connection import Target

        environment = Target.from_environment(dict(os.environ))
        return replace(environment, pachd=self.pachd, store=self.store, create=create)


_OPTIONS = (
    click.option(
        "--pachd", metavar="ADDRESS", envvar="PACHD_ADDRESS", help="Address of a Pachyderm cluster: grpc://host:port."
    ),
    click.option(
        "--store",
        metavar="DIR",
        envvar="PIX2PIX_STORE",
        type=click.Path(path_type=Path),
        help="Folder of the embedded store, used without --pachd.  [default: .pix2pix]",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document to standard output."),
    click.option("-v", "--verbose", count=True, help="Print more; repeatable."),
    click.option("-q", "--quiet", count=True, help="Print less: no progress, no messages."),
)


settings_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Settings of the trigger, TOML.",
)
"""The option of subcommands that read the trigger's settings."""


def with_session(function: F) -> F:
    """Give a click callback the common options and pass them as its first argument, a `Session`."""

    @click.pass_context
    @functools.wraps(function)
    def command(
        context: click.Context,
        /,
        *args: Any,
        pachd: str | None,
        store: Path | None,
        as_json: bool,
        verbose: int,
        quiet: int,
        **options: Any,
    ) -> Any:
        session = _merged(context, Session(pachd, store or Session.store, as_json, verbose - quiet))
        context.obj = session
        _set_up_logging(session)
        return function(session, *args, **options)

    # Options are listed in the help in the order of their decorators, the outermost first.
    for option in reversed(_OPTIONS):
        command = option(command)
    return command  # type: ignore[return-value]


def _merged(context: click.Context, own: Session) -> Session:
    """Combine the options of a subcommand with those given before its name."""
    outer = context.find_object(Session)
    explicit = {
        name: context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        for name in ("pachd", "store")
    }
    session = own
    if outer is not None:
        # The group has read the environment already: read again here, it would override the group's own options.
        session = Session(
            pachd=own.pachd if explicit["pachd"] else outer.pachd,
            store=own.store if explicit["store"] else outer.store,
            json=outer.json or own.json,
            verbosity=outer.verbosity + own.verbosity,
        )
    # An explicit --store wins over PACHD_ADDRESS.
    return replace(session, pachd=None) if explicit["store"] and not explicit["pachd"] else session


def _set_up_logging(session: Session) -> None:
    levels = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG}
    level = levels[max(-1, min(session.verbosity, 2))]
    layout = "%(levelname)s %(name)s: %(message)s"
    handler = escaping_handler(layout)
    if session.verbosity <= 0:
        handler.setFormatter(ShorteningFormatter(layout))
    logging.basicConfig(handlers=[handler], level=level, force=True)
