# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The commands behind `hft-incident`, but for `kill`, which has its own way in: one file a subject."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from importlib import import_module

from . import machine, reading, responding, telling
from .command import Command, Parser

DRILL = "drill"
_COMMANDS: Mapping[str, Command] = {
    **responding.COMMANDS,
    **telling.COMMANDS,
    **reading.COMMANDS,
    **machine.COMMANDS,
}
NAMES = (*_COMMANDS, DRILL)


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Runs a command and returns its exit code. Raises IncidentError, with a line for the person who typed it."""
    if name == DRILL:
        code: int = import_module("hft_incident.drill").main(list(arguments))
        return code
    return _COMMANDS[name].run(_parser_of(name).parse_args(arguments))


def _parser_of(name: str) -> argparse.ArgumentParser:
    command = _COMMANDS[name]
    parser = Parser(
        prog=f"hft-incident {name}",
        description=command.description,
        epilog=f"example:\n  {command.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.declare(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    return parser


def parser_of(name: str) -> argparse.ArgumentParser:
    """What a command takes, also of those that have their own way in."""
    if name == "kill":
        from ..red_button import parser

        return parser()
    if name == DRILL:
        found: argparse.ArgumentParser = import_module("hft_incident.drill").parser()
        return found
    return _parser_of(name)
