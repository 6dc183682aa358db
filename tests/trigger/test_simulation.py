"""The simulation of long histories runs, and what a commit costs the trigger does not depend on what came before."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import simulation


def test_a_commit_costs_the_trigger_the_same_after_any_history() -> None:
    short, long = (simulation.history(finished, 2, "latest") for finished in (9, 300))
    assert short["requests_per_commit"] == long["requests_per_commit"]
    assert short["newest"] == long["newest"] == "good"
    assert (long["metadata_keys_worst"], long["failed"]) == (short["metadata_keys_worst"], 0)


def test_the_requests_of_a_poll_do_not_grow_with_the_open_commit_sets() -> None:
    few, many = (simulation.backlog(open_sets, "latest") for open_sets in (2, 12))
    assert many["next_snapshot_requests"] - few["next_snapshot_requests"] <= 4, "one more page a branch"
    assert many["actions"] == 12


def test_the_plan_of_one_changed_picture_computes_one_picture() -> None:
    figures = simulation.pictures(500)
    assert (figures["computed"], figures["carried"]) == (1, 499)


def test_a_commit_of_many_shards_becomes_good_though_some_fail() -> None:
    figures = simulation.shards(20, failing=0.4)
    assert (figures["ended"], figures["attempts"]) == ("good", 5)
    assert 20 < figures["shards_computed"] < 60, "what the others computed is kept"
