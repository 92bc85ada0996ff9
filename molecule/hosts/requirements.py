# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Prints what the wheel needs on the hosts, a requirement a line: its own dependencies, and what the lab's servers run
on. (The rest of the extra "lab" belongs to a lab on one machine: a PostgreSQL of its own, message sinks.)"""

from __future__ import annotations

import tomllib
from pathlib import Path

SERVERS = ("aiohttp",)

project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
servers = [line for line in project["optional-dependencies"]["lab"] if line.startswith(SERVERS)]
print(*project["dependencies"], *servers, sep="\n")
