# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Who is told what, when and how: the policy as data, and the cell of its table that a type, a severity and an audience
come to. Source: runbook sections 2 to 6 and 11, seed-faults E6 to E8, A10.

Pure rules; ``policy_reading`` makes a policy out of files. Of the rules that speak about one cell the strictest
decides, field by field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .wording import Wording

SEVERITIES = (1, 2, 3, 4)
#: How long a rule may go on, and what it may tell as soon as it is so; the later, the stricter.
UNTIL = ("contained", "restored", "resolved")
TURNS = ("contained", "restored")
STATUS_PAGE = "status_page"  #: the one channel that is no apprise URL


class Audience(NamedTuple):
    """``needed``: the severities at which somebody has to be told, in incidents of these ``types``."""

    name: str
    needed: tuple[int, ...]
    types: tuple[str, ...]
    public: bool


class Rule(NamedTuple):
    """Times in seconds from the opening; ``first_s`` None: it does not say when, only how."""

    name: str
    audience: str
    types: tuple[str, ...]
    severities: tuple[int, ...]
    first_s: float | None
    every_s: float | None
    until: str | None
    at_once: tuple[str, ...]
    gate: str | None
    channels: tuple[str, ...]
    wording: str
    yields_to: tuple[str, ...]


class Row(NamedTuple):
    """One cell of the table: what ``rules`` together come to for one severity and audience of one type."""

    severity: int
    audience: str
    first_s: float
    every_s: float | None
    until: str
    at_once: tuple[str, ...]
    channels: tuple[str, ...]
    wording: str
    gate: str | None
    rules: tuple[str, ...]


class Discreet(NamedTuple):
    """Types that are spoken of with care: their wording, and the gate before anything public."""

    types: tuple[str, ...]
    wording: str
    gate: str


class Ladder(NamedTuple):
    """Nobody of ``audience`` says that they have it: these channels are paged one after the other."""

    audience: str
    severities: tuple[int, ...]
    people: tuple[str, ...]


class Slack(NamedTuple):
    """``token`` is a reference; ``invite``: ids of users."""

    token: str
    invite: tuple[str, ...]


class Zoom(NamedTuple):
    """A server-to-server app; ``client_secret`` is a reference."""

    account_id: str
    client_id: str
    client_secret: str


class WarRoom(NamedTuple):
    """Opened for this severity or worse, and for what lasts longer than ``after_s``. ``bridge``: how to join a fixed
    telephone bridge, where there is no Zoom or it does not answer."""

    severity: int
    after_s: float
    slack: Slack | None
    zoom: Zoom | None
    bridge: str | None


class StatusPage(NamedTuple):
    """``api_key`` is a reference; ``components``: ids on the page that an incident concerns."""

    page_id: str
    api_key: str
    base_url: str
    components: tuple[str, ...]


class Site(NamedTuple):
    """Where messages go from here: URLs by channel, each a reference; ``proxy`` and ``ca_file`` of the way out."""

    channels: Mapping[str, tuple[str, ...]]
    status_page: StatusPage | None
    proxy: str | None
    ca_file: str | None
    allowed_signers: str | None


class Policy(NamedTuple):
    """``sources``: the files it comes from, the later over the earlier."""

    time_scale: float
    late_after_s: float
    unjudged_for_s: float
    exposure_every_s: float
    audiences: Mapping[str, Audience]
    rules: tuple[Rule, ...]
    discreet: Discreet
    ladder: Ladder
    gates: Mapping[str, Any]
    war_room: WarRoom
    wording: Mapping[str, Wording]
    site: Site
    sources: tuple[str, ...] = ()


# The table ------------------------------------------------------------------------------------------------------------


def rows(policy: Policy, incident_type: str) -> list[Row]:
    """Every cell of a type that somebody is told in, the worst severity first."""
    cells = ((severity, name) for severity in SEVERITIES for name in policy.audiences)
    found = (cell(policy, incident_type, severity, name) for severity, name in cells)
    return [row for row in found if row is not None]


def cell(policy: Policy, incident_type: str, severity: int, audience: str) -> Row | None:
    """What the rules together say, the strictest of each; None where they tell nobody."""
    speaking = speaking_rules(policy, incident_type, severity, audience)
    timed = sorted((rule for rule in speaking if rule.first_s is not None), key=lambda rule: rule.first_s or 0.0)
    if not timed:
        return None
    discreet = incident_type in policy.discreet.types
    public = policy.audiences[audience].public
    gates = [rule.gate for rule in speaking if rule.gate]
    intervals = [rule.every_s for rule in speaking if rule.every_s is not None]
    ends = [rule.until or UNTIL[-1] for rule in timed]
    return Row(
        severity,
        audience,
        first_s=timed[0].first_s or 0.0,
        every_s=min(intervals, default=None),
        until=max(ends, key=UNTIL.index),
        at_once=tuple(turn for turn in TURNS if any(turn in rule.at_once for rule in speaking)),
        channels=tuple(dict.fromkeys(name for rule in speaking for name in rule.channels)),
        wording=policy.discreet.wording if discreet and not public else timed[0].wording,
        gate=policy.discreet.gate if discreet and public else next(iter(gates), None),
        rules=tuple(rule.name for rule in speaking),
    )


def speaking_rules(policy: Policy, incident_type: str, severity: int, audience: str) -> list[Rule]:
    """The rules of one cell."""
    return [
        rule
        for rule in policy.rules
        if rule.audience == audience and severity in rule.severities and incident_type in rule.types
    ]
