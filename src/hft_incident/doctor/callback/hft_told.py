# Copyright: (c) 2026, hft-incident contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An output of `ansible-playbook` for a program to read: a JSON object for each result, a line each."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: hft_told
type: stdout
short_description: A JSON object a line for each result
version_added: 0.3.0
author:
  - hft-incident contributors (@hft-incident)
description:
  - Prints task, host, how it ended (C(ok), C(failed), C(unreachable)), when it started and ended, and its result.
"""


class CallbackModule(CallbackBase):
    """Only what the playbook of the doctor asks for is printed, and that is no secret."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "hft_told"

    def __init__(self) -> None:
        super().__init__()
        self._started: dict[tuple[str, str], float] = {}

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._started[host.get_name(), task._uuid] = time.time()

    def v2_runner_on_ok(self, result: Any) -> None:
        self._tell("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._tell("failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._tell("unreachable", result)

    def _tell(self, ended: str, result: Any) -> None:
        host, task = result._host.get_name(), result._task
        told = {
            "task": task.get_name(),
            "host": host,
            "ended": ended,
            "started_at": self._started.get((host, task._uuid), 0.0),
            "ended_at": time.time(),
            "result": {name: value for name, value in result._result.items() if not name.startswith("_")},
        }
        print(json.dumps(told, default=str), flush=True)
