# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Isolation: each host's own rehearsal of it, over a connection like the one that would have to stay, and the site's
command that does it from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.hft.incident.plugins.module_utils.errors import UsageError

from .ansible_look import Look, Told
from .findings import BAD, OK, UNKNOWN, WARN, Finding
from .site import command_fault, texts

LACK = "isolate a host (hft_responders with hft_isolation_forbidden, or hft_external_isolation_command)"
_VARIABLES = "hft_responders (this jumphost, as the host sees it), hft_isolation_forbidden"
_MEND = f"mend what it says: {_VARIABLES}, ansible_become, nft and ss on the host"


def is_prepared(seen: Look) -> bool:
    """Also where there is no host to isolate, which is said of the hosts."""
    settings = _settings(seen)
    return not settings or any(one.ended != "ok" or _is_given(one.result["msg"]) for one in settings)


def isolation(seen: Look) -> list[Finding]:
    return [found for one in _settings(seen) for found in _host(one, seen)]


def _settings(seen: Look) -> list[Told]:
    return [one for one in seen.told if one.task == "isolation_settings"]


def _is_given(said: Mapping[str, Any]) -> bool:
    return bool(said["responders"] or said["external_command"])


def _host(settings: Told, seen: Look) -> Iterator[Finding]:
    host = settings.host
    if settings.ended != "ok":
        yield Finding("isolation", host, BAD, f"would not be isolated: {settings.why}", "correct it in the inventory")
        return
    said = settings.result["msg"]
    if not _is_given(said):
        yield Finding("isolation", host, WARN, "would not be isolated: nobody said how", _VARIABLES)
        return
    command = texts(said["external_command"])
    if fault := command_fault(command) if command else None:
        verdict, but = (WARN, "on the host alone") if said["on_host"] else (BAD, "not at all")
        says, mend = fault
        yield Finding("isolation", host, verdict, f"would be isolated {but}, not from outside: {says}", mend)
    if said["on_host"]:
        yield from _on_host(host, seen, outside=bool(command) and not fault)
    elif not command:
        says = "would not be isolated: not on itself (hft_isolate_on_host), and nothing is there to do it from outside"
        yield Finding("isolation", host, BAD, says, "hft_external_isolation_command, or hft_isolate_on_host: true")
    elif not fault:
        yield Finding("isolation", host, OK, f"from outside alone, by {command[0]}, which nobody tries out")


def _on_host(host: str, seen: Look, *, outside: bool) -> Iterator[Finding]:
    shell, rehearsal = seen.of("host", host), seen.of("isolation", host)
    if shell is not None and shell.ended == "unreachable":
        return  # said of the host
    if rehearsal is None:
        yield Finding("isolation", host, UNKNOWN, "no answer in time", "ask again, with more time")
        return
    if rehearsal.ended != "ok":
        refused = rehearsal.result.get("outcome") == UsageError.outcome
        says = f"would not be isolated on itself: {rehearsal.why}"
        yield Finding("isolation", host, BAD if refused else UNKNOWN, says, _MEND)
        return
    lets_in = ", ".join(map(str, rehearsal.result.get("responders", ())))
    also = "; from outside, too" if outside else "; on itself alone, which root there can undo"
    yield Finding("isolation", host, OK, f"rehearsed: would let in {lets_in} by SSH and nobody else{also}")
    if shell is not None and "conntrack=missing" in str(shell.result.get("stdout")).splitlines():
        says = "has no conntrack: what was cut off may count as established when it is opened again"
        yield Finding("isolation", host, WARN, says, "install it there (Debian: conntrack)")
