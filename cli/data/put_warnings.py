"""What `put` warns about: pictures of another size or kind than the model in use was trained on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pachyderm.errors import PachydermError
from pix2pix.errors import Pix2PixError

if TYPE_CHECKING:
    from pachyderm.client.connection import Connection
    from pix2pix.inference.suitability import ModelInputs

logger = logging.getLogger(__name__)

OPTIONS = "/assets.extra/pix2pix.json"
"""End of the path of a model's description."""


def input_warnings(client: Connection, files: Mapping[str, Path]) -> tuple[str, ...]:
    """Compare a sample of the pictures that were put with the inputs of the model in use.

    Args:
        client: the connection.
        files: path in `input_images` -> local file.

    Returns:
        one sentence per problem; none if no model is in use, or if the check itself fails: the stages report then.
    """
    from pix2pix.inference.sample_check import sample_warnings

    try:
        inputs = _model_inputs(client)
        if inputs is None:
            return ()
        sections = _sections(_parameters(client))
        return sample_warnings(inputs, files, sections["resize"], sections["generate"])
    except (PachydermError, Pix2PixError, OSError, ValueError, KeyError) as error:
        logger.info("the pictures were not compared with the model in use", exc_info=error)
        return ()


def _model_inputs(client: Connection) -> ModelInputs | None:
    """Read what the model in use was trained on."""
    from pachyderm.client.commits import head
    from pachyderm.client.files import files, read
    from pachyderm.dag.repos import MODEL
    from pix2pix.inference.suitability import ModelInputs

    commit = head(client, MODEL)
    path = next((path for path in files(client, commit.repo, commit.id) if path.endswith(OPTIONS)), None)
    content = read(client, commit.repo, commit.id, path) if path else None
    return ModelInputs.of_description(content, str(commit)) if content else None


def _parameters(client: Connection) -> str:
    """Return the text of the parameters file of the newest pictures; empty if there is none."""
    from pachyderm.client.commits import head
    from pachyderm.client.files import PARAMETERS_FILE, read
    from pachyderm.dag.repos import INPUT_IMAGES

    commit = head(client, INPUT_IMAGES)
    return (read(client, commit.repo, commit.id, PARAMETERS_FILE) or b"").decode()


def _sections(text: str) -> dict[str, Any]:
    from components.parameters import POLICY
    from pix2pix.hyperparameters import parse, resolve

    values = parse(text, "pix2pix.toml", besides=(POLICY,))
    return {name: resolve(name, values.get(name, {})) for name in ("resize", "generate")}
