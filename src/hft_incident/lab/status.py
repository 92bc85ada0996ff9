# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Which processes a lab has, where they listen, and whether they answer."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .lifeline import Process, is_alive
from .state import DatabaseProcess, Files, Record, SinkProcess, SystemProcess, VenueProcess

ANSWER_TIMEOUT_S = 1.0


class ProcessStatus(NamedTuple):
    """One process; ``answers`` None where there is nothing to ask (the supervisor); ``faults`` in force there."""

    name: str
    kind: str
    pid: int
    port: int | None
    alive: bool
    answers: bool | None
    faults: tuple[str, ...] = ()


class Status(NamedTuple):
    """``record`` None: no lab. ``up``: its supervisor lives."""

    up: bool
    record: Record | None
    processes: tuple[ProcessStatus, ...] = ()

    def render(self) -> list[str]:
        if self.record is None:
            return ["the lab is not up: run 'hft-incident lab up'"]
        head = f"the lab is up since {self.record.started_at}"
        if not self.up:
            head = f"the lab of {self.record.started_at} was not stopped and is gone: run 'hft-incident lab up'"
        rows = [("PROCESS", "KIND", "PID", "PORT", "ANSWERS")]
        for process in self.processes:
            answers = {None: "-", True: "yes", False: "no"}[process.answers] if process.alive else "no (dead)"
            faults = f", faults: {', '.join(process.faults)}" if process.faults else ""
            rows.append((process.name, process.kind, str(process.pid), str(process.port or "-"), answers + faults))
        return [head, *_aligned(rows)]


def status(home: Path) -> Status:
    """Every process of the lab under ``home`` and whether it answers."""
    record = Files(home.expanduser().absolute() / "lab").read_record()
    if record is None:
        return Status(up=False, record=None)
    is_up = is_alive(record.supervisor)
    supervisor = ProcessStatus("supervisor", "supervisor", record.supervisor.pid, None, is_up, None)
    databases = [_database_status(record.database)] if record.database else []
    venues = [_venue_status(venue) for venue in record.venues]
    systems = [_system_status(system) for system in record.trading_systems]
    sinks = [_sinks_status(record.sinks)] if record.sinks else []
    return Status(is_up, record, (supervisor, *databases, *venues, *systems, *sinks))


def process_table(record: Record) -> list[str]:
    """A line for each process but the supervisor: its name, kind, address and process."""
    rows = [(v.name, f"venue ({v.driver})", v.url, f"pid {v.process.pid}") for v in record.venues]
    rows += [(s.name, "trading system", s.url, f"pid {s.process.pid}") for s in record.trading_systems]
    if record.database:
        address = f"postgresql://127.0.0.1:{record.database.port}"
        rows.append((record.database.name, "database", address, f"pid {record.database.process.pid}"))
    if record.sinks:
        rows.append((record.sinks.name, "message sinks", record.sinks.proxy, f"pid {record.sinks.process.pid}"))
    return _aligned(rows)


def _venue_status(venue: VenueProcess) -> ProcessStatus:
    document = _ask(venue.control_port, "/venues")
    rows = [row for row in (document or {}).get("venues", []) if row["name"] == venue.name]
    faults = [fault["kind"] for row in rows for fault in row["faults"]]
    kind = f"venue ({venue.driver})"
    return _process_status(venue.name, kind, venue.process, venue.port, document is not None, tuple(faults))


def _system_status(system: SystemProcess) -> ProcessStatus:
    kind = "trading system" if system.unit == f"{system.name}.service" else "trading system (observing)"
    answers = _ask(system.port, "/api/v1/health") is not None
    return _process_status(system.name, kind, system.process, system.port, answers)


def _database_status(database: DatabaseProcess) -> ProcessStatus:
    try:
        socket.create_connection(("127.0.0.1", database.port), ANSWER_TIMEOUT_S).close()
        answers = True
    except OSError:
        answers = False
    return _process_status(database.name, "database", database.process, database.port, answers)


def _sinks_status(sinks: SinkProcess) -> ProcessStatus:
    document = _ask(sinks.control_port, "/faults")
    faults = tuple(f"{fault['kind']} ({fault['service']})" for fault in (document or {}).get("faults", []))
    return _process_status(sinks.name, "message sinks", sinks.process, sinks.port, document is not None, faults)


def _process_status(
    name: str, kind: str, process: Process, port: int, answers: bool, faults: tuple[str, ...] = ()
) -> ProcessStatus:
    alive = is_alive(process)  # something else may have its port by now
    return ProcessStatus(name, kind, process.pid, port, alive, alive and answers, faults)


def _ask(port: int, path: str) -> dict[str, Any] | None:
    """The JSON object that is answered; None where nothing or something else is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", path)
        document = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return document if isinstance(document, dict) else None


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
