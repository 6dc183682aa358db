"""Glob patterns: matches as in pachd, and bounded time, which pachd does not promise."""

import time

import pytest

from pachyderm.store.files.glob import matcher
from pachyderm.store.status_errors import StatusError

pytestmark = pytest.mark.embedded


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/[!a]", "/b", True),
        ("/[!a]", "/a", False),
        ("/[[:alpha:]]*", "/b1", True),
        ("/[[:alpha:]]*", "/1b", False),
        ("/[a-c]x", "/bx", True),
        ("/**.png", "/a/b.png", True),
        ("/*.png", "/a/b.png", False),
        ("/{a,b}/*", "/b/c", True),
        ("/@(a|b)", "/a", True),
        ("/+(a|b)", "/abab", True),
        ("/?(a)b", "/b", True),
        ("/!(a)", "/a", False),
        ("/!(a)", "/b", True),
        ("/a?", "/a/", False),
        ("/", "/", True),
        ("/a", "/a/", True),
    ],
)
def test_a_pattern_matches_what_pachd_matches(pattern: str, path: str, matches: bool) -> None:
    assert matcher(pattern)(path) is matches


@pytest.mark.parametrize(
    "pattern",
    ["/+(a|a)b", "/+(+(a))b", "/*(*a)b", "/**a**a**a**a**a**b", "/*a*a*a*a*a*b", "/+(a|aa)+(a|aa)b", "/!(*a*a)*(a)b"],
)
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    begin = time.process_time()
    try:
        assert not matcher(pattern)("/" + "a" * 4000)
    except StatusError as error:
        assert "too many wildcards" in error.text
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("pattern", ["/[a", "/{a,b", "/@(a", "/" + "*" * 2000])
def test_a_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(StatusError):
        matcher(pattern)
