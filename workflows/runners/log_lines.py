"""The tasks' own lines in the log of a local run, without what `kfp.local` prints around them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TASK = re.compile(
    r"\d\d:\d\d:\d\d\.\d+ - \w+ - "
    r"(?:Executing task '(?P<begins>.+)'|Task '(?P<ends>.+)' finished with status (?P<status>\w+))"
)
_ERROR = re.compile(r"(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Warning|Failure)?: \S.*")
_INDENT = "    "

EXECUTOR = re.compile(r"\[KFP Executor [^\]]*\]")
"""Beginning of a line of KFP's executor, which runs a task's function."""

INPUT_BEGINS = "Got executor_input:"
"""End of the executor's line before the task's input, which is JSON of several lines."""

INPUT_ENDS = "}"
"""Last line of the task's input."""


def plain(text: str) -> str:
    """Return a text without terminal colours."""
    return _COLOUR.sub("", text)


class LogFollower:
    """Follows a growing log.

    Tasks that run at the same time are iterations of one loop, so each line is attributed to the task begun last of
    those that have not ended.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""
        self._inside_input = False
        self._running: list[str] = []

    def lines(self) -> list[str]:
        """Return the complete lines since the last call as ``task: line``; a carriage return ends a line, too."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except OSError:
            return []
        self._offset += len(new)
        *whole, self._rest = (self._rest + new).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        shown = (self._shown(plain(line.decode(errors="replace"))) for line in whole)
        return [line for line in shown if line is not None]

    def _shown(self, line: str) -> str | None:
        task = _TASK.match(line)
        if task:
            self._inside_input = False
            if task["begins"]:
                self._running.append(task["begins"])
                return f"{task['begins']}: begins"
            # Other iterations of a loop may still be running.
            if task["ends"] in self._running:
                self._running.remove(task["ends"])
            return f"{task['ends']}: {task['status'].lower()}"
        if not line.startswith(_INDENT):
            return None
        text = line[len(_INDENT) :]
        if self._inside_input:
            self._inside_input = text != INPUT_ENDS
            return None
        if EXECUTOR.match(text):
            self._inside_input = text.endswith(INPUT_BEGINS)
            return None
        return f"{self._running[-1]}: {text.rstrip()}" if text.strip() and self._running else None


def cause(path: Path) -> str:
    """Return the cause of a failure: the end of the failed task's last traceback, else its last line; empty if neither.

    If no task is known to have failed, the end of the last traceback in the log.
    """
    lines = LogFollower(path).lines()
    failures = [number for number, line in enumerate(lines) if line.endswith(": failure")]
    if failures:
        task = lines[failures[-1]].removesuffix("failure")
        begins = max((n for n, line in enumerate(lines[: failures[-1]]) if line == f"{task}begins"), default=0)
        output = [line.removeprefix(task) for line in lines[begins + 1 : failures[-1]] if line.startswith(task)]
        return _end_of_traceback(output) or (output[-1].strip() if output else "")
    try:
        return _end_of_traceback(plain(path.read_text(errors="replace")).splitlines())
    except OSError:
        return ""


def cause_in(output: Sequence[str]) -> str:
    """Return the cause of a failure by the output of the task that failed; see `cause`."""
    lines = [line for line in map(plain, output) if line.strip() and not EXECUTOR.match(line)]
    return _end_of_traceback(lines) or (lines[-1].strip() if lines else "")


def _end_of_traceback(lines: Sequence[str]) -> str:
    last, inside = "", False
    for raw in lines:
        line = raw.removeprefix(_INDENT) if raw.startswith(f"{_INDENT}Traceback") else raw
        if line.startswith("Traceback (most recent call last)"):
            inside = True
        elif inside and line and not line[0].isspace():
            last = line.strip() if _ERROR.match(line) else last
            inside = False
    return last
