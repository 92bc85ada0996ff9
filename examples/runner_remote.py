# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The response runs on the jumphost, asked for from another host, by ansible-runner's transmit | worker | process.

    python examples/runner_remote.py --ssh "ssh -i id_ops ops@jumphost" --bin /opt/hft-incident/bin \\
        --inventory /etc/hft-incident/inventory exchange_outage exchange=binance

What it amounts to, by hand::

    ansible-runner transmit JOB … | ssh jumphost ansible-runner worker | ansible-runner process JOB

The host that asks needs ansible-runner and a way in, and no venue's key: inventory, secrets and record are the
jumphost's. If the connection breaks, the playbook is cut off: what was done stays on record there, and `hft-incident
resume` goes on. Where that must not be, use ``ssh jumphost hft-incident run``, whose response goes on by itself.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import ansible_runner

EXIT_CODES = {"done": 0, "failed": 1, "usage": 2, "unproven": 3, "held": 4}


class Progress:
    """What is shown of ansible-runner's events. ``outcome``: why the last step failed, in the words of the exit codes
    (failed, usage, unproven, held), as our modules tell it."""

    def __init__(self) -> None:
        self.outcome = "failed"

    def heard(self, event: dict[str, Any]) -> bool:
        data = event.get("event_data", {})
        if event["event"] == "playbook_on_task_start":
            print(json.dumps({"task": data["task"]}), flush=True)
        elif event["event"] == "runner_on_failed":
            self.outcome = data["res"].get("outcome", "failed")
        return False  # nothing of it is kept here: the record is on the jumphost


def transmit(options: argparse.Namespace, job: Path, stream: Any) -> None:
    """Writes the job into ``stream`` and closes it, which is the end of the job for the worker."""
    environment = {
        "ANSIBLE_CALLBACKS_ENABLED": "hft.incident.scribe",
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        **dict(options.env),
    }
    with stream:
        ansible_runner.interface.run(
            streamer="transmit",
            _output=stream,
            private_data_dir=str(job),
            playbook=f"hft.incident.{options.type}",
            inventory=options.inventory,
            extravars=dict(options.inputs),
            envvars=environment,
            suppress_env_files=True,  # nothing of the environment on the disk there
        )


def pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def main() -> int:
    parser = argparse.ArgumentParser(description="Respond to an incident on another host.")
    parser.add_argument("--ssh", required=True, help="how to reach the jumphost: ssh with its options and destination")
    parser.add_argument("--bin", required=True, help="the folder of ansible-runner and ansible-playbook there")
    parser.add_argument("--inventory", required=True, help="the inventory, by its path there")
    parser.add_argument(
        "--env", action="append", default=[], type=pair, metavar="NAME=VALUE", help="for the playbook there"
    )
    parser.add_argument("type", help="the incident's type")
    parser.add_argument(
        "inputs", nargs="*", default=[], type=pair, metavar="NAME=VALUE", help="what its playbook asks for"
    )
    options = parser.parse_args()
    progress = Progress()
    there = f'PATH={shlex.quote(options.bin)}:"$PATH" ansible-runner worker'
    with (
        tempfile.TemporaryDirectory(prefix="runner-") as scratch,
        subprocess.Popen([*shlex.split(options.ssh), there], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker,
    ):
        sent, told = Path(scratch, "sent"), Path(scratch, "told")
        sent.mkdir()
        told.mkdir()
        sender = threading.Thread(target=transmit, args=(options, sent, worker.stdin), daemon=True)
        sender.start()
        run = ansible_runner.interface.run(
            streamer="process",
            _input=worker.stdout,
            private_data_dir=str(told),
            quiet=True,
            event_handler=progress.heard,
        )
        sender.join()
    outcome = "done" if run.status == "successful" else progress.outcome
    print(json.dumps({"outcome": outcome, "status": run.status, "rc": run.rc, "ssh": worker.returncode}))
    return EXIT_CODES[outcome]


if __name__ == "__main__":
    sys.exit(main())
