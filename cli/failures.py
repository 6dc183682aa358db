"""Turns the error that ended a subcommand into a message on standard error and an exit code.

0 success; 1 the work failed; 2 wrong use or bad input; 3 a service cannot be reached; 130 interrupted.
"""

from __future__ import annotations

import errno
import logging

import click

from cli.console import print_error, print_lines
from pix2pix.escaping import escape_message

logger = logging.getLogger(__name__)

FAILED, WRONG, AWAY, INTERRUPTED = 1, 2, 3, 130


def report(error: BaseException) -> int:
    """Print the problem and return the exit code; the traceback is logged, which ``-v`` shows."""
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        _print("interrupted; everything acknowledged so far is kept")
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        print_lines(_usage(error))
        return WRONG
    logger.info("the command failed", exc_info=error)
    code = _code(error)
    _print(_text(error))
    if code is None:
        _print("this is a bug in pix2pix; run the command again with -v and report the output")
    return FAILED if code is None else code


def _usage(error: click.ClickException) -> str:
    """Return what click shows of an error, with the message escaped."""
    message = f"Error: {escape_message(error.format_message())}"
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return message
    hint = f"Try '{context.command_path} --help' for help."
    return f"{context.get_usage()}\n{hint}\n\n{message}"


def _code(error: BaseException) -> int | None:
    """Return the exit code of an expected error, or None for a bug."""
    from pachyderm import errors as data
    from pix2pix import errors as model
    from web.errors import WebError
    from workflows import errors as work

    match error:
        case data.UnreachableError() | work.RunnerUnreachableError():
            return AWAY
        case data.RequestError() | data.StoreError() | data.PermanentError():
            return WRONG
        case model.InputError() | work.RunInputError() | WebError():
            return WRONG
        case model.WorkError() | data.PachydermError() | work.WorkflowError():
            return FAILED
        case OSError(errno=errno.ENOSPC | errno.EIO | errno.EDQUOT):
            return FAILED
        case OSError():
            return WRONG
    return None


def _text(error: BaseException) -> str:
    """Return the message for people: without an error number, and with the remedy of a full disk."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error) or type(error).__name__
    text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return f"{text}; free some space and run the command again" if full else text


def _print(text: str) -> None:
    print_error(f"pix2pix: {text}")
