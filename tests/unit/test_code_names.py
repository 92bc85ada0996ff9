# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Code names: from the record alone, the same for whoever reads it, and saying nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.chain import GENESIS, Event
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import TYPES, find, open_incident
from hft_incident.comms.code_names import PATTERN, WORDS, code_name


def opened(salt: str) -> list[Event]:
    return [Event(1, "2026-11-27T10:00:00.000000Z", "me", "incident.opened", {}, GENESIS, salt)]


@given(st.text(max_size=40), st.text(alphabet="0123456789abcdef", min_size=64, max_size=64))
def test_a_name_is_three_harmless_words_and_always_the_same(incident: str, salt: str) -> None:
    name = code_name(incident, opened(salt))
    assert PATTERN.fullmatch(name)
    assert name == code_name(incident, [*opened(salt), *opened("0" * 64)])
    assert all(word in words for word, words in zip(name.split("-"), WORDS, strict=True))


def test_the_words_are_as_many_as_they_are_said_to_be_and_say_nothing() -> None:
    assert [len(set(words)) for words in WORDS] == [64, 64, 64]
    told = {part for kind in TYPES for part in kind.split("_")} | {"hack", "attack", "theft", "intruder", "key"}
    assert not told & {word for words in WORDS for word in words}


def test_who_knows_the_id_does_not_know_the_name() -> None:
    names = {code_name("inc-1", opened(f"{number:064x}")) for number in range(200)}
    assert len(names) > 195
    assert len({code_name(f"inc-{number}", opened("a" * 64)) for number in range(200)}) > 195


def test_an_incident_is_found_by_its_code_name(tmp_path: Path) -> None:
    made = open_incident("security_breach", home=tmp_path)
    other = open_incident("security_breach", home=tmp_path)
    made.journal.append("communications.planned", {"code_name": "calm-heron-bay", "rows": []})
    other.journal.append("communications.planned", {"code_name": "", "rows": []})
    assert find("calm-heron-bay", tmp_path) == made
    with pytest.raises(UsageError, match="no incident 'calm-heron-cove'"):
        find("calm-heron-cove", tmp_path)
