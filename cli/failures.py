"""Turns whatever ended a subcommand into one or two lines on standard error and an exit code.

It exists so that the codes of the command line are decided in one place:
0 done · 1 the work failed · 2 wrong use or bad input · 3 a service cannot be reached · 130 interrupted.
"""

from __future__ import annotations

import errno
import logging
import sys

import click

logger = logging.getLogger(__name__)

FAILED, WRONG, AWAY, INTERRUPTED = 1, 2, 3, 130


def report(error: BaseException) -> int:
    """Print what is wrong and return the exit code; the traceback goes to the log, which ``-v`` shows."""
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        _say("interrupted; what was acknowledged before is kept")
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        error.show(sys.stderr)
        return WRONG
    logger.info("the command ended with an error", exc_info=error)
    code = _code(error)
    _say(str(error) or type(error).__name__)
    if code is None:
        _say("this is a defect of pix2pix; run the command again with -v and report what it prints")
    return FAILED if code is None else code


def _code(error: BaseException) -> int | None:
    from pachyderm import errors as data
    from pix2pix import errors as model
    from workflows import errors as work

    match error:
        case data.UnreachableError() | work.RunnerUnreachableError():
            return AWAY
        case data.RequestError() | data.StoreError() | data.PermanentError():
            return WRONG
        case model.InputError() | work.RunInputError():
            return WRONG
        case model.WorkError() | data.PachydermError() | work.WorkflowError():
            return FAILED
        case OSError(errno=errno.ENOSPC | errno.EIO | errno.EDQUOT):
            return FAILED
        case OSError():
            return WRONG
    return None


def _say(text: str) -> None:
    click.echo(f"pix2pix: {text}", err=True)
