# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The message sinks of a running lab from outside: what arrived at the services, and what can befall them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from .control_client import ask
from .state import SinkProcess


class Arrival(NamedTuple):
    """One request or mail; the fields are those of sinks/arrivals.py."""

    at: float
    service: str
    op: str
    target: str | None
    text: str | None
    key: str | None
    body: Any
    repeat: bool
    accepted: bool
    ok: bool
    status: int | None
    fault: str | None


class LabSinks:
    """The sinks of a running lab and their controls. Every method raises LabError.

    ``proxy`` and ``ca_file``: the way to them, as a jumphost has one to the Internet.
    """

    def __init__(self, running: SinkProcess, ca_file: Path) -> None:
        self.process = running.process
        self.proxy = running.proxy
        self.ca_file = ca_file
        self.webhook_port = running.webhook_port
        self.smtp_port = running.smtp_port
        self._control_port = running.control_port

    def arrivals(self, service: str | None = None) -> list[Arrival]:
        """Since the start or the last ``forget``, oldest first: all, or those at one service."""
        rows = [Arrival(**row) for row in self._ask("GET", "/arrivals")["arrivals"]]
        return [row for row in rows if service in (None, row.service)]

    def forget(self) -> None:
        self._ask("DELETE", "/arrivals")

    def inject(self, kind: str, service: str = "*", **options: Any) -> int:
        """Put a fault in force (``op``, ``remaining``, ``status`` …: see sinks/faults.py); its number."""
        number: int = self._ask("POST", "/faults", {"kind": kind, "service": service, **options})["id"]
        return number

    def faults(self) -> list[dict[str, Any]]:
        faults: list[dict[str, Any]] = self._ask("GET", "/faults")["faults"]
        return faults

    def clear_faults(self) -> None:
        self._ask("DELETE", "/faults")

    def rooms(self) -> list[dict[str, Any]]:
        """Slack's channels with their members and messages, oldest first."""
        rooms: list[dict[str, Any]] = self._ask("GET", "/rooms")["rooms"]
        return rooms

    def room(self, name: str) -> dict[str, Any]:
        """The one of that name. Raises LookupError."""
        found = [room for room in self.rooms() if room["name"] == name]
        if not found:
            raise LookupError(f"no channel is named {name}")
        return found[0]

    def status_page(self) -> dict[str, Any]:
        """``incidents`` and ``components``, as the page's API shows them."""
        page: dict[str, Any] = self._ask("GET", "/status_page")
        return page

    def alerts(self) -> list[dict[str, Any]]:
        """PagerDuty's, merged by their dedup_key."""
        alerts: list[dict[str, Any]] = self._ask("GET", "/alerts")["alerts"]
        return alerts

    def meetings(self) -> list[dict[str, Any]]:
        """Zoom's."""
        meetings: list[dict[str, Any]] = self._ask("GET", "/meetings")["meetings"]
        return meetings

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        return ask("the lab's message sinks", self._control_port, method, path, body)
