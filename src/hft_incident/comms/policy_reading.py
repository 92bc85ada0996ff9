# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Communications policies out of files: the shipped one (``playbooks/vars/communications.yml``, which explains what
stands in it), over it what a site changes. What makes no sense is refused in one line that says where and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ansible_collections.hft.incident.plugins.module_utils.approvals import policy_of
from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError
from ansible_collections.hft.incident.plugins.module_utils.incident import TYPES
from ansible_collections.hft.incident.plugins.module_utils.policy_files import PolicyFile
from ansible_collections.hft.incident.plugins.module_utils.secret_ref import is_reference

from .policy import (
    SEVERITIES,
    STATUS_PAGE,
    TURNS,
    UNTIL,
    Audience,
    Discreet,
    Ladder,
    Policy,
    Rule,
    Site,
    Slack,
    StatusPage,
    WarRoom,
    Zoom,
)
from .wording import BadWordingError, Wording, compiled

FILES = PolicyFile("hft_communications", "communications.yml", "HFT_INCIDENT_COMMUNICATIONS")
T = TypeVar("T")


class BadPolicyError(ValueError):
    """One line: where in the data, and what is wrong there."""


def load(inventory: Sequence[str] = ()) -> Policy:
    """The shipped policy with what the site changes: the file that ``$HFT_INCIDENT_COMMUNICATIONS`` names, else
    ``group_vars/all/communications.yml`` of the first inventory that has one.

    Raises UsageError with one line that names the file and the fault.
    """
    base = FILES.read(FILES.shipped)
    site = FILES.site(inventory)
    try:
        data = base if site is None else merged(base, FILES.read(site))
        return parse(data, (FILES.shipped,) if site is None else (FILES.shipped, site))
    except BadPolicyError as error:
        raise UsageError(f"{site or FILES.shipped}: {error}") from None


def shipped() -> Policy:
    """The policy as it is shipped, which leads nowhere: the table is there, the channels are not."""
    return parse(FILES.read(FILES.shipped), (FILES.shipped,))


def merged(base: Mapping[str, Any], site: Any) -> dict[str, Any]:
    """``base`` with what a site changes, two levels deep; None takes a named thing away. Raises BadPolicyError."""
    if not isinstance(site, Mapping):
        raise BadPolicyError(f"give sections with what changes, not {site!r}")
    result = dict(base)
    for section, changes in site.items():
        before = result.get(section)
        if not isinstance(before, Mapping):
            result[section] = changes
            continue
        if not isinstance(changes, Mapping):
            raise BadPolicyError(f"{section}: give names with what each is, not {changes!r}")
        both = {**before, **{name: _over(before.get(name), change) for name, change in changes.items()}}
        result[section] = {name: value for name, value in both.items() if value is not None}
    return result


def _over(before: Any, change: Any) -> Any:
    return {**before, **change} if isinstance(before, Mapping) and isinstance(change, Mapping) else change


def parse(data: Any, sources: Sequence[str] = ()) -> Policy:
    """A policy out of plain data (the value of ``hft_communications``). Raises BadPolicyError."""
    top = _Fields("", data)
    wording = _named(top, "wording", _wording)
    audiences = _named(top, "audiences", _audience)
    rules = _named(top, "rules", lambda fields: _rule(fields, audiences, wording))
    policy = Policy(
        time_scale=top.number("time_scale", above=0.0),
        late_after_s=top.number("late_after_s"),
        unjudged_for_s=top.number("unjudged_for_s"),
        exposure_every_s=top.number("exposure_every_s", above=0.0),
        audiences=audiences,
        rules=tuple(rules.values()),
        discreet=_discreet(_Fields("discreet", top.take("discreet")), wording),
        ladder=_ladder(_Fields("ladder", top.take("ladder")), audiences),
        gates=_gates(top.take("gates")),
        war_room=_war_room(_Fields("war_room", top.take("war_room"))),
        wording=wording,
        site=_site(top),
        sources=tuple(sources),
    )
    top.end()
    for rule in policy.rules:
        _known(f"rules: {rule.name!r}: yields_to", rule.yields_to, rules)
    for where, gate in [("discreet", policy.discreet.gate), *((f"rules: {r.name!r}", r.gate) for r in policy.rules)]:
        _known(f"{where}: gate", [gate] if gate else [], policy.gates)
    return policy


