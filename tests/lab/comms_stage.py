# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""An incident by its journal alone, the lab's real message sinks, and servers as real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from slack_sdk import WebClient
from tests.lab.sinks_host import Sinks, running_sinks
from tests.lab.waiting import wait_until

from ansible_collections.hft.incident.plugins.module_utils.chain import Event
from ansible_collections.hft.incident.plugins.module_utils.incident import Incident, open_incident
from ansible_collections.hft.incident.plugins.module_utils.journal import verify
from hft_incident.lab.sink_handle import Arrival
from hft_incident.lab.sink_keys import communications
from hft_incident.lab.state import Files, SinkProcess

BIN = Path(sys.executable).parent
PATIENCE_S = 60.0


class CommsStage:
    """``home`` with an inventory whose policy leads to ``sinks``, as a running lab has it."""

    def __init__(self, folder: Path, sinks: Sinks) -> None:
        self.home = folder / "home"
        self._sinks = sinks
        self.sinks = sinks.lab
        self.keys = sinks.keys
        self.inventory = self.home / "lab" / "inventory"
        (self.inventory / "group_vars" / "all").mkdir(parents=True)
        files = Files(self.home / "lab")
        files.keys.mkdir()
        port = int(sinks.lab.proxy.rpartition(":")[2])
        process = SinkProcess(
            "sinks", sinks.lab.process, port, sinks.lab.webhook_port, sinks.lab.smtp_port, control_port=0
        )
        self.write_policy({**communications(sinks.keys, process, files), "ca_file": str(sinks.lab.ca_file)})

    def write_policy(self, policy: Mapping[str, Any]) -> None:
        path = self.inventory / "group_vars" / "all" / "communications.yml"
        path.write_text(yaml.safe_dump({"hft_communications": dict(policy)}))

    def policy(self) -> dict[str, Any]:
        path = self.inventory / "group_vars" / "all" / "communications.yml"
        found: dict[str, Any] = yaml.safe_load(path.read_text())["hft_communications"]
        return found

    def opened(
        self, kind: str = "exchange_outage", severity: int = 1, scale: float = 60, real: bool = True
    ) -> Incident:
        """A new incident, judged real where it is said so."""
        incident = open_incident(
            kind,
            inputs={"exchange": "binance", "hft_time_scale": str(scale)},
            severity=severity,
            home=self.home,
            inventory=[str(self.inventory)],
        )
        if real:
            incident.journal.append("alarm.judged", {"real": True, "because": "it is out"})
        return incident

    def words(self) -> list[str]:
        return [str(BIN / "hft-incident")]

    def environment(self) -> dict[str, str]:
        """Of a person at a terminal, who has set only where the state lives."""
        return {**os.environ, "HFT_INCIDENT_HOME": str(self.home)}

    def approve(self, incident: Incident, gate: str, key: Path) -> subprocess.CompletedProcess[str]:
        words = [*self.words(), "approve", incident.id, gate, "--key", str(key)]
        return subprocess.run(
            words, env=self.environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE_S
        )

    def slack(self) -> WebClient:
        """The firm's own way to Slack."""
        return self._sinks.slack()

    def serve(self, incident: Incident, *words: str, **environment: str) -> subprocess.Popen[str]:
        """`hft-incident comms INC` as a process."""
        return subprocess.Popen(
            [*self.words(), "comms", incident.id, *words],
            env={**self.environment(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    @contextmanager
    def followed(self, incident: Incident, servers: int = 1) -> Iterator[list[subprocess.Popen[str]]]:
        """Servers that follow the incident, ended at the latest when the block is."""
        processes = [self.serve(incident, "--follow") for _ in range(servers)]
        try:
            yield processes
        finally:
            for process in processes:
                process.kill()
                process.communicate()

    def arrived(self, service: str | None = None) -> list[Arrival]:
        """What the services took and said so."""
        return [arrival for arrival in self.sinks.arrivals(service) if arrival.ok]


def of_kind(incident: Incident, kind: str) -> list[Mapping[str, Any]]:
    return [event.data for event in incident.journal.events() if event.kind == kind]


def told(incident: Incident, *kinds: str) -> list[Event]:
    assert verify(incident.journal.path).state == "intact"
    return [event for event in incident.journal.events() if event.kind in kinds]


def until_recorded(incident: Incident, kind: str, count: int = 1) -> None:
    wait_until(lambda: len(of_kind(incident, kind)) >= count, PATIENCE_S)


@contextmanager
def comms_stage(folder: Path) -> Iterator[CommsStage]:
    with running_sinks(folder) as sinks:
        yield CommsStage(folder, sinks)
