# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The same containment, as pyinfra has it: a file put, and curl for the killswitch."""

from __future__ import annotations

from io import StringIO

from pyinfra import host
from pyinfra.operations import files, server

files.put(name="Hold", src=StringIO("benchmark\n"), dest=host.data.hold_file, mode="644")
said = """-H 'Content-Type: application/json' -d '{"reason": "benchmark"}'"""
server.shell(name="Press the trading system's killswitch", commands=[f"curl -fsS {said} {host.data.api}/killswitch"])