class _Fields:
    """The fields of a mapping (called ``name``, found at ``where``), each taken once; ``end`` refuses what is left."""

    def __init__(self, where: str, given: Any, name: str = "") -> None:
        self.where = where
        self.name = name
        if not isinstance(given, Mapping):
            raise BadPolicyError(f"{self._at()}give names with what each is, not {given!r}")
        self._left = {str(name): value for name, value in given.items()}
        self._asked: list[str] = []

    def take(self, name: str, default: Any = ...) -> Any:
        self._asked.append(name)
        if name not in self._left and default is ...:
            raise BadPolicyError(f"{self._at()}{name} is missing")
        return self._left.pop(name, default)

    def text(self, name: str, default: Any = ...) -> Any:
        found = self.take(name, default)
        if found is not default and (not isinstance(found, str) or not found):
            raise BadPolicyError(f"{self._at(name)}give a text, not {found!r}")
        return found

    def reference(self, name: str) -> str:
        found = self.take(name)
        if not isinstance(found, str) or not is_reference(found):
            raise BadPolicyError(f"{self._at(name)}holds a value in clear; write env:NAME, file:PATH or cmd:COMMAND")
        return found

    def number(self, name: str, default: Any = ..., *, above: float | None = None) -> Any:
        found = self.take(name, default)
        if found is default:
            return found
        least = 0.0 if above is None else above
        fits = isinstance(found, (int, float)) and not isinstance(found, bool) and least <= found < float("inf")
        if not fits or found == above:
            raise BadPolicyError(f"{self._at(name)}give a number {'over' if above is not None else 'from'} {least:g}")
        return float(found)

    def texts(self, name: str, default: Any = ..., *, of: Iterable[str] | None = None) -> tuple[str, ...]:
        found = self.take(name, default)
        if not isinstance(found, (list, tuple)) or not all(isinstance(item, str) and item for item in found):
            raise BadPolicyError(f"{self._at(name)}give a list of texts, not {found!r}")
        if of is not None:
            _known(f"{self._at()}{name}", found, of)
        return tuple(found)

    def severities(self, name: str) -> tuple[int, ...]:
        found = self.take(name)
        if not isinstance(found, list) or any(item not in SEVERITIES or isinstance(item, bool) for item in found):
            raise BadPolicyError(f"{self._at(name)}give a list of severities from 1 to 4, not {found!r}")
        return tuple(found)

    def types(self) -> tuple[str, ...]:
        """The incident types that ``types`` and ``not_types`` leave."""
        only, but = self.texts("types", TYPES, of=TYPES), self.texts("not_types", (), of=TYPES)
        return tuple(name for name in TYPES if name in only and name not in but)

    def end(self) -> None:
        if self._left:
            known = ", ".join(sorted(self._asked))
            raise BadPolicyError(f"{self._at()}knows no {next(iter(self._left))!r}, only {known}")

    def _at(self, name: str = "") -> str:
        return "".join(f"{part}: " for part in (self.where, name) if part)


def _named(top: _Fields, section: str, read: Callable[[_Fields], T]) -> dict[str, T]:
    """What each name of a section is; a mistake is told with the section and the name."""
    given = top.take(section)
    if not isinstance(given, Mapping) or not given:
        raise BadPolicyError(f"{section}: give names with what each is, not {given!r}")
    found = {}
    for name, value in given.items():
        fields = _Fields(f"{section}: {str(name)!r}", value, str(name))
        found[fields.name] = read(fields)
        fields.end()
    return found


def _audience(fields: _Fields) -> Audience:
    fields.text("help")
    return Audience(
        fields.name,
        fields.severities("needed"),
        fields.types(),
        fields.take("public", False) is True,
    )


