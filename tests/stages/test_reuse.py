"""What is reused, and what a record says of the inputs: equal content, and never a quarantined commit."""

from __future__ import annotations

from stage_harness import StageHarness

from pachyderm.client.files import content, files
from pachyderm.dag.repos import CHECKPOINT, TRAINING
from pachyderm.record.fingerprints import listing_digest
from pachyderm.record.quarantine import quarantine


def test_a_quarantined_commit_is_not_reused_though_its_fingerprint_and_record_agree(harness: StageHarness) -> None:
    first = harness.put(TRAINING, {"/a.png": "A"})
    harness.fill("train", first)
    harness.put(TRAINING, {"/a.png": "B"})
    harness.fill("train")
    quarantine(harness.client, harness.output(CHECKPOINT, first), "changed by another writer")
    harness.worked.clear()
    again = harness.fill("train", harness.put(TRAINING, {"/a.png": "A"}))
    assert harness.worked == [("train", ())]
    record = harness.record(again)
    assert (record.outcome, record.reused_from) == ("computed", None)
    assert record.fingerprint == harness.record(harness.output(CHECKPOINT, first)).fingerprint


def test_the_record_holds_the_digest_of_what_each_input_holds(harness: StageHarness) -> None:
    digests = []
    for text in "ABA":
        set_id = harness.put(TRAINING, {"/a.png": text, "/pix2pix.toml": f"size={len(digests)}"})
        (source,) = harness.record(harness.fill("train", set_id)).inputs
        assert source.digest == listing_digest(content(files(harness.client, "training", set_id)))
        digests.append(source.digest)
    assert digests[0] == digests[2] != digests[1], "by content; the parameters file is recorded apart"
