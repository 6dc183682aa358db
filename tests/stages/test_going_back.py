"""Ways back: roll back a model, revert data; and forward again."""

from __future__ import annotations

import pytest
from stage_harness import House

from pachyderm.dag.promotion import promote, promotions, rollback
from pachyderm.dag.repos import CHECKPOINT, GENERATE_IMAGES, INPUT_IMAGES, MODEL, TRAINING
from pachyderm.dag.revert import revert
from pachyderm.errors import RequestError


def trained(house: House, text: str) -> str:
    set_id = house.put(TRAINING, {"/a.png": text})
    house.run("train", "export", commit_set=set_id)
    house.run("generate")
    return set_id


def test_rollback_goes_one_further_back_at_each_call_and_promotion_begins_anew(house: House) -> None:
    one, two, three = (trained(house, text) for text in "ABC")
    assert house.head(MODEL).id == three
    assert rollback(house.client, None, 10.0**10).after == two
    assert rollback(house.client, None, 10.0**10 + 1).after == one
    with pytest.raises(RequestError, match="no model was promoted before"):
        rollback(house.client, None, 10.0**10 + 2)
    four = trained(house, "D")
    assert house.head(MODEL).id == four
    assert rollback(house.client, None, 10.0**10 + 3).after == three


def test_a_model_promoted_again_by_hand_stands_after_the_others(house: House) -> None:
    one, two = (trained(house, text) for text in "AB")
    assert promote(house.client, one, 10.0**10).before == two
    assert [promotion.commit for promotion in promotions(house.client)] == [one, two, one]
    assert rollback(house.client, None, 10.0**10 + 1).after == two
    assert rollback(house.client, None, 10.0**10 + 2).after == one
    with pytest.raises(RequestError, match="no model was promoted before"):
        rollback(house.client, None, 10.0**10 + 3)


def test_rolling_back_brings_the_earlier_pictures_back_without_making_them(house: House) -> None:
    trained(house, "A")
    house.put(INPUT_IMAGES, {"/a.jpg": "1"})
    house.run("resize", "generate")
    first = house.content(house.head(GENERATE_IMAGES))
    trained(house, "B")
    house.worked.clear()
    rollback(house.client, None, 10.0**10)
    house.run("generate")
    assert house.worked == []
    assert house.content(house.head(GENERATE_IMAGES)) == first
    assert house.record(house.head(GENERATE_IMAGES)).outcome == "reused"


def test_promoting_what_is_in_use_opens_nothing(house: House) -> None:
    one = trained(house, "A")
    before = house.head(GENERATE_IMAGES).id
    move = promote(house.client, None, 10.0**10)
    assert (move.before, move.after) == (one, one)
    assert house.head(GENERATE_IMAGES).id == before


def test_open_failed_and_empty_models_are_not_promoted(house: House) -> None:
    empty = house.head(MODEL).id
    trained(house, "A")
    opened = house.put(TRAINING, {"/a.png": "B"})
    with pytest.raises(RequestError, match="it is open"):
        promote(house.client, opened, 1.0)
    with pytest.raises(RequestError, match="holds no model"):
        promote(house.client, empty, 1.0)
    with pytest.raises(RequestError, match="never promoted"):
        rollback(house.client, opened, 1.0)


def test_a_promotion_that_was_begun_and_not_made_is_no_promotion(house: House) -> None:
    one = trained(house, "A")
    house.client.edit_keys("model", one, add={"promoted." + "b" * 32: '{"time": 1e11, "from": ""}'})
    assert len(promotions(house.client)) == 1


def test_reverting_data_computes_nothing_and_keeps_the_later_commit(house: House) -> None:
    one = trained(house, "A")
    two = trained(house, "B")
    house.worked.clear()
    done = revert(house.client, house.output(TRAINING, one))
    assert (done.before, done.after) == (two, one)
    house.run("train", "export")
    assert house.worked == []
    assert house.content(house.head(CHECKPOINT)) == house.content(house.output(CHECKPOINT, one))
    assert house.head(MODEL).id == done.commit_set
    assert revert(house.client, house.output(TRAINING, one)).commit_set is None
    assert house.output(TRAINING, two).state == "good"


def test_only_inputs_are_reverted(house: House) -> None:
    one = trained(house, "A")
    with pytest.raises(RequestError, match="rollback"):
        revert(house.client, house.output(CHECKPOINT, one))


def test_a_roll_back_that_cannot_be_read_does_not_stand_in_the_way(house: House) -> None:
    one, two = (trained(house, text) for text in "AB")
    house.client.edit_keys("model", two, put={"rolledback." + "b" * 32: "{"})
    assert rollback(house.client, None, 10.0**10).after == one


def test_an_input_is_not_reverted_while_its_newest_commit_is_open(house: House) -> None:
    one = trained(house, "A")
    trained(house, "B")
    opened = house.client.pfs.start_commit(branch=house.client.branch(TRAINING)).id
    with pytest.raises(RequestError, match=f"{opened} is still open"):
        revert(house.client, house.output(TRAINING, one))
    house.client.pfs.finish_commit(commit=house.client.commit(TRAINING.repo, opened))
    assert revert(house.client, house.output(TRAINING, one)).after == one
