# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What the process is started with: one JSON file.

``{"address": "127.0.0.1", "port": 0, "hold_file": PATH, "log_file": PATH, "token_file": PATH or null, "exchanges":
[{"name", "driver", "url", "key_file"}], "strategies": [{"id", "exchanges", "priority"}], "database": DSN or null,
"fault_file": PATH or null}``; a key file is ``{"id", "secret", "passphrase"}``. Every field but the hold file, the log
file and the exchanges may be left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ..gateways.gateway import GatewayKey
from ..gateways.registry import GATEWAYS

Priority = Literal["low", "normal", "high"]
FIELDS = ("address", "port", "hold_file", "log_file", "token_file", "exchanges", "strategies", "database", "fault_file")
LOOPBACK = "127.0.0.1"


class SettingsError(Exception):
    """The file cannot be used; the message says why."""


@dataclass(frozen=True)
class ExchangeEntry:
    """One account at one venue."""

    name: str
    driver: str
    url: str
    key_file: Path


@dataclass(frozen=True)
class StrategyEntry:
    """A strategy: quotes ``offsets`` ticks either side of the market at each exchange, one round an interval."""

    id: str
    exchanges: tuple[str, ...]
    priority: Priority = "normal"
    interval_s: float = 0.4
    offsets: tuple[int, ...] = (8, 14)


@dataclass(frozen=True)
class Settings:
    port: int
    hold_file: Path
    log_file: Path
    token: str | None
    exchanges: tuple[ExchangeEntry, ...]
    strategies: tuple[StrategyEntry, ...]
    database: str | None = None
    fault_file: Path | None = None
    address: str = LOOPBACK


def load(path: Path) -> Settings:
    """Raises SettingsError."""
    try:
        document = json.loads(path.read_text())
        if unknown := [name for name in document if name not in FIELDS]:
            raise ValueError(f"unknown field '{unknown[0]}'")
        exchanges = tuple(_exchange(row) for row in document["exchanges"])
        names = [entry.name for entry in exchanges]
        rows = document.get("strategies")
        strategies = default_strategies(names) if rows is None else tuple(_strategy(row, names) for row in rows)
        token_file = document.get("token_file")
        return Settings(
            port=int(document.get("port", 0)),
            hold_file=Path(document["hold_file"]),
            log_file=Path(document["log_file"]),
            token=Path(token_file).read_text().strip() if token_file else None,
            exchanges=exchanges,
            strategies=strategies,
            database=_dsn(document.get("database")),
            fault_file=Path(document["fault_file"]) if document.get("fault_file") else None,
            address=str(document.get("address", LOOPBACK)),
        )
    except KeyError as error:
        raise SettingsError(f"{path}: {error} is missing") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path}: {error}") from None


def validate(path: Path) -> Settings:
    """All that can be known to be wrong before the process runs: the file, and what it names. Raises SettingsError."""
    settings = load(path)
    for file in (settings.log_file, settings.hold_file):
        if not file.parent.is_dir():
            raise SettingsError(f"{path}: there is no folder {file.parent}")
    for entry in settings.exchanges:
        try:
            read_key(entry.key_file)
        except SettingsError as error:
            raise SettingsError(f"{path}: exchange {entry.name}: {error}") from None
    return settings


def read_key(path: Path) -> GatewayKey:
    """Raises SettingsError, which never shows what the file holds."""
    try:
        row: dict[str, Any] = json.loads(path.read_text())
        return GatewayKey(str(row["id"]), str(row["secret"]), str(row.get("passphrase") or ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"the key file {path} cannot be used ({type(error).__name__})") from None


def default_strategies(exchanges: list[str]) -> tuple[StrategyEntry, ...]:
    """A market maker and a far-away probe at each exchange, and one strategy across the first two."""
    makers = [StrategyEntry(f"mm-{name}", (name,), "high", 0.25, (6, 10, 14)) for name in exchanges]
    probes = [StrategyEntry(f"probe-{name}", (name,), "low", 0.5, (25,)) for name in exchanges]
    pair = tuple(exchanges[:2])
    across = [StrategyEntry(f"arb-{'-'.join(pair)}", pair, "normal")] if len(pair) == 2 else []
    return (*makers, *probes, *across)


def _dsn(text: Any) -> str | None:
    if text is None:
        return None
    try:
        conninfo_to_dict(text)
    except psycopg.Error as error:
        raise ValueError(f"database: {' '.join(str(error).split())}") from None
    return str(text)


def _exchange(row: dict[str, Any]) -> ExchangeEntry:
    if row["driver"] not in GATEWAYS:
        raise ValueError(f"unknown driver '{row['driver']}'; known: {', '.join(GATEWAYS)}")
    return ExchangeEntry(row["name"], row["driver"], row["url"], Path(row["key_file"]))


def _strategy(row: dict[str, Any], exchanges: list[str]) -> StrategyEntry:
    entry = StrategyEntry(row["id"], tuple(row["exchanges"]), row.get("priority", "normal"))
    if entry.priority not in get_args(Priority):
        raise ValueError(f"strategy {entry.id}: no such priority '{entry.priority}'")
    unknown = [name for name in entry.exchanges if name not in exchanges]
    if unknown or not entry.exchanges:
        raise ValueError(f"strategy {entry.id}: unknown exchange {unknown or 'none'}")
    return entry
