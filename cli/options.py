"""The options that every subcommand has, before or after its name: which Pachyderm, JSON, how much is said.

It exists so that `pix2pix --json status` and `pix2pix status --json` are the same, and are said once.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pachyderm.client.connection import Target

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Session:
    """What the caller said for any subcommand.

    Attributes:
        pachd: address of a Pachyderm cluster (``grpc://host:port``), or None for the embedded store.
        store: folder of the embedded store.
        json: whether standard output is exactly one JSON document.
        verbosity: 0 as usual, above 0 more, below 0 less.
    """

    pachd: str | None = None
    store: Path = Path(".pix2pix")
    json: bool = False
    verbosity: int = 0

    def target(self) -> Target:
        """Where the data is; the project and the token come from the environment."""
        from pachyderm.client.connection import Target

        return replace(Target.from_environment(dict(os.environ)), pachd=self.pachd, store=self.store)


def with_session(function: F) -> F:
    """Give a click callback the common options and pass them as its first argument, a `Session`."""

    @click.option("--pachd", metavar="ADDRESS", envvar="PACHD_ADDRESS", help="A Pachyderm cluster, grpc://host:port.")
    @click.option(
        "--store",
        metavar="DIR",
        envvar="PIX2PIX_STORE",
        type=click.Path(path_type=Path),
        help="The embedded store's folder, used without --pachd.  [default: .pix2pix]",
    )
    @click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
    @click.option("-v", "--verbose", count=True, help="Say more.")
    @click.option("-q", "--quiet", count=True, help="Say less.")
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
        before = context.find_object(Session)
        explicit = {
            name: context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
            for name in ("pachd", "store")
        }
        # The group has read the environment already; read once more here, it would win over the group's own options.
        taken = {name: explicit[name] or before is None for name in explicit}
        before = before or Session()
        session = replace(
            before,
            pachd=pachd if taken["pachd"] else before.pachd,
            store=store if taken["store"] and store is not None else before.store,
            json=before.json or as_json,
            verbosity=before.verbosity + verbose - quiet,
        )
        if explicit["store"] and not explicit["pachd"]:
            session = replace(session, pachd=None)
        context.obj = session
        _set_up_logging(session)
        return function(session, *args, **options)

    return command  # type: ignore[return-value]


def _set_up_logging(session: Session) -> None:
    level = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}.get(
        max(-1, min(session.verbosity, 2)), logging.DEBUG
    )
    logging.basicConfig(stream=sys.stderr, level=level, format="%(levelname)s %(name)s: %(message)s", force=True)
