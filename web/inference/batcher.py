"""Translates the pictures of concurrent requests in common batches."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from web.errors import OverloadedError
from web.inference.model_in_use import LoadedModel

if TYPE_CHECKING:
    from pix2pix.images.codec import Pixels

MAX_BATCH = 8
MAX_WAITING = 64
"""Requests that may wait for the network; more are refused, so that memory stays bounded."""


@dataclass(frozen=True)
class _Request:
    model: LoadedModel
    picture: Pixels
    result: Future[Pixels] = field(default_factory=Future)

    @property
    def group(self) -> tuple[int, tuple[int, ...]]:
        return id(self.model), self.picture.shape


class Batcher:
    """One thread that translates what has arrived since its last batch; a lone request never waits for others.

    Requests of one model and one shape share a batch of up to `MAX_BATCH`.
    """

    def __init__(self) -> None:
        self._requests: queue.Queue[_Request | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="translations", daemon=True)
        self._thread.start()

    def submit(self, model: LoadedModel, picture: Pixels) -> Future[Pixels]:
        """Queue a picture, uint8 ``[H, W, 3]``; the result is uint8 ``[H, W, 1 or 3]``.

        Raises:
            OverloadedError: `MAX_WAITING` requests wait already.
        """
        request = _Request(model, picture)
        try:
            self._requests.put_nowait(request)
        except queue.Full:
            raise OverloadedError(f"{MAX_WAITING} pictures are waiting; try again later") from None
        return request.result

    def close(self) -> None:
        """Translate what is queued, and stop."""
        self._requests.put(None)
        self._thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            waiting = [self._requests.get()]
            while not self._requests.empty() and len(waiting) < MAX_WAITING:
                waiting.append(self._requests.get_nowait())
            stopping = None in waiting
            groups: dict[tuple[int, tuple[int, ...]], list[_Request]] = {}
            for request in waiting:
                if request is not None:
                    groups.setdefault(request.group, []).append(request)
            for requests in groups.values():
                for start in range(0, len(requests), MAX_BATCH):
                    _translate(requests[start : start + MAX_BATCH])


def _translate(requests: Sequence[_Request]) -> None:
    import numpy as np

    active = [request for request in requests if request.result.set_running_or_notify_cancel()]
    if not active:
        return
    try:
        outputs = active[0].model.translate(np.stack([request.picture for request in active]))
    except Exception as error:  # noqa: BLE001 - the requests raise it, and the thread goes on with others
        for request in active:
            request.result.set_exception(error)
        return
    for request, output in zip(active, outputs, strict=True):
        request.result.set_result(output)
