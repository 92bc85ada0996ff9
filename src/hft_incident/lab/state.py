# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a running lab leaves on disk: where its files are, the record of its processes, and the lock that says it runs.

``HFT_INCIDENT_HOME/lab/``: ``lab.json``, ``lock``, ``logs/``, ``keys/``, ``inventory/``, ``systems/`` (the trading
systems' configuration, hold and fault files), ``approved/`` (their configuration as the lab started with it),
``units/`` (unit files), ``run/`` (the units' working directories), ``bin/`` (the commands of a trading host),
``people/`` (SSH keys, allowed_signers) and ``database/``. All of it for the owner only.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .lifeline import Process


@dataclass(frozen=True)
class VenueProcess:
    """A venue that runs; ``symbols`` are those that it trades, the strategies' first."""

    name: str
    driver: str
    process: Process
    port: int
    control_port: int
    symbols: tuple[str, ...]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class SystemProcess:
    """A trading system: its last process, and the unit that it belongs to (live or observe)."""

    name: str
    process: Process
    port: int
    unit: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class DatabaseProcess:
    """PostgreSQL, by the process that keeps it."""

    name: str
    process: Process
    port: int


@dataclass(frozen=True)
class SinkProcess:
    """The message sinks; ``port`` is that of the proxy which all services on the Internet are reached through."""

    name: str
    process: Process
    port: int
    webhook_port: int
    smtp_port: int
    control_port: int

    @property
    def proxy(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Record:
    """lab.json. ``attached``: the lab ends with the process that started it. ``ready_ms``: from start to ready."""

    started_at: str
    ready_ms: int
    attached: bool
    supervisor: Process
    venues: tuple[VenueProcess, ...]
    trading_systems: tuple[SystemProcess, ...]
    database: DatabaseProcess | None = None
    sinks: SinkProcess | None = None

    @property
    def processes(self) -> tuple[Process, ...]:
        """All of them, the supervisor first."""
        single = [one.process for one in (self.database, self.sinks) if one]
        venues, systems = (v.process for v in self.venues), (s.process for s in self.trading_systems)
        return (self.supervisor, *single, *venues, *systems)

    def to_json(self) -> str:
        document = asdict(self)
        document["supervisor"] = self.supervisor._asdict()
        running: list[VenueProcess | SystemProcess] = [*self.venues, *self.trading_systems]
        for row, one in zip((*document["venues"], *document["trading_systems"]), running, strict=True):
            del row["process"]
            row |= one.process._asdict() | {"url": one.url}
        for name, single in (("database", self.database), ("sinks", self.sinks)):
            if single:
                del document[name]["process"]
                document[name] |= single.process._asdict()
        return json.dumps(document, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Raises ValueError where the text is no such record."""
        try:
            document = json.loads(text)
            return cls(
                started_at=str(document["started_at"]),
                ready_ms=int(document["ready_ms"]),
                attached=bool(document["attached"]),
                supervisor=_process(document["supervisor"]),
                venues=tuple(
                    VenueProcess(
                        row["name"],
                        row["driver"],
                        _process(row),
                        int(row["port"]),
                        int(row["control_port"]),
                        tuple(row["symbols"]),
                    )
                    for row in document["venues"]
                ),
                trading_systems=tuple(
                    SystemProcess(row["name"], _process(row), int(row["port"]), row["unit"])
                    for row in document["trading_systems"]
                ),
                database=_database(document["database"]),
                sinks=_sinks(document["sinks"]),
            )
        except (LookupError, TypeError) as error:
            raise ValueError(f"not the record of a lab: {error!r}") from None


class Files:
    """Where everything is."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.record = directory / "lab.json"
        self.lock = directory / "lock"
        self.logs = directory / "logs"
        self.keys = directory / "keys"
        self.systems = directory / "systems"
        self.approved = directory / "approved"
        self.run = directory / "run"
        self.units = directory / "units"
        self.bin = directory / "bin"
        self.people = directory / "people"
        self.database = directory / "database"
        self.sinks_keys_file = self.keys / "sinks.json"
        self.sinks_ca_file = self.keys / "sinks-ca.pem"
        self.unit_journal = self.logs / "units.journal"
        self.inventory = directory / "inventory"
        self.group_vars = self.inventory / "group_vars" / "all"
        self.host_vars = self.inventory / "host_vars"
        self.venues_file = self.group_vars / "venues.yml"

    def make(self) -> None:
        """Empty folders for a new lab. Raises OSError."""
        self.forget()
        shutil.rmtree(self.logs, ignore_errors=True)
        made = (self.logs, self.keys, self.systems, self.approved, self.units, self.run, self.people)
        for folder in (self.directory, *made):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def forget(self) -> None:
        """Remove what only a running lab has; the logs stay."""
        self.record.unlink(missing_ok=True)
        for folder in (
            self.inventory,
            self.keys,
            self.systems,
            self.approved,
            self.run,
            self.units,
            self.bin,
            self.people,
            self.database,
        ):
            shutil.rmtree(folder, ignore_errors=True)

    def read_record(self) -> Record | None:
        """The record as it stands, of a living lab or a dead one; None where there is none that can be read."""
        try:
            return Record.from_json(self.record.read_text())
        except (OSError, ValueError):
            return None

    def try_lock(self) -> int | None:
        """The lock's descriptor, or None while a supervisor lives. Raises OSError where the folder cannot be used.

        The supervisor inherits it and holds it as long as it lives: the kernel lets go of it even after ``kill -9``.
        """
        for folder in (self.directory.parent, self.directory):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def sign_lock(self, descriptor: int, holder: Process) -> None:
        """Write who holds the lock into it."""
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder._asdict()).encode(), 0)

    def lock_holder(self) -> Process | None:
        """Who wrote themselves into the lock last."""
        try:
            return _process(json.loads(self.lock.read_text()))
        except (OSError, ValueError, LookupError, TypeError):
            return None


def write_private(path: Path, text: str) -> None:
    """The whole file or none of it, readable by its owner only."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    scratch.replace(path)


def _database(row: dict[str, Any] | None) -> DatabaseProcess | None:
    return DatabaseProcess(row["name"], _process(row), int(row["port"])) if row else None


def _sinks(row: dict[str, Any] | None) -> SinkProcess | None:
    if not row:
        return None
    ports = (int(row[field]) for field in ("port", "webhook_port", "smtp_port", "control_port"))
    return SinkProcess(row["name"], _process(row), *ports)


def _process(row: dict[str, Any]) -> Process:
    return Process(int(row["pid"]), str(row["started"]))
