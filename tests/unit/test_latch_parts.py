# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The comparison of a latch's parts: never open by mistake, never agreed where something is not known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hft.incident.plugins.module_utils.latch_parts import SILENT, Part, compared

STATES = ("open", "closed", "unknown", *sorted(SILENT))


@given(st.lists(st.sampled_from(STATES), min_size=1, max_size=5))
def test_it_is_open_only_where_all_that_say_anything_say_so(states: list[str]) -> None:
    found = compared([Part(f"part {number}", state) for number, state in enumerate(states)])
    said = [state for state in states if state not in SILENT]
    assert found.state == ("open" if said and all(state == "open" for state in said) else "closed")
    assert found.agree is (said in (["open"] * len(said), ["closed"] * len(said)) and bool(said))
    assert bool(found.difference) is (not found.agree and bool(said))
    for number, state in enumerate(states):
        assert (f"part {number} is {state}" in found.difference) is (not found.agree and state not in SILENT)


def test_what_nobody_knows_is_nothing_that_all_agree_on() -> None:
    found = compared([Part("the hold file", "unknown", "a link"), Part("the API of hft-1", "unknown", "no answer")])
    assert (found.state, found.agree) == ("closed", False)
    assert found.difference == "the hold file is unknown (a link); the API of hft-1 is unknown (no answer)"
