"""The folder of an attempt goes with the attempt, or with the next one after a kill."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from pachyderm.attempt_folder import attempt_folder


def test_an_attempts_folder_is_removed_with_it(tmp_path: Path) -> None:
    with attempt_folder(tmp_path, "train") as folder:
        (folder / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_the_folders_of_killed_attempts_are_removed_by_the_next_one_and_those_in_use_are_not(tmp_path: Path) -> None:
    (tmp_path / "keep" / "unfinished").mkdir(parents=True)
    for _ in range(3):
        child = os.fork()
        if child == 0:
            with attempt_folder(tmp_path, "train") as folder:
                (folder / "large").mkdir()
                (folder / "large" / "file").write_text("x")
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        assert len(list(tmp_path.glob("attempt-*"))) == 1
    with attempt_folder(tmp_path, "train") as first, attempt_folder(tmp_path, "export") as second:
        assert sorted(tmp_path.glob("attempt-*")) == sorted([first, second])
    assert [path.name for path in tmp_path.iterdir()] == ["keep"]
