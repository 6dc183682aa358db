"""Local file names are encoded as names that Pachyderm accepts, and decoded exactly."""

from __future__ import annotations

import os
import re

from hypothesis import given
from hypothesis import strategies as st

from pachyderm.client.file_names import decode, encode

local_names = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name).map(os.fsdecode)


@given(local_names)
def test_every_local_name_survives_the_round_trip(name: str) -> None:
    assert decode(encode(name)) == name


@given(local_names)
def test_an_encoded_name_is_accepted_by_pachyderm(name: str) -> None:
    assert re.fullmatch(r"[ -~]+", encode(name))
    assert not set(encode(name)) & set("*?[]{}!()@+^")


@given(st.from_regex(r"[a-zA-Z0-9 #,&=;~$._/-]{1,30}", fullmatch=True))
def test_a_plain_name_is_unchanged(name: str) -> None:
    assert encode(name) == name


@given(st.from_regex(r"[ -$&-~]{0,6}%[0-9A-Fa-f]{2}[ -~]{0,6}", fullmatch=True))
def test_a_foreign_name_is_decoded_only_if_encode_could_have_made_it(name: str) -> None:
    assert decode(name) == name or encode(decode(name)) == name
