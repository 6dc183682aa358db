"""Local names and the names that Pachyderm takes."""

from __future__ import annotations

import os
import re

from hypothesis import given
from hypothesis import strategies as st

from pachyderm.client.file_names import decode, encode

local_names = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name).map(os.fsdecode)


@given(local_names)
def test_every_local_name_comes_back(name: str) -> None:
    assert decode(encode(name)) == name


@given(local_names)
def test_an_encoded_name_is_one_that_pachyderm_takes(name: str) -> None:
    assert re.fullmatch(r"[ -~]+", encode(name))
    assert not set(encode(name)) & set("*?[]{}!()@+^")


@given(st.from_regex(r"[a-zA-Z0-9 #,&=;~$._/-]{1,30}", fullmatch=True))
def test_a_plain_name_stays_as_it_is(name: str) -> None:
    assert encode(name) == name


@given(st.from_regex(r"[ -$&-~]{0,6}%[0-9A-Fa-f]{2}[ -~]{0,6}", fullmatch=True))
def test_a_foreign_name_is_decoded_only_if_it_could_be_ours(name: str) -> None:
    assert decode(name) == name or encode(decode(name)) == name
