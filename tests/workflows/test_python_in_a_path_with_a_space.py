"""A run works where Python itself is installed below a folder whose name has a space."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from pachyderm.client.connection import Target, connect
from pachyderm.client.upload import put
from pachyderm.dag.repos import INPUT_IMAGES
from pachyderm.dag.setup import set_up
from pix2pix.facades import generator


def test_a_pipeline_runs_with_a_python_whose_path_has_a_space(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    environment_folder = folder / "environment"
    environment_folder.symlink_to(Path(sys.prefix), target_is_directory=True)
    target = Target(store=folder / "store")
    generator.make_labels(folder / "labels", 1, 32, seed=1)
    with connect(target) as client:
        set_up(client)
        put(client, INPUT_IMAGES, {f"/{path.name}": path for path in (folder / "labels").iterdir()})
    python = environment_folder / "bin" / "python"
    command = [str(python), "-m", "cli.main", "--store", str(target.store), "--json", "run"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PACH", "PIX2PIX"))}
    done = subprocess.run(
        [*command, "preprocessing_and_generation"], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "good"
