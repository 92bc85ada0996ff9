# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""A process that runs ``api_key`` once, and can kill itself right before or after any one thing that it does.

Its order comes on standard input, ``{"args", "journal", "kill_at", "after"}``; it says "started", and its result.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.hft.incident.plugins.module_utils.http_client import HttpClient
from ansible_collections.hft.incident.plugins.module_utils.journal import Journal
from ansible_collections.hft.incident.plugins.module_utils.steps import Context, api_key, run_step


def main() -> None:
    order = json.loads(sys.stdin.readline())
    checked = ArgumentSpecValidator(api_key.ARGUMENT_SPEC).validate(order["args"])
    if checked.error_messages:
        raise SystemExit(str(checked.error_messages))
    journal = Journal(order["journal"])
    if order["kill_at"]:
        arm(order["kill_at"], after=order["after"])
    print("started", flush=True)

    def note(kind: str, data: Mapping[str, Any]) -> None:
        journal.append(kind, data)

    result = run_step(api_key.run, checked.validated_parameters, Context(False, note))
    print(json.dumps(result), flush=True)


def arm(number: int, *, after: bool) -> None:
    """Kill this process at the ``number``-th request or change of a file."""
    count = itertools.count(1)

    def deadly(work: Callable[..., Any]) -> Callable[..., Any]:
        def working(*args: Any, **options: Any) -> Any:
            mine = next(count) == number
            if mine and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return work(*args, **options)
            finally:
                if mine:
                    os.kill(os.getpid(), signal.SIGKILL)

        return working

    HttpClient.send = deadly(HttpClient.send)  # type: ignore[method-assign]  # that is the point
    for name in ("replace", "unlink", "fsync"):
        setattr(os, name, deadly(getattr(os, name)))


if __name__ == "__main__":
    main()
