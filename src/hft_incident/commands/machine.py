# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The commands about this machine: its inventory, whether it can do its job, completion, the lab."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.hft.incident.plugins.module_utils.errors import EXIT_CODES, IncidentError
from ansible_collections.hft.incident.plugins.module_utils.incident import home_directory

from .. import sentences
from ..inventory import SITE_INVENTORY
from .command import Command, declare_inventory, printed, require_lab, seconds


def _init(options: argparse.Namespace) -> int:
    from ..new_inventory import write_example

    folder = options.folder.absolute()
    files = write_example(folder)
    if options.json:
        return printed({"inventory": str(folder), "files": files})
    return printed([*(f"written: {folder / file}" for file in files), f"next: hft-incident doctor -i {folder}"])


def _doctor(options: argparse.Namespace) -> int:
    from ..doctor.examination import diagnose

    found = diagnose(options.inventory, timeout=options.timeout)
    printed(found.to_json() if options.json else map(sentences.plain, found.lines()))
    return EXIT_CODES[found.outcome]


def _completion(options: argparse.Namespace) -> int:
    from .. import completion

    if options.shell in completion.SCRIPTS:
        completion.write_script(options.shell)
        return EXIT_CODES["done"]
    from . import parser_of  # which knows this file

    return printed(completion.answer(options.words, parser_of))


def _lab(options: argparse.Namespace) -> int:
    require_lab()
    from ..lab import lab
    from ..lab.errors import LabError
    from ..lab.status import status as lab_status

    home = home_directory()
    try:
        if options.action == "down":
            _tell_of_no_drill(home)
            stopped = lab.down(home)
            return printed({"up": False, **stopped._asdict()} if options.json else stopped.render())
        if options.action == "up":
            running = lab.up(home, sinks=True)
            payload = {"up": True, "inventory": str(running.inventory), **json.loads(running.record.to_json())}
            return printed(payload if options.json else running.render())
        found = lab_status(home)
        processes = [process._asdict() for process in found.processes]
        printed({"up": found.up, "processes": processes} if options.json else found.render())
        return EXIT_CODES["done" if found.up else "failed"]
    except LabError as error:
        raise IncidentError(str(error)) from error


def _tell_of_no_drill(home: Path) -> None:
    """Whoever follows an incident of the lab has nobody to tell, and nothing to tell of, once that is down."""
    from ansible_collections.hft.incident.plugins.module_utils import follower
    from ansible_collections.hft.incident.plugins.module_utils.incident import list_incidents

    from ..metrics import nature

    for incident in list_incidents(home):
        if follower.follower_of(incident.directory) and nature(incident.journal.events()) == "drill":
            follower.end(incident.directory)


def _declare_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", metavar="DIR", nargs="?", type=Path, default=SITE_INVENTORY, help="a new one; default: %(default)s"
    )


def _declare_doctor(parser: argparse.ArgumentParser) -> None:
    declare_inventory(parser, "whose site is looked at; default: as `run`")
    parser.add_argument(
        "--timeout", metavar="S", type=seconds, default=30.0, help="for all checks together; default: %(default)g"
    )


def _declare_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "shell",
        choices=("bash", "zsh", "fish", "words"),
        help="whose script to print; words: what could stand there next, which those scripts ask",
    )
    parser.add_argument(
        "words", metavar="=WORD", nargs="*", default=[], help="what was typed after `hft-incident`, each behind ="
    )


def _declare_lab(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("up", "down", "status"), help="what to do with it")


COMMANDS: Mapping[str, Command] = {
    "init": Command(
        "Writes the example inventory, with comments, for you to write your venues, hosts, people and thresholds\n"
        "into. What is there already is never overwritten. `hft-incident doctor` then says what is missing.",
        "hft-incident init /etc/hft-incident/inventory",
        _declare_init,
        _init,
    ),
    "doctor": Command(
        "Can this machine do its job right now? Every check is a line: ok, warn, BAD or unknown, and the mend where\n"
        "one is needed. It reads only: no order, no host and no record is touched, no message is sent. Exit 0: all is\n"
        "well, or there are warnings; 3: something is BAD or unknown.",
        "hft-incident doctor -i /etc/hft-incident/inventory",
        _declare_doctor,
        _doctor,
    ),
    "completion": Command(
        "Completion for your shell: commands and options from the commands' own parsers, incidents, gates and venues\n"
        "from the record and the inventory.",
        "hft-incident completion bash > /etc/bash_completion.d/hft-incident\n"
        "  source <(hft-incident completion zsh)\n"
        "  hft-incident completion fish > ~/.config/fish/completions/hft-incident.fish",
        _declare_completion,
        _completion,
    ),
    "lab": Command(
        "The lab by itself: a trading system and its venues on this machine, for `ansible-playbook` by hand.",
        "hft-incident lab up",
        _declare_lab,
        _lab,
    ),
}
