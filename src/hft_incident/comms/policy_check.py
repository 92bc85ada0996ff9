# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a communications policy, though every rule of it is well-formed: rules that contradict each other,
that decide nothing, audiences that nobody tells, and what gets later as things get worse."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from ansible_collections.hft.incident.plugins.module_utils.incident import TYPES

from .policy import SEVERITIES, STATUS_PAGE, UNTIL, Policy, Rule, cell, speaking_rules


class Finding(NamedTuple):
    """``kind``: contradiction, unreachable, missing, inverted or nowhere; ``nowhere`` is the site's to mend, and no
    fault of the rules."""

    kind: str
    where: str
    says: str


def findings(policy: Policy) -> list[Finding]:
    """Everything that is wrong, each said once; none for a policy that is whole."""
    found = [*_contradictions(policy), *_unreachable(policy), *_missing(policy), *_inverted(policy), *_nowhere(policy)]
    return list(dict.fromkeys(found))


def _cells(policy: Policy) -> Iterator[tuple[str, int, str]]:
    for incident_type in TYPES:
        for severity in SEVERITIES:
            for audience in policy.audiences:
                yield incident_type, severity, audience


def _contradictions(policy: Policy) -> Iterator[Finding]:
    """Two rules that say different times for one cell; who knows of it says so in ``yields_to``."""
    told = set()
    for incident_type, severity, audience in _cells(policy):
        speaking = [rule for rule in speaking_rules(policy, incident_type, severity, audience) if _has_time(rule)]
        for one, other in combinations(speaking, 2):
            known = other.name in one.yields_to or one.name in other.yields_to
            if _times(one) == _times(other) or known or (one.name, other.name) in told:
                continue
            told.add((one.name, other.name))
            yield Finding(
                "contradiction",
                f"{one.name}, {other.name}",
                f"say different times for the same cells ({incident_type}, SEV{severity}, {audience} is one): the "
                "strictest decides; name it in yields_to of the other",
            )


def _unreachable(policy: Policy) -> Iterator[Finding]:
    """A rule without which every cell would be as it is."""
    for rule in policy.rules:
        without = policy._replace(rules=tuple(other for other in policy.rules if other is not rule))
        cells = [(name, severity, rule.audience) for name in rule.types for severity in rule.severities]
        decides = any(_said(policy, *place) != _said(without, *place) for place in cells)
        if not decides:
            yield Finding("unreachable", rule.name, "decides nothing: other rules are as strict in all of its cells")


def _missing(policy: Policy) -> Iterator[Finding]:
    for name, audience in policy.audiences.items():
        if not any(rule.audience == name for rule in policy.rules):
            yield Finding("missing", name, "no rule speaks of them")
            continue
        for severity in audience.needed:
            untold = [kind for kind in audience.types if cell(policy, kind, severity, name) is None]
            if untold:
                of = "any type" if untold == list(audience.types) else ", ".join(untold)
                yield Finding("missing", name, f"nobody tells them of SEV{severity} of {of}")


def _inverted(policy: Policy) -> Iterator[Finding]:
    """Told later, or more seldom, of what is worse."""
    for incident_type, severity, name in _cells(policy):
        worse, better = (cell(policy, incident_type, level, name) for level in (severity, severity + 1))
        if worse and better and worse.first_s > better.first_s:
            yield Finding(
                "inverted",
                name,
                f"hear of {incident_type} at SEV{severity} after {worse.first_s:g} s, at SEV{severity + 1} after "
                f"{better.first_s:g} s",
            )


def _nowhere(policy: Policy) -> Iterator[Finding]:
    """Channels that rules name and the site does not have."""
    named = dict.fromkeys([*(name for rule in policy.rules for name in rule.channels), *policy.ladder.people])
    for name in named:
        if name == STATUS_PAGE and policy.site.status_page is None:
            yield Finding("nowhere", name, "there is no status page: describe it under status_page")
        elif name != STATUS_PAGE and name not in policy.site.channels:
            yield Finding("nowhere", name, f"leads nowhere: write `{name}: [file:…]` under channels")


def _has_time(rule: Rule) -> bool:
    return rule.first_s is not None or rule.every_s is not None


def _times(rule: Rule) -> tuple[float | None, float | None, str]:
    return rule.first_s, rule.every_s, rule.until or UNTIL[-1]


def _said(policy: Policy, incident_type: str, severity: int, audience: str) -> object:
    """A cell without the names of its rules."""
    found = cell(policy, incident_type, severity, audience)
    return found and found._replace(rules=())
