"""Names of branches."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class BranchName:
    """A branch of a repo, written ``repo@branch``."""

    repo: str
    branch: str

    def __str__(self) -> str:
        return f"{self.repo}@{self.branch}"
