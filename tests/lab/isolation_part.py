# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The host's part of an isolation without Ansible around it, which starts a process in a fifth of the time: arguments
as JSON from standard input, the result to standard output. Played on the host, over ssh."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "collections"))

from ansible_collections.hft.incident.plugins.module_utils.isolation_host import change
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, run_step

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    context = Context(check=asked.pop("check"), note=lambda _kind, _data: None)
    print(json.dumps(run_step(change, asked, context)))
