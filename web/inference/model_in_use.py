"""Keeps the model at the head of `model@master` loaded; no request fails while it is replaced."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.recorded_model import recorded_files, require_listed, require_recorded
from pachyderm.client.commits import Commit, head
from pachyderm.client.connection import Connection
from pachyderm.client.download import download
from pachyderm.client.files import content, files
from pachyderm.dag.repos import MODEL
from pachyderm.errors import PachydermError
from pix2pix.errors import Pix2PixError
from web.backend import Backend

if TYPE_CHECKING:
    from pix2pix.images.codec import Pixels

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory.

    Attributes:
        commit: id of its commit in the repo `model`.
        shape: height and width of the pictures that it was trained on, pixels.
        multiple: height and width of an input are multiples of it, pixels.
        labels: whether its inputs are label maps.
        translate: translates uint8 ``[N, H, W, 3]`` to uint8 ``[N, H, W, 1 or 3]``.
        options: the content of the model's ``assets.extra/pix2pix.json``.
    """

    commit: str
    shape: tuple[int, int]
    multiple: int
    labels: bool
    translate: Callable[[Pixels], Pixels]
    options: dict[str, Any]


class ModelInUse:
    """The model at the head of `model@master`.

    Args:
        backend: where the model is.
        load: loads a model from a folder; `load_translator` outside of tests.
    """

    def __init__(self, backend: Backend, load: Callable[[Path, str], LoadedModel]) -> None:
        self._backend, self._load = backend, load
        self._model: LoadedModel | None = None
        self._lock = threading.Lock()
        self.problem = ""
        """Why the newest head is not loaded; empty if it is, or if it holds no model."""

    @property
    def model(self) -> LoadedModel | None:
        """The model that requests use now; None before the first one is loaded."""
        return self._model

    def refresh(self) -> bool:
        """Load the model at the head, if it is another one; requests use the earlier model meanwhile.

        Returns:
            whether a model was loaded.

        Raises:
            UnreachableError: Pachyderm is away; the model that is loaded stays in use.
        """
        with self._lock, self._backend.client() as client:
            commit = head(client, MODEL)
            if self._model is not None and self._model.commit == commit.id:
                return False
            try:
                model = self._fetch(client, commit)
            except (Pix2PixError, PachydermError) as error:
                self.problem = str(error)
                raise
            if model is None:
                return False
            # One assignment: a request holds the model that it began with, which is freed after the last of them.
            self._model, self.problem = model, ""
        logger.info("the model in use is %s@%s", MODEL.repo, model.commit)
        return True

    def _fetch(self, client: Connection, commit: Commit) -> LoadedModel | None:
        """Download and load a commit's model; None if the commit holds none, as that of `pix2pix setup`.

        Raises:
            PermanentError: the files are not those that the stage export recorded.
        """
        listing = content(files(client, commit.repo, commit.id))
        if not listing:
            return None
        if self._model is None:
            self.problem = "it is being loaded"
        recorded = recorded_files(client, commit)
        require_listed(commit, recorded, listing)
        with tempfile.TemporaryDirectory(prefix="pix2pix-web-") as folder:
            download(client, commit.repo, commit.id, listing, Path(folder), whole=True)
            require_recorded(commit, recorded, Path(folder))
            return self._load(Path(folder), commit.id)


def load_translator(folder: Path, commit: str) -> LoadedModel:
    """Load a SavedModel that `pix2pix export` wrote.

    Raises:
        InputError: the model is damaged, or was not exported by this project.
    """
    from pix2pix.inference.suitability import ModelInputs
    from pix2pix.inference.translator import Translator

    translator = Translator(folder)
    inputs = ModelInputs.of(translator.options)
    return LoadedModel(commit, inputs.trained.shape, translator.multiple, inputs.labels, translator, translator.options)
