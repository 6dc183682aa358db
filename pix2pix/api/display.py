"""Progress in a notebook: a bar with rate and time left, and a picture that is shown again when it changes."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pix2pix.pages.rendering import data_uri, render
from pix2pix.progress import Progress, silent

INTERVAL = 0.5
"""Seconds between two updates of the bar."""

WINDOW = 30.0
"""Seconds of the past from which the rate is computed: the first steps and evaluations must not distort it."""


@contextmanager
def displayed(label: str, progress: Progress | None, picture: Path | None = None) -> Iterator[Progress]:
    """Show progress within the block.

    Args:
        label: name of the work.
        progress: receives the progress; None shows it in a notebook, and nowhere else.
        picture: a PNG file that the work writes, and that a notebook shows when it has changed.
    """
    if progress is not None:
        yield progress
        return
    display = notebook_display()
    if display is None:
        yield silent
        return
    bar = NotebookBar(label, picture, display)
    try:
        yield bar
    finally:
        bar.close()


def notebook_display() -> Callable[[str], Callable[[str], None]] | None:
    """Return a function that displays HTML and returns a function that replaces it; None outside a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import HTML, display

    def show(html: str) -> Callable[[str], None]:
        handle: Any = display(HTML(html), display_id=True)
        return lambda changed: handle.update(HTML(changed))

    return show


class NotebookBar:
    """A `Progress` that displays HTML.

    Args:
        label: name of the work.
        picture: PNG file to show below the bar; it may not exist yet.
        display: see `notebook_display`.
        clock: returns seconds.
    """

    def __init__(
        self,
        label: str,
        picture: Path | None,
        display: Callable[[str], Callable[[str], None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label, self._picture, self._display, self._clock = label, picture, display, clock
        self._state = (0, 0, "")
        self._times: deque[tuple[float, int]] = deque()
        self._update = display(self._html())
        self._shown = clock()
        self._update_picture: Callable[[str], None] | None = None
        self._picture_time = _modified(picture)

    def __call__(self, done: int, total: int, note: str) -> None:
        """Update the bar at most once per `INTERVAL`."""
        first, self._state, now = not self._times, (done, total, note), self._clock()
        self._times.append((now, done))
        while now - self._times[0][0] > WINDOW:
            self._times.popleft()
        if first or now - self._shown >= INTERVAL:
            self._shown = now
            self._update(self._html())
            self._show_picture()

    def close(self) -> None:
        """Show the last state."""
        self._update(self._html())
        self._show_picture()

    def _html(self) -> str:
        done, total, note = self._state
        rate = self._rate()
        left = _duration((total - done) / rate) if rate and done < total else ""
        shown_rate = f"{rate:.1f}" if rate else ""
        return render(
            "pix2pix.api",
            "progress.html",
            label=self._label,
            done=done,
            total=total,
            note=note,
            rate=shown_rate,
            left=left,
        )

    def _rate(self) -> float:
        """Return the units per second over the last `WINDOW`; 0 if unknown."""
        if len(self._times) < 2:
            return 0.0
        (start, before), (now, after) = self._times[0], self._times[-1]
        return max(0.0, (after - before) / (now - start)) if now > start else 0.0

    def _show_picture(self) -> None:
        modified = _modified(self._picture)
        if self._picture is None or modified == self._picture_time:
            return
        self._picture_time = modified
        html = f'<img alt="Samples: input, output, target" src="{data_uri(self._picture.read_bytes())}">'
        if self._update_picture is None:
            self._update_picture = self._display(html)
        else:
            self._update_picture(html)


def _modified(file: Path | None) -> int:
    """Return when a file was modified, nanoseconds; 0 if it does not exist."""
    try:
        return file.stat().st_mtime_ns if file is not None else 0
    except FileNotFoundError:
        return 0


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
