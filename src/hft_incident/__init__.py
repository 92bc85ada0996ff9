# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""hft-incident: one command per trading incident.

``from hft_incident import respond, resume, kill, approve, acknowledge``: what the commands `run`, `resume`, `kill`,
`approve` and `ack` of `hft-incident` do; typed results.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take this name for true; importing typing would cost the red button 4 ms
if TYPE_CHECKING:
    from typing import Any

    from .approval import Approval, approve
    from .outcome import Outcome
    from .red_button import kill
    from .responder import respond, resume
    from .roles import acknowledge

__version__ = "0.2.0"  # the one place; galaxy.yml repeats it, which a test holds
__all__ = ["Approval", "Outcome", "__version__", "acknowledge", "approve", "kill", "respond", "resume"]

_HOMES = {
    "Approval": "hft_incident.approval",
    "Outcome": "hft_incident.outcome",
    "acknowledge": "hft_incident.roles",
    "approve": "hft_incident.approval",
    "kill": "hft_incident.red_button",
    "respond": "hft_incident.responder",
    "resume": "hft_incident.responder",
}


def __getattr__(name: str) -> Any:
    """Loads what is asked for when it is asked for: the red button must not wait for ansible-runner."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
