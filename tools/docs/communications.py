# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Who is told what and when: every cell of the policy as it is shipped, types that are told alike in one row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ansible_collections.hft.incident.plugins.module_utils.incident import TYPES
from hft_incident.comms.policy import SEVERITIES, Policy, Row, rows
from hft_incident.comms.policy_reading import FILES, shipped

from .text import NOTHING, Pages, code, codes, page, plain, read, span, table, words


def pages() -> Pages:
    policy = shipped()
    audiences = read(Path(FILES.shipped))[FILES.key]["audiences"]
    told = [
        [words(name), "yes" if audience.public else "", plain(audiences[name]["help"])]
        for name, audience in policy.audiences.items()
    ]
    channels = dict.fromkeys([*(name for rule in policy.rules for name in rule.channels), *policy.ladder.people])
    ladder = policy.ladder
    return {
        "communications.md": page(
            "Communications",
            "Nobody has to remember to tell anybody. What is due is derived from the record; a process of its own "
            "tells it beside the response and through every hold. `hft-incident comms --table` shows the table as it "
            "is at your site, `--check` what contradicts itself or leads nowhere.",
            "Of all rules that speak about a type, a severity and an audience the strictest decides, field by field. "
            "Write your channels and changes into `group_vars/all/communications.yml` of the inventory, under "
            "`hft_communications`: what is named there replaces what is named here, `null` takes a rule away, all "
            "else stays.",
            "## Who is told what, and when",
            f"Times count from the opening of the incident. What comes more than {span(policy.late_after_s)} late is "
            "late on the report. *Until*: nothing more is told when it is contained, trades again (restored) or is "
            "resolved. *At once*: told as soon as it is so, whatever the rhythm.",
            *(part for severity in SEVERITIES for part in _severity(policy, severity)),
            "## Nobody answers",
            f"At {' and '.join(f'SEV{one}' for one in ladder.severities)}, until somebody has said `hft-incident ack "
            f"INC`: {words(ladder.audience)} first, then {' and then '.join(map(code, ladder.people))}, one "
            "[response time](severity.md#by-type-of-incident) apart.",
            "## The war room",
            f"Opened at SEV{policy.war_room.severity} or worse at once, and for what lasts longer than "
            f"{span(policy.war_room.after_s)}: a Slack channel named like the incident and a call. Of a breach it is "
            "private. Without Slack there is still the call, without Zoom the telephone bridge.",
            "## Spoken of with care",
            f"{', '.join(words(name) for name in policy.discreet.types)}: the messages give nothing away, and nothing "
            f"becomes public before the gate {code(policy.discreet.gate)} is passed "
            f"({_gate(policy, policy.discreet.gate)}).",
            "## Audiences",
            table(["Audience", "Public", "Who"], told),
            "## Channels to fill",
            "Each is an apprise URL behind a reference (`file:`, `env:`, `cmd:`), since such a URL holds its password. "
            "What is meant for a channel that leads nowhere is told to nobody, and the report says so.",
            codes(channels),
        )
    }


def _gate(policy: Policy, name: str) -> str:
    asks = policy.gates[name]
    return f"{asks['people']} of {', '.join(asks['groups'])}; the approval is good for {span(asks['valid_for_s'])}"


def _severity(policy: Policy, severity: int) -> Iterator[str]:
    alike: dict[Row, list[str]] = {}
    for name in TYPES:
        for row in rows(policy, name):
            if row.severity == severity:
                alike.setdefault(row._replace(rules=(), wording=""), []).append(name)
    order = list(policy.audiences)
    cells = [
        [f"**{words(row.audience)}**", _types(types), span(row.first_s), span(row.every_s),
         row.until if row.every_s or row.first_s else NOTHING, ", ".join(row.at_once) or NOTHING, codes(row.channels),
         code(row.gate or "") or NOTHING]
        for row, types in sorted(alike.items(), key=lambda item: (order.index(item[0].audience), -len(item[1])))
    ]  # fmt: skip
    if cells:
        yield f"### SEV{severity}"
        yield table(["Audience", "Of", "First", "Then every", "Until", "At once", "Channels", "Gate"], cells)


def _types(told: Sequence[str]) -> str:
    """In the shorter of its two ways."""
    others = [words(name) for name in TYPES if name not in told]
    if not others:
        return "all"
    return f"all but {', '.join(others)}" if len(others) < len(told) else ", ".join(map(words, told))
