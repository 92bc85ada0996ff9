# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The journal's chain as pure rules: any byte changed, moved, dropped or cut is told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.unit.journal_data import json_data

from ansible_collections.hft.incident.plugins.module_utils import chain
from ansible_collections.hft.incident.plugins.module_utils.journal import Journal, verify

AT = "2026-11-23T10:00:00.000000Z"


def chained(*data: dict[str, Any]) -> list[bytes]:
    """The lines of a journal with one event per argument."""
    lines, prev = [], chain.GENESIS
    for seq, item in enumerate(data, 1):
        kind, plain = chain.draft("test.written", item)
        event = chain.sealed(seq, AT, "me@host", kind, plain, prev)
        lines.append(chain.to_line(event))
        prev = event.hash
    return lines


journals = st.lists(json_data, min_size=1, max_size=6).map(lambda items: chained(*items))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inc" / "journal.jsonl"


@given(journals)
def test_what_was_written_is_intact_and_names_its_head(lines: list[bytes]) -> None:
    found = chain.check(b"".join(lines))
    assert (found.state, found.events, found.head_seq) == ("intact", len(lines), len(lines))
    assert found.head_hash == json.loads(lines[-1])["hash"]


@given(journals)
def test_a_line_is_the_canonical_json_of_the_contract(lines: list[bytes]) -> None:
    prev = "0" * 64
    for seq, line in enumerate(lines, 1):
        event = json.loads(line)
        claimed = event.pop("hash")
        canonical = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        assert claimed == hashlib.sha256(canonical).hexdigest()
        assert (event["seq"], event["prev"]) == (seq, prev)
        prev = claimed


@given(journals, st.data())
def test_any_changed_byte_is_detected(lines: list[bytes], draw: st.DataObject) -> None:
    whole = bytearray(b"".join(lines))
    position = draw.draw(st.integers(0, len(whole) - 1))
    replacement = draw.draw(st.integers(0, 255))
    assume(whole[position] != replacement)
    whole[position] = replacement
    assert chain.check(bytes(whole)).state != "intact"


@given(journals, st.data())
def test_any_inserted_or_dropped_byte_is_detected(lines: list[bytes], draw: st.DataObject) -> None:
    whole = b"".join(lines)
    position = draw.draw(st.integers(0, len(whole) - 1))
    inserted = whole[:position] + bytes([draw.draw(st.integers(0, 255))]) + whole[position:]
    assert chain.check(inserted).state != "intact"
    dropped = whole[:position] + whole[position + 1 :]
    assert chain.check(dropped).state != "intact"


@given(st.lists(json_data, min_size=2, max_size=6).map(lambda items: chained(*items)), st.data())
def test_a_removed_moved_repeated_or_foreign_line_is_altered(lines: list[bytes], draw: st.DataObject) -> None:
    index = draw.draw(st.integers(0, len(lines) - 2))  # the last line removed is a shorter chain: see the next test
    other = draw.draw(st.integers(0, len(lines) - 1))
    removed = lines[:index] + lines[index + 1 :]
    assert chain.check(b"".join(removed)).state == "altered"
    inserted = [*lines[:index], lines[other], *lines[index:]]
    assert chain.check(b"".join(inserted)).state == "altered"
    assume(index != other)
    swapped = list(lines)
    swapped[index], swapped[other] = swapped[other], swapped[index]
    found = chain.check(b"".join(swapped))
    assert (found.state, found.altered_seq) == ("altered", min(index, other) + 1)


@given(journals, st.data())
def test_a_cut_is_torn_and_never_claims_more_than_is_there(lines: list[bytes], draw: st.DataObject) -> None:
    whole = b"".join(lines)
    cut = draw.draw(st.integers(0, len(whole) - 1))
    found = chain.check(whole[:cut])
    kept = whole[:cut].count(b"\n")
    at_boundary = cut == 0 or whole[cut - 1 : cut] == b"\n"
    assert (found.state, found.events) == ("intact" if at_boundary else "torn", kept)
    # At a line boundary only the head tells: it is no longer the one that was there before.
    assert found.head_hash != json.loads(lines[-1])["hash"]


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (lambda line: line.replace(b'"n":2', b'"n":3'), "content does not match its hash"),
        (lambda line: line.replace(b'"n":2', b'"n": 2'), "not written the way"),
        (lambda line: b"not json\n", "not a journal line"),
        (lambda line: b"[" * 100_000 + b"\n", "not a journal line"),
        (lambda line: line.replace(b'"n":2', b'"n":"\\ud800"'), "content does not match its hash"),
        (lambda line: line.replace(b'"seq":2', b'"seq":true'), "not a journal line"),
        (lambda line: b"", "a line before it is missing"),
        (lambda line: line + line, "put in, repeated or moved"),
        (lambda line: chain.to_line(chain.sealed(2, AT, "me", "test.forged", {}, "f" * 64)), "does not continue"),
    ],
)
def test_an_alteration_is_named_with_its_event(tamper: Callable[[bytes], bytes], reason: str) -> None:
    first, second, third, fourth = chained({"n": 1}, {"n": 2}, {"n": 3}, {"n": 4})
    found = chain.check(first + tamper(second) + third + fourth)
    assert found.state == "altered"
    assert found.altered_seq in (2, 3)
    assert reason in found.reason
    assert "\n" not in found.reason


@pytest.mark.parametrize("value", [b"NaN", b"-Infinity", b"1e999"])
def test_a_figure_that_json_does_not_have_is_an_alteration_and_stops_no_reader(path: Path, value: bytes) -> None:
    Journal(path).append("a.happened", {"n": 7})
    path.write_bytes(path.read_bytes().replace(b'"n":7', b'"n":' + value))
    assert (verify(path).state, verify(path).altered_seq) == ("altered", 1)
    assert Journal(path).events() == []


def test_a_last_line_of_blocks_the_disk_never_got_is_torn() -> None:
    first, second = chained({"n": 1}, {"n": 2})
    assert chain.check(first + b"\0" * 40 + second[40:]).state == "torn"
    assert chain.check(first + b"\0" * 4096).state == "torn"
