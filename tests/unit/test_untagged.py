# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A task's arguments as plain values, before the validator copies all of them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hft.incident.plugins.plugin_utils.door import untagged


class Tagged(str):
    """As Ansible's own: equal to its text, and of another type."""


def types(value: Any) -> Any:
    """Of every value that there is in it."""
    if isinstance(value, dict):
        return [types(part) for item in value.items() for part in item]
    return [types(item) for item in value] if isinstance(value, list) else type(value)


def test_what_ansible_has_tagged_is_plain_and_the_same() -> None:
    tagged = {Tagged("systems"): [{"name": Tagged("hft-1")}]}
    assert types(tagged) != types({"systems": [{"name": "hft-1"}]})
    assert untagged(tagged) == tagged
    assert types(untagged(tagged)) == types({"systems": [{"name": "hft-1"}]})


@pytest.mark.parametrize("value", ["", "text", 0, 1, 1.5, True, False, None, [], {}, {"a": [1, {"b": None}]}])
def test_what_is_plain_stays_as_it_is(value: Any) -> None:
    assert untagged(value) == value
    assert types(untagged(value)) == types(value)


def test_what_it_does_not_know_is_left_alone() -> None:
    thing = object()
    assert untagged({"thing": thing})["thing"] is thing
