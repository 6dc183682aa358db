"""The subcommand `completion`: the script that makes a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from cli.console import emit
from cli.options import Session, with_session

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@with_session
def completion(session: Session, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash:  echo 'source <(pix2pix completion bash)' >> ~/.bashrc
    zsh:   echo 'source <(pix2pix completion zsh)' >> ~/.zshrc
    fish:  pix2pix completion fish > ~/.config/fish/completions/pix2pix.fish
    """  # noqa: D301 - click reads the backspace
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"click completes no {shell}")
    script = found(click.get_current_context().find_root().command, {}, "pix2pix", "_PIX2PIX_COMPLETE").source()
    emit(session, {"shell": shell, "script": script}, script)
