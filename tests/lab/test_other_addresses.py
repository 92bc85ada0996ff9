# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The lab's servers listen where they are told, and nowhere else: on hosts of their own they serve other hosts."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

from .trading_system_process import ENVIRONMENT, trading_system
from .venues_host import venue_host

ELSEWHERE = "127.0.0.2"


def accepts(address: str, port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex((address, port)) == 0


def test_venues_listen_where_they_are_told_and_their_controls_never_leave_the_host(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text("{}")
    words = ["--address", ELSEWHERE, "--venue", "alpha=binance", "--keys", str(keys)]
    with subprocess.Popen(
        [sys.executable, "-m", "hft_incident.lab.venues", *words], stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        try:
            assert process.stdout
            said = json.loads(process.stdout.readline())
            port, control = said["venues"]["alpha"]["port"], said["control_port"]
            assert (accepts(ELSEWHERE, port), accepts("127.0.0.1", port)) == (True, False)
            assert (accepts(ELSEWHERE, control), accepts("127.0.0.1", control)) == (False, True)
        finally:
            process.terminate()


def test_a_trading_system_listens_where_it_is_told(tmp_path: Path) -> None:
    with (
        venue_host({"alpha": "binance"}) as host,
        trading_system(tmp_path, host, {"alpha": "binance"}, address=ELSEWHERE) as system,
    ):
        assert (accepts(ELSEWHERE, system.port), accepts("127.0.0.1", system.port)) == (True, False)
