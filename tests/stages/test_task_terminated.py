"""SIGTERM to a task saves the unfinished work and gives the claim back, for the next attempt on another machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from own_target import project_at, set_up_at
from PIL import Image
from served import absentable

from pachyderm.client.commits import head, inspect
from pachyderm.client.files import files
from pachyderm.client.upload import put
from pachyderm.dag.repos import CHECKPOINT, TRAINING
from pachyderm.output.work_in_progress import UNFINISHED
from pachyderm.queue.claims import working_claim

PROGRAM = Path(__file__).with_name("terminated_task.py")
PARAMETERS = """
[train]
size = 32
scale_size = 36
ngf = 4
ndf = 4
discriminator_layers = 2
max_steps = 100000
save_seconds = 0
save_steps = 1
"""


def test_sigterm_saves_the_work_and_gives_the_claim_back(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    for number in range(2):
        Image.new("RGB", (64, 32), (90 * number, 90, 200)).save(pairs / f"{number}.png")
    (pairs / "pix2pix.toml").write_text(PARAMETERS)
    with (
        absentable(tmp_path / "store") as server,
        set_up_at(project_at(f"grpc://{server.address}", tmp_path)) as client,
    ):
        commit_set = put(client, TRAINING, {f"/{path.name}": path for path in pairs.iterdir()}).commit
        assert commit_set is not None
        location = {"PACHD_ADDRESS": f"grpc://{server.address}", "PACH_PROJECT": client.project}
        environment = {**os.environ, **location, "TMPDIR": str(tmp_path)}
        environment.pop("PIX2PIX_SCRATCH", None)
        command = [sys.executable, str(PROGRAM), commit_set, str(tmp_path / "report.html")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            step = 0
            for line in process.stdout:
                step = int(line.removeprefix("step "))
                if step == 3:
                    process.send_signal(signal.SIGTERM)
        assert process.returncode == 143
        assert step >= 3
        commit = inspect(client, CHECKPOINT.repo, commit_set)
        assert commit.state == "open"
        assert working_claim(commit.metadata) is None, "the claim was given back"
        saved = head(client, UNFINISHED)
        assert any("state" in path for path in files(client, saved.repo, saved.id)), "the state was saved"
