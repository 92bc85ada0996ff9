# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The door on a host: a module's step run by ``AnsibleModule``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .steps import Context, Step, run_step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible.module_utils.basic import AnsibleModule


def _nowhere(_kind: str, _data: Mapping[str, Any]) -> None:
    """The journal is on the control node; there the scribe writes the result's ``record``."""


def finish(module: AnsibleModule, step: Step) -> None:
    """Run the step and leave with its result. Arguments are not echoed: they hold references to secrets."""
    result = run_step(step, module.params, Context(check=module.check_mode, note=_nowhere))
    leave = module.fail_json if result.pop("failed", False) else module.exit_json
    leave(invocation={}, **result)