def _rule(fields: _Fields, audiences: Iterable[str], wording: Iterable[str]) -> Rule:
    rule = Rule(
        fields.name,
        fields.text("audience"),
        fields.types(),
        fields.severities("severities"),
        fields.number("first_s", None),
        fields.number("every_s", None, above=0.0),
        fields.text("until", None),
        fields.texts("at_once", (), of=TURNS),
        fields.text("gate", None),
        fields.texts("channels"),
        fields.text("wording"),
        fields.texts("yields_to", ()),
    )
    _known(f"{fields.where}: audience", [rule.audience], audiences)
    _known(f"{fields.where}: wording", [rule.wording], wording)
    _known(f"{fields.where}: until", [rule.until] if rule.until else [], UNTIL)
    if not rule.types or not rule.severities:
        raise BadPolicyError(f"{fields.where}: speaks of no type and severity at all")
    return rule


def _wording(fields: _Fields) -> Wording:
    try:
        return compiled(fields.text("subject"), fields.text("text"))
    except BadWordingError as error:
        raise BadPolicyError(f"{fields.where}: {error}") from None


def _discreet(fields: _Fields, wording: Iterable[str]) -> Discreet:
    found = Discreet(fields.texts("types", of=TYPES), fields.text("wording"), fields.text("gate"))
    fields.end()
    _known("discreet: wording", [found.wording], wording)
    return found


def _ladder(fields: _Fields, audiences: Iterable[str]) -> Ladder:
    found = Ladder(fields.text("audience"), fields.severities("severities"), fields.texts("people"))
    fields.end()
    _known("ladder: audience", [found.audience], audiences)
    return found


def _gates(given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise BadPolicyError(f"gates: give names with what each asks for, not {given!r}")
    for name in given:
        try:
            policy_of(given, name)
        except UsageError as error:
            raise BadPolicyError(f"gates: {error}") from None
    return given


def _war_room(fields: _Fields) -> WarRoom:
    slack = fields.take("slack", None)
    meeting = _Fields("war_room: meeting", fields.take("meeting", {}))
    zoom = meeting.take("zoom", None)
    found = WarRoom(
        fields.take("severity"),
        fields.number("after_s"),
        None if slack is None else _slack(_Fields("war_room: slack", slack)),
        None if zoom is None else _zoom(_Fields("war_room: meeting: zoom", zoom)),
        meeting.text("bridge", None),
    )
    fields.end()
    meeting.end()
    if found.severity not in SEVERITIES:
        raise BadPolicyError(f"war_room: severity: give one from 1 to 4, not {found.severity!r}")
    return found


def _slack(fields: _Fields) -> Slack:
    found = Slack(fields.reference("token"), fields.texts("invite", ()))
    fields.end()
    return found


def _zoom(fields: _Fields) -> Zoom:
    found = Zoom(fields.text("account_id"), fields.text("client_id"), fields.reference("client_secret"))
    fields.end()
    return found


def _site(top: _Fields) -> Site:
    channels = top.take("channels")
    if not isinstance(channels, Mapping):
        raise BadPolicyError(f"channels: give names with their URLs, not {channels!r}")
    page = top.take("status_page", None)
    return Site(
        {str(name): _urls(str(name), urls) for name, urls in channels.items()},
        None if page is None else _status_page(_Fields("status_page", page)),
        top.text("proxy", None),
        top.text("ca_file", None),
        top.text("allowed_signers", None),
    )


def _urls(name: str, given: Any) -> tuple[str, ...]:
    """Such a URL holds its password, so it is a reference."""
    urls = [given] if isinstance(given, str) else given
    if name == STATUS_PAGE:
        raise BadPolicyError(f"channels: {name} is no URL; describe it under status_page")
    if not isinstance(urls, list) or not urls or not all(isinstance(url, str) and is_reference(url) for url in urls):
        raise BadPolicyError(f"channels: {name}: give apprise URLs as env:NAME, file:PATH or cmd:COMMAND")
    return tuple(urls)


def _status_page(fields: _Fields) -> StatusPage:
    found = StatusPage(
        fields.text("page_id"),
        fields.reference("api_key"),
        fields.text("base_url", "https://api.statuspage.io"),
        fields.texts("components", ()),
    )
    fields.end()
    return found


def _known(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    names = list(known)
    for name in given:
        if name not in names:
            raise BadPolicyError(f"{where}: there is no {name!r}, only {', '.join(names) or 'none at all'}")
