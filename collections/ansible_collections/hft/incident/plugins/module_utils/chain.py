# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The hash chain of the journal: pure rules, no input or output.

Source: contracts.md, "The journal". A line is the canonical JSON (sorted keys, no spaces, UTF-8) of one event and a
newline; its ``hash`` is SHA-256 over the same JSON without ``hash``; its ``prev`` is the hash of the line before.

What the chain shows: any change of a byte, any line removed from the middle, moved or put in, and a line that a crash
left half written. What it cannot show by itself: lines cut off the *end* at a line boundary, or a file rewritten as a
whole, since a shorter chain is a chain too. Compare the head (``head_seq``, ``head_hash``) with a copy kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from .redaction import recordable

GENESIS = "0" * 64
TORN_LINE = "journal.torn_line"
ALTERATION_FOUND = "journal.alteration_found"

_KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_HASH = re.compile(r"[0-9a-f]{64}")


class Event(NamedTuple):
    """One line of the journal; ``at`` is UTC with microseconds and ``Z``."""

    seq: int
    at: str
    actor: str
    kind: str
    data: Mapping[str, Any]
    prev: str
    hash: str


class Verification(NamedTuple):
    """What checking a journal found.

    ``events`` good ones come before the first fault and end in the head; ``altered_seq`` is the line that is wrong.
    """

    state: Literal["intact", "torn", "altered"]
    events: int
    head_seq: int
    head_hash: str
    altered_seq: int | None
    reason: str


class Tail(NamedTuple):
    """The end of a journal: the last complete line (empty if none), where it ends, and what a crash left after it."""

    last: bytes
    end: int
    torn: bytes


class Link(NamedTuple):
    """Where the next line goes (``seq`` 0: only counting lines tells) and what is wrong with the last one, if any."""

    seq: int
    prev: str
    fault: str | None


def draft(kind: str, data: Mapping[str, Any]) -> tuple[str, Any]:
    """``kind`` and ``data`` as plain JSON without secrets; TypeError or ValueError where that cannot be."""
    if not _KIND.fullmatch(kind):
        raise ValueError(f"not an event kind (dotted, past tense): {kind!r}")
    if not isinstance(data, Mapping):
        raise TypeError(f"{kind}: data must be an object, not {type(data).__name__}")
    return kind, recordable(data)


def sealed(seq: int, at: str, actor: str, kind: str, data: Mapping[str, Any], prev: str) -> Event:
    """The event with its hash; ``data`` as ``draft`` returned it."""
    body = {"seq": seq, "at": at, "actor": actor, "kind": kind, "data": data, "prev": prev}
    return Event(seq, at, actor, kind, data, prev, hashlib.sha256(_canonical(body)).hexdigest())


def to_line(event: Event) -> bytes:
    return _canonical(event._asdict()) + b"\n"


def read_line(line: bytes) -> tuple[Event | None, str | None]:
    """The event a line holds, if any, and what is wrong with the line taken by itself, if anything."""
    event = _parsed(line)
    if event is None:
        return None, "it is not a journal line"
    try:
        found = sealed(*event[:-1]).hash
    except (ValueError, RecursionError):  # what only an altered line can hold: NaN, infinity, nesting without end
        return None, "it is not a journal line"
    if found != event.hash:
        return event, "its content does not match its hash"
    # The hash covers the meaning; white space, key order and escapes are covered by there being one way to write it.
    return event, None if to_line(event) == line else "it is not written the way the journal writes"


def split_tail(data: bytes) -> Tail:
    """The end of ``data``, which starts at a line boundary or holds at least the whole of the last complete line.

    Torn is what a crash leaves: bytes without a newline (a write cut short), or a last line with NUL bytes in it
    (blocks the disk never got). A last line that is complete but wrong was altered, which is another matter.
    """
    end = data.rfind(b"\n") + 1
    start = end
    while end:
        start = data.rfind(b"\n", 0, end - 1) + 1
        if b"\0" not in data[start:end]:
            break
        end = start
    return Tail(data[start:end], end, data[end:])


def next_link(last: bytes) -> Link:
    """How the next event continues the chain.

    After an altered line the new event is not lost: it continues from what the line says of itself, so that putting
    the original line back (from a copy) makes the chain whole again; a line that says nothing is hashed as it stands.
    """
    if not last:
        return Link(1, GENESIS, None)
    event, fault = read_line(last)
    if event is None:
        return Link(0, hashlib.sha256(last).hexdigest(), fault)
    prev = event.hash if _HASH.fullmatch(event.hash) else hashlib.sha256(last).hexdigest()
    return Link(event.seq + 1, prev, fault)


def check(data: bytes) -> Verification:
    """Whether ``data``, a whole journal, is as it was written; stops at the first fault."""
    tail = split_tail(data)
    head_seq, head_hash, set_aside = 0, GENESIS, 0
    for line in lines(data[: tail.end]):
        event, problem = read_line(line)
        seq = head_seq + 1
        if event is None or problem or (problem := _misplaced(event, seq, head_hash)):
            return Verification("altered", head_seq, head_seq, head_hash, seq, f"altered at event {seq}: {problem}")
        head_seq, head_hash = seq, event.hash
        set_aside += event.kind == TORN_LINE
    aside = f" ({set_aside} torn line(s) set aside after a crash)" if set_aside else ""
    if tail.torn:
        reason = f"torn after event {head_seq}: a crash left {len(tail.torn)} bytes of an unfinished line"
        return Verification("torn", head_seq, head_seq, head_hash, None, reason + aside)
    return Verification("intact", head_seq, head_seq, head_hash, None, f"intact: {head_seq} events{aside}")


def lines(data: bytes) -> list[bytes]:
    """Complete lines with their newline; unlike ``splitlines`` a carriage return does not end one."""
    return [line + b"\n" for line in data.split(b"\n")[:-1]]


def is_number(found: Any) -> bool:
    """Whether JSON's value is a whole number; ``true`` is none, though Python counts it as one."""
    return isinstance(found, int) and not isinstance(found, bool)


def _parsed(line: bytes) -> Event | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or set(found) != set(Event._fields):
        return None
    event = Event(**found)
    if not is_number(event.seq) or event.seq < 1 or not isinstance(event.data, dict):
        return None
    texts = (event.at, event.actor, event.kind, event.prev, event.hash)
    return event if all(isinstance(text, str) for text in texts) else None


def _misplaced(event: Event, seq: int, prev: str) -> str | None:
    if event.seq > seq:
        return f"it says it is event {event.seq}, so a line before it is missing or was moved"
    if event.seq < seq:
        return f"it says it is event {event.seq}, so a line was put in, repeated or moved"
    return None if event.prev == prev else "it does not continue the line before it"


def _canonical(body: Mapping[str, Any]) -> bytes:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # An altered line can hold a lone surrogate escape; it has to be reported, not to stop the check.
    return text.encode("utf-8", "surrogatepass")
