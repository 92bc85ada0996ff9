# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A module's step run as its doors run it: arguments checked against its own spec, notes kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.hft.incident.plugins.module_utils.steps import Context, run_step
from hft_incident.lab.venues.server import VenueServer

from ..trading_system_process import TradingSystemProcess
from ..venues_host import KEY, Host

Note = Callable[[str, Mapping[str, Any]], None]


@dataclass
class Ran:
    """A step's result, with what it told the journal while it worked; its fields by subscription."""

    result: dict[str, Any]
    notes: list[tuple[str, Mapping[str, Any]]]

    def __getitem__(self, field: str) -> Any:
        return self.result[field]

    @property
    def failed(self) -> bool:
        return bool(self.result.get("failed"))

    @property
    def outcome(self) -> str:
        return str(self.result["outcome"]) if self.failed else "done"

    def recorded(self, kind: str) -> list[dict[str, Any]]:
        return [line["data"] for line in self.result.get("record", []) if line["kind"] == kind]

    def noted(self, kind: str) -> list[Mapping[str, Any]]:
        return [data for noted, data in self.notes if noted == kind]


def run(step: ModuleType, *, check: bool = False, on_note: Note | None = None, **args: Any) -> Ran:
    """``on_note`` is called while the step works."""
    checked = ArgumentSpecValidator(step.ARGUMENT_SPEC, required_if=getattr(step, "REQUIRED_IF", None)).validate(args)
    if checked.error_messages:
        return Ran({"failed": True, "outcome": "usage", "msg": "; ".join(checked.error_messages)}, [])
    notes: list[tuple[str, Mapping[str, Any]]] = []

    def note(kind: str, data: Mapping[str, Any]) -> None:
        notes.append((kind, data))
        if on_note:
            on_note(kind, data)

    result = run_step(step.run, checked.validated_parameters, Context(check=check, note=note))
    json.dumps(result)  # what Ansible will do with it
    return Ran(result, notes)


class Arguments:
    """What a playbook passes for the venues and trading systems of a test; keys are files that only we can read."""

    def __init__(self, folder: Path, host: Host) -> None:
        self._folder = folder
        self._host = host

    def venue(self, name: str, driver: str, **more: Any) -> dict[str, Any]:
        return {
            "name": name,
            "driver": driver,
            "base_url": f"http://127.0.0.1:{self._host.venues[name].port}",
            "api_key": self.secret("key", KEY.id),
            "api_secret": self.secret("secret", KEY.secret),
            "api_passphrase": self.secret("passphrase", KEY.passphrase),
            **more,
        }

    def secret(self, name: str, value: str) -> str:
        path = self._folder / f"responder.{name}"
        path.write_text(value)
        path.chmod(0o600)
        return f"file:{path}"

    @staticmethod
    def system(process: TradingSystemProcess, name: str = "hft-1") -> dict[str, Any]:
        return {"name": name, "url": f"http://127.0.0.1:{process.port}"}


def writes(venue: VenueServer) -> list[str]:
    """The requests that this venue got and that change something there."""
    return [seen.op for seen in list(venue.seen) if seen.writes]


def seed(venue: VenueServer) -> int:
    """Orders on every line, a conditional one beside each; how many that makes."""
    for instrument in venue.exchange.instruments.values():
        venue.place_one(instrument.symbol)
        venue.place_one(instrument.symbol, conditional=True)
    return len(venue.exchange.open_orders())
