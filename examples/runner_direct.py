# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The same playbook by ansible-runner itself, for a service that has its own way of starting jobs.

    python examples/runner_direct.py /etc/hft-incident/inventory exchange_outage exchange=binance

Three things that ansible-runner does not do by itself: the scribe has to be enabled, or there is no record; host keys
have to be checked; and how it ended is told by the record, since ansible-runner calls a run without a host successful.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

import ansible_runner

from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES, IncidentError
from ansible_collections.hft.incident.plugins.module_utils.incident import ENV_ID, open_incident, state_of

ENVIRONMENT = {
    "ANSIBLE_CALLBACKS_ENABLED": "hft.incident.scribe",
    "ANSIBLE_HOST_KEY_CHECKING": "True",
    # Ansible's programs are beside this interpreter, which need not be on PATH.
    "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
}


def show(event: dict[str, Any]) -> bool:
    """ansible-runner's own events; False keeps what they hold off the disk."""
    if event["event"] == "playbook_on_task_start":
        print(json.dumps({"task": event["event_data"]["task"]}), flush=True)
    return False


def pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def main(inventory: str, incident_type: str, given: Mapping[str, str]) -> int:
    try:
        incident = open_incident(incident_type, inputs=given, inventory=[inventory])
    except IncidentError as error:  # nothing was started
        print(json.dumps({"outcome": error.outcome, "reason": str(error)}))
        return EXIT_CODES[error.outcome]
    with tempfile.TemporaryDirectory(prefix="runner-") as scratch:
        run = ansible_runner.run(
            private_data_dir=scratch,
            playbook=f"hft.incident.{incident_type}",
            inventory=inventory,
            extravars=dict(given),
            envvars={**ENVIRONMENT, ENV_ID: incident.id},
            suppress_env_files=True,  # or the environment, secrets and all, would be written to disk
            quiet=True,
            event_handler=show,
        )
    state = state_of(incident.journal.events())
    venues = {name: held.verdict for name, held in state.venues.items()}
    print(json.dumps({"incident": incident.id, "outcome": state.outcome, "venues": venues, "rc": run.rc}))
    # Ansible's own rc is 2 for whatever did not go to its end, also for what is safe and waits for people.
    return EXIT_CODES[state.outcome or "failed"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Respond to an incident by ansible-runner itself.")
    parser.add_argument("inventory", help="its path")
    parser.add_argument("type", help="the incident's type")
    parser.add_argument(
        "inputs", nargs="*", default=[], type=pair, metavar="NAME=VALUE", help="what its playbook asks for"
    )
    options = parser.parse_args()
    sys.exit(main(options.inventory, options.type, dict(options.inputs)))
