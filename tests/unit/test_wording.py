# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a notice says: harmless, bounded, and never a template out of the record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hft_incident.comms.policy_reading import shipped
from hft_incident.comms.wording import (
    EXAMPLE,
    SUBJECT_LIMIT,
    TEXT_LIMIT,
    VALUE_LIMIT,
    BadWordingError,
    Trusted,
    compiled,
    filled,
    harmless,
)

HOSTILE = [
    "{{ 7 * 7 }} {% raw %}",
    "<!channel> <https://evil.example|click> <script>alert(1)</script>",
    "@everyone @here `rm -rf` *bold* [text](https://evil.example)",
    "first\r\nBcc: all@firm.example\r\n\r\nbody",
    "\x1b[31m\x07\x00 \u202e reversed",
    "x" * 1_000_000,
]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_are_one_harmless_line(value: str) -> None:
    line = harmless(value)
    assert len(line) <= VALUE_LIMIT
    assert line.isprintable()
    assert not set(line) & set("<>@`|\\*")
    assert "://" not in line


@given(st.text())
def test_any_value_is_one_harmless_line(value: str) -> None:
    line = harmless(value)
    assert len(line) <= VALUE_LIMIT
    assert line.isprintable()
    assert not set(line) & set("<>@`|\\*")
    assert "://" not in line


@pytest.mark.parametrize("name", sorted(shipped().wording))
@pytest.mark.parametrize("value", HOSTILE)
def test_every_wording_stays_bounded_and_keeps_templates_as_text(name: str, value: str) -> None:
    subject, text = filled(shipped().wording[name], dict.fromkeys(EXAMPLE, value))
    assert len(subject) <= SUBJECT_LIMIT
    assert len(text) <= TEXT_LIMIT
    assert "\n" not in subject
    assert "49" not in subject + text


@pytest.mark.parametrize("name", sorted(shipped().wording))
def test_every_wording_says_something(name: str) -> None:
    subject, text = filled(shipped().wording[name], EXAMPLE)
    assert subject
    assert text
    assert "  " not in subject


def test_an_address_of_the_site_stays_one() -> None:
    wording = compiled("{{ title }}", "{{ war_room }}")
    _, text = filled(wording, {**EXAMPLE, "war_room": Trusted("#inc-1, call: https://zoom.us/j/1")})
    assert text == "#inc-1, call: https://zoom.us/j/1"


@pytest.mark.parametrize(
    "template",
    ["{{ nothing }}", "{{ title", "{% include 'x' %}", "{{ title.__class__ }}", "{{ ''.__class__.__mro__[1] }}"],
)
def test_a_template_that_cannot_be_filled_is_refused(template: str) -> None:
    with pytest.raises(BadWordingError):
        compiled("subject", template)
