"""Random inputs for parsers: valid ones with hostile values, and bytes that were mutated."""

from __future__ import annotations

import json
from random import Random
from typing import Any

DEEP = "[" * 20_000 + "]" * 20_000
NESTED = "[" * 900 + "]" * 900
DIGITS = "9" * 4_500

HOSTILE_JSON = (
    "null",
    "true",
    "-1",
    "0.5",
    "1e999",
    "-0",
    "Infinity",
    "-Infinity",
    "NaN",
    DIGITS,
    "18446744073709551616",
    "1e308",
    "253402300800",
    '"²"',
    '"٣"',
    f'"{DIGITS}"',
    '"\\ud800"',
    '"\\u0000"',
    '"\\u001b[2J\\u202e"',
    '""',
    '"../../etc"',
    '"0001-01-01"',
    "[]",
    "{}",
    "[[]]",
    '{"": {}}',
    NESTED,
    DEEP,
    '{"a":' * 900 + "1" + "}" * 900,
)
"""Values that a careless reader fails on: of other types, out of range, too long, too deep, or not JSON at all."""

TOKENS = (
    *(value.encode() for value in HOSTILE_JSON),
    b"\xff\xfe",
    b"\x00",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\x1b]0;",
    "\u202e²٣\u2028".encode(),
    b"^" * 50,
    f"^{DIGITS}".encode(),
    f".{DIGITS}".encode(),
    b"~" * 5,
    b"%00%2F%",
    b"..",
    b"/",
    b"\r\n",
    b"=",
    b"[x]\n",
    b"a = " + NESTED.encode() + b"\n",
    b"{a,b}" * 10,
    b"*" * 20,
    b"[^]",
    b"&a [*a, *a]",
    b"!!python/object:os.system",
)
"""Pieces that are inserted into valid inputs."""


def structured(random: Random, seed: bytes) -> bytes:
    """Return a JSON text with hostile values, keys that are gone or new; a text in lines with lines of that kind."""
    try:
        document = json.loads(seed)
    except ValueError:
        return _lines(random, seed)
    holes: dict[str, str] = {}
    for _ in range(random.randint(1, 3)):
        document = _damage(random, document, holes)
    text = json.dumps(document)
    for hole, value in holes.items():
        text = text.replace(f'"{hole}"', value)
    return text.encode("utf-8", "surrogatepass")


def _damage(random: Random, document: Any, holes: dict[str, str]) -> Any:
    """Replace, remove or add one value somewhere in a document; `holes` maps a placeholder to the text to put there."""
    hole = f"HOLE{len(holes)}"
    entries: list[Any] = []
    if isinstance(document, dict | list):
        entries = list(document if isinstance(document, dict) else range(len(document)))
    if not entries or random.random() < 0.15:
        holes[hole] = random.choice(HOSTILE_JSON)
        return hole
    key = random.choice(entries)
    action = random.random()
    if action < 0.1 and isinstance(document, dict):
        return {name: value for name, value in document.items() if name != key}
    if action < 0.2 and isinstance(document, dict):
        holes[hole] = random.choice(HOSTILE_JSON)
        return {**document, random.choice((f"{key}²", f"run.{DIGITS[:40]}", "", "\x1b[2J")): hole}
    changed = _damage(random, document[key], holes)
    if isinstance(document, dict):
        return {**document, key: changed}
    return [changed if number == key else value for number, value in enumerate(document)]


def _lines(random: Random, seed: bytes) -> bytes:
    lines = seed.splitlines() or [b""]
    for _ in range(random.randint(1, 3)):
        number = random.randrange(len(lines))
        name, equals, _ = lines[number].partition(b"=")
        value = random.choice(HOSTILE_JSON).encode()
        lines[number] = random.choice((name + (equals or b"") + value, value, lines[number] * 2, b"", name))
        lines.insert(random.randrange(len(lines) + 1), random.choice(lines))
    return b"\n".join(lines)


def mutated(random: Random, seeds: list[bytes]) -> bytes:
    """Return bytes made from valid inputs: flipped, cut, joined, and with pieces inserted; or random altogether."""
    if random.random() < 0.05:
        return random.randbytes(random.randint(0, 64))
    data = bytearray(random.choice(seeds))
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(data))
        match random.randrange(5):
            case 0:
                data[at : at + 1] = random.randbytes(1)
            case 1:
                data[at:at] = random.choice(TOKENS)
            case 2:
                del data[at : at + random.randint(1, 16)]
            case 3:
                del data[at:]
            case 4:
                other = random.choice(seeds)
                data[at:] = other[random.randint(0, len(other)) :]
    return bytes(data[:200_000])


def inputs(seed: int, count: int, seeds: list[bytes]) -> Any:
    """Yield inputs; equal arguments give equal inputs."""
    random = Random(seed)
    yield from seeds
    for number in range(count):
        yield structured(random, random.choice(seeds)) if number % 2 else mutated(random, seeds)
